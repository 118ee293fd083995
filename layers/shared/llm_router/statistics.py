"""All that the ledger holds, summed: the rollups up to the checkpoint and, exactly, what came after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from llm_router import rollups
from llm_router.aggregator import shards
from llm_router.checkpoints import Checkpoint, Checkpoints
from llm_router.clock import Clock
from llm_router.errors import CatchingUpError
from llm_router.ledger import Ledger
from llm_router.rollups import ALL, Counters, Increments, RollupKey
from llm_router.usage import RecordState, UsageRecord

HOURS_SHOWN = 48
RECENT_SHOWN = 50
TAIL_AT_MOST = 20_000
"""More records than come in a busy minute; past it the aggregation has been standing still."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that ended by `as_of`: sums by dimension and of all by hour, and how many requests are still under way."""

    as_of: datetime
    totals: Mapping[str, Counters]
    hours: Mapping[str, Counters]
    pending: int


class Statistics:
    """Reads the figures. Blocking; raises StoreError."""

    def __init__(self, *, ledger: Ledger, checkpoints: Checkpoints, clock: Clock) -> None:
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._clock = clock

    def snapshot(self) -> Snapshot:
        """The sums that the aggregation has reached, and what it may not touch yet added to them.

        A record counts from its settlement on and never stops counting, so totals never fall; it is either before the
        checkpoint or after it, so they never overshoot.
        """
        as_of = self._clock.now()
        since = f"{as_of - timedelta(hours=HOURS_SHOWN - 1):%Y-%m-%dT%H}"
        checkpoint, totals, hours = self._checkpoints.snapshot(hours_since=since)
        tail = Increments()
        pending = 0
        for number, record in enumerate(self._tail(checkpoint)):
            if number >= TAIL_AT_MOST:
                raise CatchingUpError
            if record.state is RecordState.PENDING:
                pending += 1
            else:
                tail.add(record)
        return Snapshot(as_of, _with_tail(totals, tail), _hours_with_tail(hours, tail, since), pending)

    def recent(self) -> list[UsageRecord]:
        """The latest requests, newest first."""
        checkpoint = self._checkpoints.current()
        found = [
            r for shard in shards(self._ledger, checkpoint) for r in self._ledger.latest(RECENT_SHOWN, shard=shard)
        ]
        shown = [record for record in found if record.state is not RecordState.CORRECTED]
        return sorted(shown, key=lambda record: record.opened_at, reverse=True)[:RECENT_SHOWN]

    def _tail(self, checkpoint: Checkpoint) -> Iterator[UsageRecord]:
        yield from self._ledger.find_all(checkpoint.open)
        for shard in shards(self._ledger, checkpoint):
            yield from self._ledger.after(checkpoint.walked.get(shard, ""), shard=shard)


def _hours_with_tail(hours: Mapping[str, Counters], tail: Increments, since: str) -> dict[str, Counters]:
    """Of all requests, by hour."""
    found = dict(hours)
    for key, counters in tail.by_key.items():
        if key.period == "hour" and key.dimension == ALL and key.start >= since:
            found[key.start] = rollups.summed([found.get(key.start, {}), counters])
    return dict(sorted(found.items()))


def _with_tail(totals: Mapping[str, Counters], tail: Increments) -> dict[str, Counters]:
    dimensions = {key.dimension for key in tail.by_key} | totals.keys()
    return {
        dimension: rollups.summed([totals.get(dimension, {}), tail.by_key.get(RollupKey("total", dimension), {})])
        for dimension in sorted(dimensions)
    }
