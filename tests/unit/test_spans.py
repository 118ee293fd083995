"""Whole hours from one moment to before another, taken apart into days and hours."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from llm_router import spans
from llm_router.rollups import Period
from llm_router.spans import Span

START = datetime(2026, 2, 27, tzinfo=UTC)
HOURS = st.integers(0, 24 * 5)


@st.composite
def any_span(draw):
    since = START + draw(HOURS) * spans.HOUR
    return Span(since, since + (1 + draw(HOURS)) * spans.HOUR)


def hours_of(segment):
    """The hours whose sums a segment's rollups hold, counted one by one."""
    found, at = [], START - timedelta(days=1)
    while at < START + timedelta(days=12):
        start = at.strftime(spans.FORMATS[segment.period])
        if segment.low <= start < segment.high:
            found.append(at)
        at += spans.HOUR
    return found


def expected(span):
    return [span.since + number * spans.HOUR for number in range(round((span.until - span.since) / spans.HOUR))]


@given(any_span(), st.sampled_from([Period.HOUR, Period.DAY]))
def test_the_segments_hold_each_hour_of_the_span_once_and_no_other(span, finest):
    assert [hour for segment in span.segments(finest) for hour in hours_of(segment)] == expected(span)


@given(any_span())
def test_whole_days_are_read_as_days(span):
    by_hour = [hour for segment in span.segments() if segment.period is Period.HOUR for hour in hours_of(segment)]
    assert len(by_hour) < 48


@given(any_span())
def test_its_hours_are_named_as_the_rollups_are(span):
    assert list(span.starts(Period.HOUR)) == [f"{hour:%Y-%m-%dT%H}" for hour in expected(span)]
    assert list(span.starts(Period.DAY)) == sorted({f"{hour:%Y-%m-%d}" for hour in expected(span)})


def test_the_last_hours_end_with_the_one_that_is_running():
    span = spans.last_hours(2, now=datetime(2026, 11, 23, 0, 30, tzinfo=UTC))
    assert list(span.starts(Period.HOUR)) == ["2026-11-22T23", "2026-11-23T00"]
