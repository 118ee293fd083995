"""The aggregator's place in the journal and the sums up to it: read together, moved together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError

from llm_router import aws, journal_items, positions
from llm_router.errors import StoreError
from llm_router.rollups import Counters, Increments, Kind, Period, RollupKey
from llm_router.spans import Segment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_KEY = {"pk": "checkpoint", "sk": "rollups"}
_SNAPSHOT_TRIES = 8

T = TypeVar("T")

OF_ALL_TIME = Segment(Period.TOTAL)


class Sum(NamedTuple):
    """One rollup: the start of its period (empty for the total), whose sum it is, and the sum."""

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

    def advance(self, before: Checkpoint, after: Checkpoint, increments: Increments) -> bool:
        """Move the checkpoint and add the increments, both or neither; False when another run has moved it."""
        items: list[dict[str, Any]] = [{"Update": self._move(before, after)}]
        changed = sorted((key, sums) for key, sums in increments.by_key.items() if any(sums.values()))
        items += [{"Update": self._addition(key, sums)} for key, sums in changed]
        try:
            self._client().transact_write_items(TransactItems=items)  # type: ignore[arg-type]  # built piece by piece
        except aws.UNREACHABLE as error:
            if _was_overtaken(error):
                return False
            raise StoreError("TransactWriteItems", aws.error_code(error)) from error
        return True

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

    def sums(self, kind: Kind, *, segment: Segment = OF_ALL_TIME, owner: str = "") -> Iterator[Sum]:
        """The rollups of a kind in a segment of time, by start and name, whatever the checkpoint; read page by page."""
        partition = journal_items.rollup_partition(segment.period, kind, owner)
        for item in self._query(partition, segment):
            yield Sum(*journal_items.rollup_place(item), journal_items.counters(item))

    def one(self, key: RollupKey) -> Counters:
        """Empty where nothing was ever added."""
        with aws.asking("GetItem"):
            answer = self._client().get_item(
                TableName=self._table, Key=journal_items.to_item(journal_items.rollup_key(key)), ConsistentRead=True
            )
        return journal_items.counters(answer.get("Item", {}))

    def _query(self, partition: str, segment: Segment) -> Iterator[Mapping[str, AttributeValueTypeDef]]:
        """No name is empty, so none stands at the upper bound itself."""
        low, high = segment.low or journal_items.FIRST_SUM, segment.high or journal_items.LAST_SUM
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
            yield from items
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

    def _addition(self, key: RollupKey, sums: Counters) -> dict[str, object]:
        changed = [(name, value) for name, value in sorted(sums.items()) if value]
        return {
            "TableName": self._table,
            "Key": journal_items.to_item(journal_items.rollup_key(key)),
            "UpdateExpression": "ADD " + ", ".join(f"#n{i} :v{i}" for i in range(len(changed))),
            "ExpressionAttributeNames": {f"#n{i}": name for i, (name, _) in enumerate(changed)},
            "ExpressionAttributeValues": journal_items.to_item({f":v{i}": v for i, (_, v) in enumerate(changed)}),
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
