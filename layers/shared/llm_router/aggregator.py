"""Walks the journal forward: adds each ended record to the rollups once, gives up orphans, stays a safe minute behind.

A run may be repeated, killed anywhere or run beside another: only the move of the checkpoint counts, and the sums move
with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import chain

from llm_router import contributions
from llm_router.checkpoints import Checkpoint, Checkpoints
from llm_router.clock import Clock
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import SAFE_BEHIND_S, Ledger
from llm_router.rollups import Increments, RollupKey, Sums
from llm_router.usage import RecordState, UsageRecord

ROLLUPS_A_PAGE = 99
"""A DynamoDB transaction takes 100 items, and the checkpoint is one."""

RECORDS_A_PAGE = 2000
OPEN_AT_MOST = 5000
"""Positions of 26 bytes in one item of at most 400 KB; past this many the walk waits for one of them to end."""

ORPHAN_GRACE_S = 30.0
"""How long past its deadline a pending record is left alone, for a settlement that is on its way."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did: records added to the sums, and how many seconds the walk is behind what it may read."""

    records: int
    behind_s: float


class _Taken(Enum):
    DONE_WITH = auto()
    STILL_OPEN = auto()
    NO_ROOM = auto()


@dataclass(slots=True)
class _Walk:
    """What was read since the checkpoint and still holds: unless somebody moves it, no page is read twice.

    `left` has the records of each shard that no page has taken yet, `known` the rollups that the last page changed.
    """

    checkpoint: Checkpoint
    safe: datetime
    left: dict[int, Iterator[UsageRecord]]
    known: Mapping[RollupKey, Sums] = field(default_factory=dict)
    has_looked_at_open: bool = False

    def put_back(self, shard: int, record: UsageRecord) -> None:
        self.left[shard] = chain([record], self.left[shard])


@dataclass(slots=True)
class _Page:
    """What one transaction will move."""

    walked: dict[int, str]
    open: list[str]
    ends_s: float
    increments: Increments = field(default_factory=Increments)
    records: int = 0
    is_full: bool = False
    left: list[datetime] = field(default_factory=list)

    def has_room_for(self, added: Increments) -> bool:
        if added.by_hour.keys() <= self.increments.by_hour.keys():
            return True
        return self.increments.keys_with(added) <= ROLLUPS_A_PAGE

    def add(self, added: Increments) -> None:
        self.increments.merge(added)
        self.records += 1


class Aggregator:
    """`prices` are what the router's own running is counted at."""

    def __init__(self, *, ledger: Ledger, checkpoints: Checkpoints, prices: InfrastructurePrices, clock: Clock) -> None:
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._prices = prices
        self._clock = clock

    def run(self, *, limit_s: float) -> Run:
        """Aggregate page by page until nothing is left or `limit_s` seconds have passed. Raises StoreError."""
        until_s = self._clock.monotonic_s() + limit_s
        records = 0
        walk = self._begin()
        while True:
            page = self._page(walk, until_s)
            after = Checkpoint(walked=page.walked, open=tuple(page.open))
            if not page.records and after == replace(walk.checkpoint, version=0):
                return Run(records, self._behind_s(page, walk.safe))
            changed = self._checkpoints.advance(walk.checkpoint, after, page.increments, known=walk.known)
            if changed is None:
                walk = self._begin()
            else:
                walk.checkpoint, walk.known = replace(after, version=walk.checkpoint.version + 1), changed
                records += page.records
                if not page.is_full:
                    return Run(records, 0.0)
            if self._clock.monotonic_s() >= until_s:
                return Run(records, self._behind_s(page, walk.safe))

    def _begin(self) -> _Walk:
        safe = self._clock.now() - timedelta(seconds=SAFE_BEHIND_S)
        checkpoint = self._checkpoints.current()
        left = {
            shard: self._ledger.after(checkpoint.walked.get(shard, ""), shard=shard, until=safe)
            for shard in shards(self._ledger, checkpoint)
        }
        return _Walk(checkpoint, safe, left)

    def _page(self, walk: _Walk, until_s: float) -> _Page:
        before = walk.checkpoint
        page = _Page(dict(before.walked), list(before.open), until_s)
        if not walk.has_looked_at_open:
            page.open = []
            self._take_open(before, page)
            walk.has_looked_at_open = not page.is_full
        for shard in walk.left:
            page.walked.setdefault(shard, "")  # remembered from now on, even if it is put out of use
            self._take_new(shard, walk, page)
        page.open.sort()
        return page

    def _take_open(self, before: Checkpoint, page: _Page) -> None:
        """Records that were pending when the walk passed them."""
        for record in self._ledger.find_all(before.open):
            if self._is_over(page) or self._take(record, page) is not _Taken.DONE_WITH:
                page.open.append(record.position)

    def _take_new(self, shard: int, walk: _Walk, page: _Page) -> None:
        for record in walk.left[shard]:
            taken = _Taken.NO_ROOM if self._is_over(page) else self._take(record, page)
            if taken is _Taken.NO_ROOM:
                page.is_full = True
                page.left.append(record.opened_at)
                walk.put_back(shard, record)
                return
            if taken is _Taken.STILL_OPEN:
                page.open.append(record.position)
            page.walked[shard] = record.position

    def _is_over(self, page: _Page) -> bool:
        """Also when the time is up; one record is taken in any case, so that every run gets on."""
        if page.is_full or len(page.open) >= OPEN_AT_MOST or page.records >= RECORDS_A_PAGE:
            return True
        return page.records > 0 and self._clock.monotonic_s() > page.ends_s

    def _take(self, record: UsageRecord, page: _Page) -> _Taken:
        """Add a record to the page if it has ended, and end it if it never will. One that is gone was taken back by
        its writer, or stands elsewhere.
        """
        ended: UsageRecord | None = record
        if record.state is RecordState.PENDING:
            if self._may_yet_end(record):
                return _Taken.STILL_OPEN
            ended = self._ledger.give_up(record)
        if ended is None:
            return _Taken.DONE_WITH
        added = contributions.increments(ended, self._prices)
        if not page.has_room_for(added):
            page.is_full = True
            return _Taken.NO_ROOM
        page.add(added)
        return _Taken.DONE_WITH

    def _may_yet_end(self, record: UsageRecord) -> bool:
        return self._clock.now() < record.deadline_at + timedelta(seconds=ORPHAN_GRACE_S)

    def _behind_s(self, page: _Page, safe: datetime) -> float:
        return max(0.0, (safe - min(page.left)).total_seconds()) if page.left else 0.0


def shards(ledger: Ledger, checkpoint: Checkpoint) -> Iterator[int]:
    """Those in use and those that once were."""
    yield from range(max([ledger.shards, *(shard + 1 for shard in checkpoint.walked)]))
