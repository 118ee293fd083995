"""Walks the journal forward: adds each ended record to the rollups once, gives up orphans, stays a safe minute behind.

A run may be repeated, killed anywhere or run beside another: only the move of the checkpoint counts, and the sums move
with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from llm_router.checkpoints import Checkpoint, Checkpoints
from llm_router.clock import Clock
from llm_router.ledger import SAFE_BEHIND_S, Ledger
from llm_router.rollups import Increments
from llm_router.usage import RecordState, UsageRecord

ROLLUPS_A_PAGE = 99
"""A DynamoDB transaction takes 100 items, and the checkpoint is one."""

RECORDS_A_PAGE = 1000
OPEN_AT_MOST = 5000
"""Positions of 26 bytes in one item of at most 400 KB; past this many the walk waits for one of them to end."""

ORPHAN_GRACE_S = 30.0
"""How long past its deadline a pending record is left alone, for a settlement that is on its way."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did: records added to the sums, and how many seconds the walk is behind what it may read."""

    records: int
    behind_s: float


@dataclass(slots=True)
class _Page:
    """What one transaction will move."""

    walked: dict[int, str]
    open: list[str]
    increments: Increments
    ends_s: float
    records: int = 0
    is_full: bool = False
    left: list[datetime] = field(default_factory=list)

    def has_room_for(self, record: UsageRecord) -> bool:
        return self.records < RECORDS_A_PAGE and self.increments.keys_with(record) <= ROLLUPS_A_PAGE


class Aggregator:
    def __init__(self, *, ledger: Ledger, checkpoints: Checkpoints, clock: Clock) -> None:
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._clock = clock

    def run(self, *, limit_s: float) -> Run:
        """Aggregate page by page until nothing is left or `limit_s` seconds have passed. Raises StoreError."""
        until_s = self._clock.monotonic_s() + limit_s
        records = 0
        while True:
            safe = self._clock.now() - timedelta(seconds=SAFE_BEHIND_S)
            before = self._checkpoints.current()
            page = self._page(before, safe, until_s)
            after = Checkpoint(walked=page.walked, open=tuple(page.open))
            if not page.records and after == replace(before, version=0):
                return Run(records, self._behind_s(page, safe))
            if self._checkpoints.advance(before, after, page.increments):
                records += page.records
                if not page.is_full:
                    return Run(records, 0.0)
            if self._clock.monotonic_s() >= until_s:
                return Run(records, self._behind_s(page, safe))

    def _page(self, before: Checkpoint, safe: datetime, until_s: float) -> _Page:
        page = _Page(dict(before.walked), [], Increments(), until_s)
        self._take_open(before, page)
        for shard in shards(self._ledger, before):
            page.walked.setdefault(shard, "")  # remembered from now on, even if it is put out of use
            self._take_new(shard, safe, page)
        return page

    def _take_open(self, before: Checkpoint, page: _Page) -> None:
        """Records that were pending when the walk passed them. One that is gone was taken back by its writer."""
        for record in self._ledger.find_all(before.open):
            if not self._take(record, page):
                page.open.append(record.position)
        page.open.sort()

    def _take_new(self, shard: int, safe: datetime, page: _Page) -> None:
        records = self._ledger.after(page.walked.get(shard, ""), shard=shard, until=safe)
        for record in records:
            if self._is_full(page, record):
                page.is_full = True
                page.left.append(record.opened_at)
                return
            if not self._take(record, page):
                page.open.append(record.position)
            page.walked[shard] = record.position

    def _is_full(self, page: _Page, record: UsageRecord) -> bool:
        """Also when the time is up; one record is taken in any case, so that every run gets on."""
        if page.is_full or len(page.open) >= OPEN_AT_MOST or not page.has_room_for(record):
            return True
        return page.records > 0 and self._clock.monotonic_s() > page.ends_s

    def _take(self, record: UsageRecord, page: _Page) -> bool:
        """Add an ended record to the page; False for one that has not ended or for which there is no room."""
        if record.state is RecordState.PENDING and self._may_yet_end(record):
            return False
        ended = self._ledger.give_up(record) if record.state is RecordState.PENDING else record
        if ended is None:
            return True  # gone: its writer took it back
        if not page.has_room_for(ended):
            page.is_full = True
            return False
        page.increments.add(ended)
        page.records += 1
        return True

    def _may_yet_end(self, record: UsageRecord) -> bool:
        return self._clock.now() < record.deadline_at + timedelta(seconds=ORPHAN_GRACE_S)

    def _behind_s(self, page: _Page, safe: datetime) -> float:
        return max(0.0, (safe - min(page.left)).total_seconds()) if page.left else 0.0


def shards(ledger: Ledger, checkpoint: Checkpoint) -> Iterator[int]:
    """Those in use and those that once were."""
    yield from range(max([ledger.shards, *(shard + 1 for shard in checkpoint.walked)]))
