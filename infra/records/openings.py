"""The requests that were opened in a stretch of time, each once and as it now stands, without reading the whole table.

A record stands in the journal where its id says, and ids sort by the time of opening. Two kinds stand elsewhere, and
both have left a pointer: a record that had to be inserted late, its mark among those of the day (`moved#<day>`); a
correction, its position in the record that it replaces. So each request is found from where its id says or from its
mark, and what a walk meets at another place is passed over. docs/data-model.md says why no third kind exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import TypeVar

from llm_router import positions
from llm_router.ledger import Ledger
from llm_router.spans import DAY, Span
from llm_router.usage import RecordState, UsageRecord

T = TypeVar("T")

APART_AT_MOST = timedelta(minutes=5)
"""Between the time in a request's id and `opened_at`: the clock is read for each, a moment apart."""

TOGETHER = 100
"""Records whose pointers are followed in one read."""


def opened(ledger: Ledger, span: Span, *, shards: Iterable[int]) -> Iterator[UsageRecord]:
    """In the order of their ids, a page of each shard in memory. Pending ones are among them. Raises StoreError."""
    walks = [_standing(ledger, shard, span) for shard in shards]
    found = merge(*walks, _moved(ledger, span), key=lambda record: record.request_id)
    return (record for record in found if span.holds(record.opened_at))


def one(ledger: Ledger, request_id: str) -> UsageRecord | None:
    """The record at the place that the id or its mark names. Raises ValueError for what is no id."""
    found = ledger.find(request_id)
    if found is None or found.state is RecordState.PENDING:  # which may be an opening that came after all
        return _marked(ledger, request_id) or found
    return found


def _marked(ledger: Ledger, request_id: str) -> UsageRecord | None:
    at = positions.time_of(request_id)
    for day in _days(at - APART_AT_MOST, at + APART_AT_MOST):
        if position := ledger.moved_to(request_id, day=day):
            return ledger.find(position)
    return None


def _standing(ledger: Ledger, shard: int, span: Span) -> Iterator[UsageRecord]:
    """Those of a shard that stand where their id says, the correction in place of what it replaces."""
    walk = ledger.after(
        positions.lower_bound(span.since - APART_AT_MOST), shard=shard, until=span.until + APART_AT_MOST
    )
    own = (record for record in walk if record.position == record.request_id)
    for together in _batches(own):
        yield from _corrected(ledger, together)


def _corrected(ledger: Ledger, records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """Each as it now stands. A correction may be an estimate too, given up from the log, and corrected in its turn."""
    standing, followed = list(records), set[str]()
    while pointers := {at for record in standing if (at := record.corrected_at)} - followed:
        followed |= pointers
        found = {record.position: record for record in ledger.find_all(sorted(pointers))}
        standing = [found.get(record.corrected_at or "", record) for record in standing]
    return standing


def _moved(ledger: Ledger, span: Span) -> Iterator[UsageRecord]:
    since, until = span.since - APART_AT_MOST, span.until + APART_AT_MOST
    for day in _days(span.since, span.until - timedelta(microseconds=1)):
        for together in _batches(ledger.moved(day, since=since, until=until)):
            found = {record.position: record for record in ledger.find_all(together)}
            yield from _corrected(ledger, [found[position] for position in together if position in found])


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while together := list(islice(left, TOGETHER)):
        yield together


def _days(first: datetime, last: datetime) -> Iterator[date]:
    at = first.astimezone(UTC).date()
    while at <= last.astimezone(UTC).date():
        yield at
        at += DAY
