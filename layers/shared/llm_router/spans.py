"""A stretch of time that rollups can answer for: whole hours in UTC, or all time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from llm_router.rollups import Period

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FORMATS = {Period.HOUR: "%Y-%m-%dT%H", Period.DAY: "%Y-%m-%d"}
_LENGTHS = {Period.HOUR: HOUR, Period.DAY: DAY}


@dataclass(frozen=True, slots=True)
class Segment:
    """Rollups of one period whose start is at `low` or later and before `high`, as their starts are written."""

    period: Period
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to before `until`, both on the hour."""

    since: datetime
    until: datetime

    def holds(self, at: datetime) -> bool:
        return self.since <= at < self.until

    def segments(self, finest: Period = Period.DAY) -> Iterator[Segment]:
        """Whole days by their sums and the hours at the ends by theirs; with `finest` hour all by hours."""
        first, last = _midnight_after(self.since), _midnight_before(self.until)
        if finest is Period.HOUR or first >= last:
            yield from _segment(Period.HOUR, self.since, self.until)
            return
        yield from _segment(Period.HOUR, self.since, first)
        yield from _segment(Period.DAY, first, last)
        yield from _segment(Period.HOUR, last, self.until)

    def starts(self, period: Period) -> Iterator[str]:
        """Of every hour or day that the span touches, in order."""
        at = self.since if period is Period.HOUR else _midnight_before(self.since)
        while at < self.until:
            yield at.strftime(FORMATS[period])
            at += _LENGTHS[period]


def last_hours(count: int, *, now: datetime) -> Span:
    """The hour that is running and those before it, `count` in all."""
    until = hour_after(now)
    return Span(until - count * HOUR, until)


def hour_after(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR


def _segment(period: Period, since: datetime, until: datetime) -> Iterator[Segment]:
    if since < until:
        yield Segment(period, since.strftime(FORMATS[period]), until.strftime(FORMATS[period]))


def _midnight_before(at: datetime) -> datetime:
    return at.replace(hour=0)


def _midnight_after(at: datetime) -> datetime:
    before = _midnight_before(at)
    return before if before == at else before + DAY
