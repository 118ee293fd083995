"""Everything known of one request: its record as it stands, what it replaced, and whether the sums hold it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from infra.records import openings
from llm_router import journal_items, positions
from llm_router.books import Books
from llm_router.checkpoints import Checkpoint
from llm_router.usage import RecordState, UsageRecord


class Counted(StrEnum):
    """Whether the figures hold a record."""

    NOT_YET = "not yet"
    LIVE = "as it stands"
    SUMMED = "in the sums"


MEANINGS = {
    Counted.NOT_YET: "no: it is under way",
    Counted.LIVE: "yes; the aggregation has not come to it, so the figures read the record itself",
    Counted.SUMMED: "yes; it is in the sums of its hour",
}


@dataclass(frozen=True, slots=True)
class Known:
    """`record` is how the request stands; `before` the estimate that it has replaced, None where it replaced none."""

    record: UsageRecord
    before: UsageRecord | None
    counted: Counted

    @property
    def has_moved(self) -> bool:
        """Whether it stands elsewhere than its id says, and is no correction."""
        return self.before is None and self.record.position != self.record.request_id


def of(books: Books, request_id: str) -> Known | None:
    """None where the ledger has no such request. Raises ValueError for what is no request id, and StoreError."""
    record, before = openings.one(books.ledger, request_id), None
    while record and record.corrected_at:  # more than once, where the first correction was an estimate too
        correction = books.ledger.find(record.corrected_at)
        if correction is None:
            break
        record, before = correction, record
    return Known(record, before, counted(record, books.checkpoints.current())) if record else None


def counted(record: UsageRecord, checkpoint: Checkpoint) -> Counted:
    if record.state is RecordState.PENDING:
        return Counted.NOT_YET
    walked = checkpoint.walked.get(positions.shard_of(record.position), "")
    passed = record.position <= walked and record.position not in checkpoint.open
    return Counted.SUMMED if passed else Counted.LIVE


def document(known: Known) -> dict[str, object]:
    """For scripts, in the ledger's own words."""
    record = known.record
    return {
        "position": record.position,
        **{name: value for name, value in journal_items.record_values(record).items() if name != "replaces"},
        "replaced": known.before and {"position": known.before.position, **journal_items.record_values(known.before)},
        "moved": known.has_moved,
        "counted": known.counted.value,
        "counted_at": record.opened_at.strftime("%Y-%m-%dT%H:00Z"),
    }
