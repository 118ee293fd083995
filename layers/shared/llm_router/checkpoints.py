"""The aggregator's place in the journal and the sums up to it: read together, moved together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from llm_router import aws, journal_items, positions, rollup_items, rollups
from llm_router.errors import StoreError
from llm_router.rollups import Counters, Increments, Kind, Period, RollupKey, Sums
from llm_router.spans import Segment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_KEY = {"pk": "checkpoint", "sk": "rollups"}
_SNAPSHOT_TRIES = 8
_BATCH_TRIES = 10

T = TypeVar("T")

OF_ALL_TIME = Segment(Period.TOTAL)


class Sum(NamedTuple):
    """Out of a rollup: the start of its period (empty for the total), whose sum it is, and the sum."""

    start: str
    name: str
    counters: Counters


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to which position each shard was walked, and which records were still pending when passed."""

    version: int = 0
    walked: Mapping[int, str] = field(default_factory=dict)
    open: tuple[str, ...] = ()


class Checkpoints:
    """The checkpoint and the rollups in the ledger table. Blocking; raises StoreError."""

    def __init__(self, client: Callable[[], DynamoDBClient], *, table: str) -> None:
        self._client = client
        self._table = table

    def current(self) -> Checkpoint:
        with aws.asking("GetItem"):
            answer = self._client().get_item(
                TableName=self._table, Key=journal_items.to_item(_KEY), ConsistentRead=True
            )
        return _checkpoint(journal_items.from_item(answer.get("Item", {})))

    def advance(
        self, before: Checkpoint, after: Checkpoint, increments: Increments, *, known: Mapping[RollupKey, Sums]
    ) -> dict[RollupKey, Sums] | None:
        """Move the checkpoint and add the increments, both or neither; None when another run has moved it.

        `known` are rollups as they were at the checkpoint `before`; what is not among them is read. Returns those that
        were changed, as they are now: no other run can have changed them since, or this one would have failed.
        """
        more = increments.by_key()
        rollups_before = {**self.rollups([key for key in more if key not in known]), **known}
        changed = {}
        for key, sums in more.items():
            mine = rollups_before.get(key, {})
            changed[key] = rollups.added(mine, rollups.bounded(mine, sums))
        items: list[Any] = [{"Update": self._move(before, after)}]
        items += [{"Update": self._replacement(key, sums)} for key, sums in sorted(changed.items())]
        try:
            self._client().transact_write_items(TransactItems=items)
        except aws.UNREACHABLE as error:
            if _was_overtaken(error):
                return None
            raise StoreError("TransactWriteItems", aws.error_code(error)) from error
        return changed

    def rollups(self, wanted: Sequence[RollupKey]) -> dict[RollupKey, Sums]:
        """Those of them that there are; consistent. At most 100 at a time."""
        by_place = {tuple(rollup_items.key(key).values()): key for key in wanted}
        found: dict[RollupKey, Sums] = {}
        keys = [journal_items.to_item(rollup_items.key(key)) for key in wanted]
        with aws.asking("BatchGetItem"):
            for _ in range(_BATCH_TRIES):
                if not keys:
                    return found
                answer = self._client().batch_get_item(
                    RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}}
                )
                for item in answer["Responses"].get(self._table, []):
                    found[by_place[item["pk"]["S"], item["sk"]["S"]]] = rollup_items.sums(item)
                left = answer["UnprocessedKeys"].get(self._table)
                keys = left["Keys"] if left else []
        raise StoreError("BatchGetItem", "throttled")

    def with_checkpoint(self, read: Callable[[], T]) -> tuple[Checkpoint, T]:
        """What `read` finds in the rollups, and the checkpoint that it belongs to."""
        checkpoint = self.current()
        for _ in range(_SNAPSHOT_TRIES):
            found = read()
            again = self.current()
            if again.version == checkpoint.version:
                return checkpoint, found
            checkpoint = again
        raise StoreError("Query", "the aggregator kept moving; try again")

    def sums(self, kind: Kind, *, segment: Segment = OF_ALL_TIME) -> Iterator[Sum]:
        """The rollups of a kind in a segment of time, by start and name, whatever the checkpoint; read page by page."""
        for item in self._query(rollup_items.partition(segment.period, kind), segment):
            start = rollup_items.start(item)
            for name, counters in rollup_items.sums(item).items():
                yield Sum(start, name, counters)

    def total(self, kind: Kind, name: str) -> Counters:
        """One sum over all time, as far as the aggregation has come."""
        (found,) = self.rollups([RollupKey(Period.TOTAL, kind)]).values() or [{}]
        return found.get(name, {})

    def _query(self, partition: str, segment: Segment) -> Iterator[Mapping[str, AttributeValueTypeDef]]:
        low, high = rollup_items.bounds(segment)
        start: dict[str, AttributeValueTypeDef] = {}
        while True:
            with aws.asking("Query"):
                answer = self._client().query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                    ExpressionAttributeValues=journal_items.to_item({":pk": partition, ":low": low, ":high": high}),
                    ConsistentRead=True,
                    **({"ExclusiveStartKey": start} if start else {}),  # type: ignore[arg-type]  # an optional argument
                )
                items = answer["Items"]
            yield from (item for item in items if item["sk"]["S"] != high)
            start = answer.get("LastEvaluatedKey", {})
            if not start:
                return

    def _move(self, before: Checkpoint, after: Checkpoint) -> dict[str, object]:
        values = {
            ":before": before.version,
            ":after": before.version + 1,
            ":walked": {f"{shard:02}": position for shard, position in after.walked.items()},
            ":open": list(after.open),
        }
        first = "attribute_not_exists(#version)" if before.version == 0 else "#version = :before"
        if before.version == 0:
            del values[":before"]
        return {
            "TableName": self._table,
            "Key": journal_items.to_item(_KEY),
            "ConditionExpression": first,
            "UpdateExpression": "SET #version = :after, #walked = :walked, #open = :open",
            "ExpressionAttributeNames": {"#version": "version", "#walked": "walked", "#open": "open"},
            "ExpressionAttributeValues": journal_items.to_item(values),
        }

    def _replacement(self, key: RollupKey, sums: Sums) -> dict[str, object]:
        return {
            "TableName": self._table,
            "Key": journal_items.to_item(rollup_items.key(key)),
            "UpdateExpression": "SET sums = :sums",
            "ExpressionAttributeValues": {":sums": rollup_items.packed(sums)},
        }


def ahead_of_the_walk(position: str, *, table: str) -> dict[str, object]:
    """For a transaction that inserts there: fails where the walk has passed, and sends a run under way back to read."""
    return {
        "TableName": table,
        "Key": journal_items.to_item(_KEY),
        "ConditionExpression": "attribute_not_exists(#walked.#shard) OR #walked.#shard < :position",
        "UpdateExpression": "SET #version = if_not_exists(#version, :none) + :one",
        "ExpressionAttributeNames": {
            "#version": "version",
            "#walked": "walked",
            "#shard": f"{positions.shard_of(position):02}",
        },
        "ExpressionAttributeValues": journal_items.to_item({":position": position, ":none": 0, ":one": 1}),
    }


def _checkpoint(values: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        version=int(values.get("version", 0)),
        walked={int(shard): position for shard, position in values.get("walked", {}).items()},
        open=tuple(values.get("open", ())),
    )


def _was_overtaken(error: Exception) -> bool:
    reasons = aws.cancellation_reasons(error) if isinstance(error, ClientError) else []
    return any(reason in ("ConditionalCheckFailed", "TransactionConflict") for reason in reasons)
