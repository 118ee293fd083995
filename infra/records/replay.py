"""Puts into the ledger what only the log holds, from the log itself or from saved lines.

That are records that could not be settled, and openings that were not acknowledged, of requests whose process died
before it could make up for them. Each goes through the ledger's own code, so what is there already is left alone and
nothing is counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import product
from typing import Any

from llm_router import journal_items
from llm_router.aggregator import ORPHAN_GRACE_S
from llm_router.clock import Clock
from llm_router.ledger import Ledger
from llm_router.usage import RecordState, UsageRecord

UNWRITTEN, UNOPENED = "ledger.unwritten", "ledger.unopened"
STATES = {UNWRITTEN: RecordState.SETTLED, UNOPENED: RecordState.PENDING}
"""The events, and in which state the records of their lines are."""


class Fate(StrEnum):
    """What became of a record."""

    INSERTED = "inserted"
    SETTLED = "settled"
    CORRECTED = "corrected"
    GIVEN_UP = "given_up"
    UNDER_WAY = "under_way"
    THERE = "there"
    EXPIRED = "expired"


MEANINGS = {
    Fate.INSERTED: "the ledger knew nothing of the request",
    Fate.SETTLED: "it was still pending",
    Fate.CORRECTED: "the ledger held an upper estimate",
    Fate.GIVEN_UP: "the ledger did not know that it had begun, and nothing tells its end",
    Fate.UNDER_WAY: "left alone: it may still be under way",
    Fate.THERE: "left alone: it was there already",
    Fate.EXPIRED: "refused: older than records are kept, so whether it was counted can't be told any more",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What lines of a log hold: records in the order of the lines, each once; `damaged` are line numbers."""

    records: tuple[UsageRecord, ...]
    damaged: tuple[int, ...]


def logged_lines(logs: Any, groups: Iterable[str]) -> Iterator[str]:
    """The lines with one of the events, of each log group in turn. `logs` is a boto3 client."""
    for group, event in product(groups, STATES):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'{{ $.event = "{event}" }}'
        )
        for page in pages:
            yield from (each["message"] for each in page["events"])


def records(lines: Iterable[str]) -> Found:
    """Lines of other events are passed over in silence. Of each request the line that tells most stands."""
    found: dict[str, UsageRecord] = {}
    damaged = []
    for number, line in enumerate(lines, 1):
        if not any(event in line for event in STATES):
            continue
        try:
            if (record := _record(line)) and _tells_more(record, found.get(record.request_id)):
                found[record.request_id] = record
        except ValueError:
            damaged.append(number)
    return Found(tuple(found.values()), tuple(damaged))


def _tells_more(record: UsageRecord, known: UsageRecord | None) -> bool:
    if known is None or known.state is RecordState.SETTLED:
        return known is None
    return record.state is RecordState.SETTLED or len(record.attempts) > len(known.attempts)


def _record(line: str) -> UsageRecord | None:
    """None for a line of another event. What precedes the JSON, a time and a stream's name, is passed over."""
    values = json.loads(line[max(line.find("{"), 0) :])
    event = values.get("event") if isinstance(values, dict) else None
    if event not in STATES:
        return None
    record = journal_items.logged_record(str(values.get("record")))
    if record.state is not STATES[event]:
        raise ValueError(f"not a record of the event {event}")
    return record


def restore(found: Iterable[UsageRecord], ledger: Ledger, *, retention: timedelta, clock: Clock) -> Iterator[Fate]:
    """What became of each, one after the other. Raises StoreError; what came before it stays written."""
    for record in found:
        if record.opened_at + retention <= clock.now():
            yield Fate.EXPIRED
            continue
        if record.state is RecordState.PENDING:
            yield _given_up(record, ledger, clock)
            continue
        before = ledger.find(record.position)
        written = ledger.settle_from_log(record)
        yield _fate(before, written, record)


def _given_up(record: UsageRecord, ledger: Ledger, clock: Clock) -> Fate:
    """Past its deadline there is no process any more that could make up for it."""
    if clock.now() < record.deadline_at + timedelta(seconds=ORPHAN_GRACE_S):
        return Fate.UNDER_WAY
    return Fate.GIVEN_UP if ledger.give_up_unopened(record) else Fate.THERE


def _fate(before: UsageRecord | None, written: UsageRecord, record: UsageRecord) -> Fate:
    if before is None:
        return Fate.THERE if written.position == record.position else Fate.INSERTED
    if before.state is RecordState.PENDING:
        return Fate.SETTLED
    return Fate.CORRECTED if before.state is RecordState.UNSETTLED else Fate.THERE
