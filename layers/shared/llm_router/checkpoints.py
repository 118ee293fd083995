"""The aggregator's place in the journal and the sums up to it: read together, moved together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from llm_router import aws, journal_items, positions
from llm_router.errors import StoreError
from llm_router.rollups import ALL, Counters, Increments, RollupKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_KEY = {"pk": "checkpoint", "sk": "aggregation"}
_SNAPSHOT_TRIES = 8


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

    def snapshot(self, *, hours_since: str) -> tuple[Checkpoint, dict[str, Counters], dict[str, Counters]]:
        """The checkpoint, and the total rollups by dimension and those of all by hour that belong to it."""
        checkpoint = self.current()
        for _ in range(_SNAPSHOT_TRIES):
            totals, hours = self.totals(), self.series("hour", ALL, since=hours_since)
            again = self.current()
            if again.version == checkpoint.version:
                return checkpoint, totals, hours
            checkpoint = again
        raise StoreError("Query", "the aggregator kept moving; try again")

    def totals(self) -> dict[str, Counters]:
        """The rollups over all time, by dimension, whatever the checkpoint."""
        return {str(item["sk"]["S"]): journal_items.counters(item) for item in self._query("rollup#total")}

    def series(self, period: str, dimension: str, *, since: str) -> dict[str, Counters]:
        """The rollups of one dimension by the start of their hour or day, from `since` on."""
        key = journal_items.rollup_key(RollupKey(period, dimension, since))
        return {str(item["sk"]["S"]): journal_items.counters(item) for item in self._query(key["pk"], since)}

    def _query(self, partition: str, since: str = "!") -> Iterator[Mapping[str, AttributeValueTypeDef]]:
        start: dict[str, AttributeValueTypeDef] = {}
        while True:
            with aws.asking("Query"):
                answer = self._client().query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk AND sk >= :since",
                    ExpressionAttributeValues=journal_items.to_item({":pk": partition, ":since": since}),
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
