"""Writes the requests of a stretch of time, a line each, to a stream or to a file that is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from infra.records import openings, rows
from llm_router import aggregator
from llm_router.books import Books
from llm_router.infrastructure import InfrastructurePrices
from llm_router.spans import Span
from llm_router.usage import RecordState, UsageRecord


class Format(StrEnum):
    """JSON Lines, or CSV with a header."""

    JSONL = "jsonl"
    CSV = "csv"


LINES = {Format.JSONL: rows.json_line, Format.CSV: rows.csv_line}


@dataclass(slots=True)
class Exported:
    """How far an export has come. `pending` are requests under way, which are in no figure yet and in no line."""

    requests: int = 0
    pending: int = 0
    counted_usd: Decimal = Decimal(0)
    reached: UsageRecord | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """`prices` are what running the router is counted at."""

    format: Format
    output: TextIO
    prices: InfrastructurePrices

    def begin(self) -> None:
        if self.format is Format.CSV:
            self.output.write(rows.csv_header())

    def write(self, record: UsageRecord) -> Decimal:
        """Returns what the line adds to the totals, in USD."""
        values = rows.row(record, self.prices)
        self.output.write(LINES[self.format](values))
        return Decimal(str(values["counted_usd"]))


def export(books: Books, span: Span, *, writer: Writer, tell: Callable[[Exported], None] = lambda _: None) -> Exported:
    """A page of each shard is in memory, never more. `tell` hears of each line. Raises StoreError."""
    done = Exported()
    shards = list(aggregator.shards(books.ledger, books.checkpoints.current()))
    writer.begin()
    for record in openings.opened(books.ledger, span, shards=shards):
        if record.state is RecordState.PENDING:
            done.pending += 1
            continue
        done.counted_usd += writer.write(record)
        done.requests, done.reached = done.requests + 1, record
        tell(done)
    return done


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """To be written to; it takes the place of what is at `path` at the end, and only if all went well."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent, text=True)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
