"""Settles the usage records that only the log holds, from the log itself or from saved lines.

Each goes through the ledger's own settling, so what is there already is left alone and nothing is counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from llm_router import journal_items
from llm_router.clock import Clock
from llm_router.ledger import Ledger
from llm_router.usage import RecordState, UsageRecord

EVENT = "ledger.unwritten"


class Fate(StrEnum):
    """What became of a record."""

    INSERTED = "inserted"
    SETTLED = "settled"
    CORRECTED = "corrected"
    THERE = "there"
    EXPIRED = "expired"


MEANINGS = {
    Fate.INSERTED: "the ledger knew nothing of the request",
    Fate.SETTLED: "it was still pending",
    Fate.CORRECTED: "the ledger held an upper estimate",
    Fate.THERE: "left alone: it was there already",
    Fate.EXPIRED: "refused: older than records are kept, so whether it was counted can't be told any more",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What lines of a log hold: records in the order of the lines, each once; `damaged` are line numbers."""

    records: tuple[UsageRecord, ...]
    damaged: tuple[int, ...]


def logged_lines(logs: Any, groups: Iterable[str]) -> Iterator[str]:
    """The lines with the event, in the order of their writing, of each log group in turn. `logs` is a boto3 client."""
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'{{ $.event = "{EVENT}" }}'
        )
        for page in pages:
            yield from (event["message"] for event in page["events"])


def records(lines: Iterable[str]) -> Found:
    """Lines of other events are passed over in silence."""
    found: dict[str, UsageRecord] = {}
    damaged = []
    for number, line in enumerate(lines, 1):
        if EVENT not in line:
            continue
        try:
            if record := _record(line):
                found.setdefault(record.request_id, record)
        except ValueError:
            damaged.append(number)
    return Found(tuple(found.values()), tuple(damaged))


def _record(line: str) -> UsageRecord | None:
    """None for a line of another event. What precedes the JSON, a time and a stream's name, is passed over."""
    values = json.loads(line[max(line.find("{"), 0) :])
    if not isinstance(values, dict) or values.get("event") != EVENT:
        return None
    record = journal_items.logged_record(str(values.get("record")))
    if record.state is not RecordState.SETTLED:
        raise ValueError("not a settled record")
    return record


def restore(found: Iterable[UsageRecord], ledger: Ledger, *, retention: timedelta, clock: Clock) -> Iterator[Fate]:
    """What became of each, one after the other. Raises StoreError; what came before it stays written."""
    for record in found:
        if record.opened_at + retention <= clock.now():
            yield Fate.EXPIRED
            continue
        before = ledger.find(record.position)
        written = ledger.settle(record)
        yield _fate(before, written, record)


def _fate(before: UsageRecord | None, written: UsageRecord, record: UsageRecord) -> Fate:
    if before is None:
        return Fate.THERE if written.position == record.position else Fate.INSERTED
    if before.state is RecordState.PENDING:
        return Fate.SETTLED
    return Fate.CORRECTED if before.state is RecordState.UNSETTLED else Fate.THERE
