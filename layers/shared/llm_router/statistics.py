"""All that the ledger holds, summed: the rollups up to the checkpoint and, exactly, what came after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from llm_router import contributions, rollups
from llm_router.aggregator import shards
from llm_router.checkpoints import OF_ALL_TIME, Checkpoint, Checkpoints, Sum
from llm_router.clock import Clock
from llm_router.errors import CatchingUpError, TooManyGroupsError
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import Ledger
from llm_router.rollups import ALL, Counters, Increments, Kind, Period
from llm_router.spans import Segment, Span, last_hours
from llm_router.usage import RecordState, UsageRecord

HOURS_SHOWN = 48
HOURS_OF_TAGS = 24
RECENT_SHOWN = 50
TAIL_AT_MOST = 20_000
"""More records than come in a busy minute; past it the aggregation has been standing still."""

SUMS_AT_MOST = 20_000
"""Rollups read for one question: about 10 MB. Tags can have any number of values."""


class Grouping(StrEnum):
    """What the figures can be told apart by."""

    PROVIDER = "provider"
    MODEL = "model"
    ROUTE = "route"
    KEY = "key"
    TAG = "tag"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Question:
    """Which figures: of which time (None: all of it, which has no hours and days to be told apart by), grouped by what,
    and of which client key (empty: of all).
    """

    span: Span | None = None
    group_by: Grouping | None = None
    owner: str = ""


EVERYTHING = Question()


@dataclass(frozen=True, slots=True)
class Figures:
    """The answer to a question: sums of all that ended by `as_of`, and how many requests are still under way.

    `candidates` and `groups` are by name, `groups` empty where the question asks for none.
    """

    as_of: datetime
    question: Question
    total: Counters
    candidates: Mapping[str, Counters]
    groups: Mapping[str, Counters]
    pending: int


@dataclass(frozen=True, slots=True)
class Published:
    """The figures of `stats.json`, all of one moment."""

    everything: Figures
    hours: Figures
    routes: Figures
    keys: Figures
    tags: Figures


_KINDS = {
    None: Kind.ALL,
    Grouping.PROVIDER: Kind.CANDIDATE,
    Grouping.MODEL: Kind.CANDIDATE,
    Grouping.ROUTE: Kind.ROUTE,
    Grouping.KEY: Kind.KEY,
    Grouping.TAG: Kind.TAG,
    Grouping.HOUR: Kind.ALL,
    Grouping.DAY: Kind.ALL,
}


class Statistics:
    """Reads the figures. Blocking; raises StoreError."""

    def __init__(self, *, ledger: Ledger, checkpoints: Checkpoints, prices: InfrastructurePrices, clock: Clock) -> None:
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._prices = prices
        self._clock = clock

    def figures(self, question: Question = EVERYTHING) -> Figures:
        """Raises CatchingUpError or TooManyGroupsError."""
        (found,) = self.all_figures([question])
        return found

    def all_figures(self, questions: Sequence[Question]) -> list[Figures]:
        """The sums that the aggregation has reached, and what it may not touch yet added to them; of one moment.

        A record counts from its settlement on and never stops counting, so totals never fall; it is either before the
        checkpoint or after it, so they never overshoot. Raises CatchingUpError or TooManyGroupsError.
        """
        as_of = self._clock.now()
        checkpoint, read = self._checkpoints.with_checkpoint(lambda: [self._read(question) for question in questions])
        tail, pending = self._tail(checkpoint)
        return [
            _figures(as_of, question, parts, tail, pending) for question, parts in zip(questions, read, strict=True)
        ]

    def published(self) -> Published:
        """All time; the last hours one by one; all time by route and key; and the last day by tag, as tags may have any
        number of values. Raises CatchingUpError.
        """
        now = self._clock.now()
        questions = [
            EVERYTHING,
            Question(last_hours(HOURS_SHOWN, now=now), Grouping.HOUR),
            Question(group_by=Grouping.ROUTE),
            Question(group_by=Grouping.KEY),
            Question(last_hours(HOURS_OF_TAGS, now=now), Grouping.TAG),
        ]
        return Published(*self.all_figures(questions))

    def recent(self) -> list[UsageRecord]:
        """The latest requests, newest first."""
        checkpoint = self._checkpoints.current()
        found = [
            r for shard in shards(self._ledger, checkpoint) for r in self._ledger.latest(RECENT_SHOWN, shard=shard)
        ]
        shown = [record for record in found if record.state is not RecordState.CORRECTED]
        return sorted(shown, key=lambda record: record.opened_at, reverse=True)[:RECENT_SHOWN]

    def _read(self, question: Question) -> dict[Kind, list[Sum]]:
        """The rollups that the question needs, by kind."""
        kinds = {Kind.ALL, Kind.CANDIDATE, _KINDS[question.group_by]}
        return {kind: self._sums(question, kind) for kind in kinds}

    def _sums(self, question: Question, kind: Kind) -> list[Sum]:
        found: list[Sum] = []
        for segment in _segments(question):
            for each in self._checkpoints.sums(_kept(kind, question.owner), segment=segment):
                if len(found) >= SUMS_AT_MOST:
                    raise TooManyGroupsError("There are too many groups to tell apart. Ask for a shorter time.")
                found += _of_owner(each, kind, question.owner)
        return found

    def _tail(self, checkpoint: Checkpoint) -> tuple[Increments, list[UsageRecord]]:
        """What came after the checkpoint, summed, and what of it is still under way."""
        tail = Increments()
        pending = []
        for number, record in enumerate(self._after(checkpoint)):
            if number >= TAIL_AT_MOST:
                raise CatchingUpError
            if record.state is RecordState.PENDING:
                pending.append(record)
            else:
                tail.merge(contributions.increments(record, self._prices))
        return tail, pending

    def _after(self, checkpoint: Checkpoint) -> Iterator[UsageRecord]:
        yield from self._ledger.find_all(checkpoint.open)
        for shard in shards(self._ledger, checkpoint):
            yield from self._ledger.after(checkpoint.walked.get(shard, ""), shard=shard)


def _figures(
    as_of: datetime,
    question: Question,
    read: Mapping[Kind, list[Sum]],
    tail: Increments,
    pending: Iterable[UsageRecord],
) -> Figures:
    by_kind = {kind: [*sums, *_of_tail(tail, question, kind)] for kind, sums in read.items()}
    of_group = _grouped(by_kind[_KINDS[question.group_by]], _group(question.group_by)) if question.group_by else {}
    return Figures(
        as_of=as_of,
        question=question,
        total=_grouped(by_kind[Kind.ALL], _by_name).get(ALL, {}),
        candidates=_grouped(by_kind[Kind.CANDIDATE], _by_name),
        groups=of_group,
        pending=sum(_is_meant(record, question) for record in pending),
    )


def _of_tail(tail: Increments, question: Question, kind: Kind) -> Iterator[Sum]:
    """Its sums by the hour, from which all others follow."""
    hours = None if question.span is None else set(question.span.starts(Period.HOUR))
    for (hour, of), sums in tail.by_hour.items():
        if of is _kept(kind, question.owner) and (hours is None or hour in hours):
            for name, counters in sums.items():
                yield from _of_owner(Sum(hour, name, counters), kind, question.owner)


def _kept(kind: Kind, owner: str) -> Kind:
    """Under which kind the sums stand: those of one key alone are among those of all keys."""
    if not owner:
        return kind
    return {Kind.ALL: Kind.KEY, Kind.CANDIDATE: Kind.KEY_CANDIDATE}[kind]


def _of_owner(found: Sum, kind: Kind, owner: str) -> list[Sum]:
    """The sum under the name that it has for its owner; nothing where it is another's."""
    if not owner:
        return [found]
    if kind is Kind.ALL:
        return [found._replace(name=ALL)] if found.name == owner else []
    mine, _, candidate = found.name.partition("/")
    return [found._replace(name=candidate)] if mine == owner else []


def _grouped(sums: Iterable[Sum], group: Callable[[Sum], str]) -> dict[str, Counters]:
    by_group: dict[str, list[Counters]] = {}
    for each in sums:
        by_group.setdefault(group(each), []).append(each.counters)
    return {name: rollups.summed(by_group[name]) for name in sorted(by_group)}


def _by_name(found: Sum) -> str:
    return found.name


def _group(by: Grouping) -> Callable[[Sum], str]:
    """The group that a rollup belongs to. A candidate is provider/model; only the model may have further slashes."""
    groups: dict[Grouping, Callable[[Sum], str]] = {
        Grouping.PROVIDER: lambda found: found.name.partition("/")[0],
        Grouping.MODEL: lambda found: found.name.partition("/")[2],
        Grouping.HOUR: lambda found: found.start,
        Grouping.DAY: lambda found: found.start[: len("2026-11-23")],
    }
    return groups.get(by, _by_name)


def _segments(question: Question) -> Iterable[Segment]:
    if question.span is None:
        return [OF_ALL_TIME]
    return question.span.segments(Period.HOUR if question.group_by is Grouping.HOUR else Period.DAY)


def _is_meant(record: UsageRecord, question: Question) -> bool:
    in_time = question.span is None or question.span.holds(record.opened_at)
    return in_time and question.owner in ("", record.key_id)
