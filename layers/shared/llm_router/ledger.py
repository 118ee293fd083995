"""The ledger in DynamoDB: opens a record before money is spent, settles it once, and reads records back in order.

docs/data-model.md describes the keys and why nothing is ever inserted behind a reader. Every method is blocking and
raises StoreError when DynamoDB does not do its part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from llm_router import aws, checkpoints, journal_items, positions
from llm_router.clock import Clock
from llm_router.errors import StoreError
from llm_router.usage import RecordState, UsageRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

INSERT_WITHIN_S = 20.0
"""A record is only good at its position if it was acknowledged this soon after the position was stamped."""

SAFE_BEHIND_S = 60.0
"""How far behind the clock a reader stays that must not miss an insert; well over INSERT_WITHIN_S and clock skew."""

KEYS_A_BATCH = 100

IDLE_BATCHES_AT_MOST = 3
"""So many batches in a row that bring nothing mean that DynamoDB throttles; asking on would only feed that."""

INSERTS_TRIED_AT_MOST = 8
"""Others write to the checkpoint too, and of two transactions on one item the second is refused."""

FIRST, LAST = "0", "~"
"""Before and after every position."""


class Ledger:
    """`shards` is how many partitions new records are spread over; `retention_days` when they expire."""

    def __init__(
        self, client: Callable[[], DynamoDBClient], *, table: str, shards: int, retention_days: int, clock: Clock
    ) -> None:
        self._client = client
        self._table = table
        self._shards = shards
        self._retention = timedelta(days=retention_days)
        self._clock = clock

    @property
    def shards(self) -> int:
        return self._shards

    def new_position(self) -> str:
        bits = self._clock.random_bits(positions.RANDOM_BITS + 5)
        return positions.position(self._clock.now(), shard=bits % self._shards, random_bits=bits >> 5)

    def insert(self, record: UsageRecord) -> UsageRecord:
        """Put a pending record into the journal, at its own position and in time, or raise StoreError.

        It never looks for another position: a writer that has stopped waiting for it would not know of that one.
        """
        if not self._is_inserted(record):
            raise StoreError("PutItem", "too late for its position")
        return record

    def note_attempts(self, record: UsageRecord) -> None:
        """Write down the attempts so far and the one about to start, while the record is pending.

        One whose opening failed is opened now. A write that arrives after that of a later attempt changes nothing.
        """
        values = journal_items.record_values(record)
        changed = {name: values[name] for name in ("attempts", "trying", "cost_usd", "cost_basis")}
        known = f"size(#attempts) < {journal_items.COUNT}"
        with aws.asking("UpdateItem"):
            found = self._update(record.position, changed, known=known, count=len(record.attempts))
        if found == {}:
            self.insert(record)

    def settle(self, record: UsageRecord) -> UsageRecord:
        """Write the end of a request, exactly once, whatever became of its opening.

        A record that is not there (DynamoDB was down when it was opened) is inserted, at a new position where its own
        has become too old; one that was given up as unsettled is corrected; one that is settled already is this very
        record, written by a try whose acknowledgement got lost.
        """
        with aws.asking("UpdateItem"):
            found = self._update(record.position, journal_items.record_values(record))
        if found is None:
            return record
        if not found:
            return self._make_up_for(record)
        before = journal_items.record_of(found)
        return self._correct(before, record) if before.state is RecordState.UNSETTLED else record

    def settle_from_log(self, record: UsageRecord) -> UsageRecord:
        """`settle`, where an estimate that was given up from the log too may stand for the record elsewhere."""
        found = self._found(record.position)
        if not found and (moved_to := self._moved_to(record)):
            found = self._found(moved_to)
        while corrected_at := found.get("corrected_at", {}).get("S"):
            found = self._found(corrected_at)
        before = journal_items.record_of(found) if found else None
        if before and before.state is RecordState.UNSETTLED and before.position != record.position:
            return self._correct(before, record)
        return self.settle(record)

    def give_up(self, record: UsageRecord) -> UsageRecord | None:
        """Mark an orphan as unsettled, unless it was settled meanwhile; returns the record as it now stands.

        None where it is none: its writer took it back, or it is an opening that arrived after the settlement had been
        inserted elsewhere. What was noted since `record` was read is kept.
        """
        if self._moved_to(record):
            return None
        unsettled = replace(record, state=RecordState.UNSETTLED, settled_at=self._clock.now())
        values, known = journal_items.record_values(unsettled), f"size(#attempts) = {journal_items.COUNT}"
        with aws.asking("UpdateItem"):
            found = self._update(record.position, values, known=known, count=len(record.attempts))
        if found is None:
            return unsettled
        now = journal_items.record_of(found) if found else None
        return self.give_up(now) if now and now.state is RecordState.PENDING else now

    def give_up_unopened(self, record: UsageRecord) -> UsageRecord | None:
        """End a request of which only the log knows that it, or its last attempt, began: its process died before it
        could settle it. At its upper estimate, as an orphan; None where the ledger knows as much or more.
        """
        standing = self.find(record.position)
        unsettled = replace(record, state=RecordState.UNSETTLED, settled_at=self._clock.now())
        if standing is None:
            return self._insert_once(unsettled, claim=self._mark_moved)
        knows_less = len(standing.attempts) < len(record.attempts)
        if standing.state is RecordState.PENDING:
            if knows_less:
                self.note_attempts(record)
            return self.give_up(record if knows_less else standing)
        return self._correct(standing, unsettled) if standing.state is RecordState.UNSETTLED and knows_less else None

    def find(self, position: str) -> UsageRecord | None:
        found = self._found(position)
        return journal_items.record_of(found) if found else None

    def find_all(self, at: Sequence[str]) -> list[UsageRecord]:
        """The records at these positions that exist, in no order."""
        found: list[UsageRecord] = []
        wanted = [journal_items.to_item(journal_items.journal_key(position)) for position in at]
        with aws.asking("BatchGetItem"):
            idle = 0
            while wanted:
                if idle >= IDLE_BATCHES_AT_MOST:
                    raise StoreError("BatchGetItem", "throttled")
                batch, wanted = wanted[:KEYS_A_BATCH], wanted[KEYS_A_BATCH:]
                answer = self._client().batch_get_item(
                    RequestItems={self._table: {"Keys": batch, "ConsistentRead": True}}
                )
                read = [journal_items.record_of(item) for item in answer["Responses"].get(self._table, [])]
                idle = 0 if read else idle + 1
                found += read
                left = answer["UnprocessedKeys"].get(self._table)
                wanted += left["Keys"] if left else []
        return found

    def after(
        self, position: str, *, shard: int, until: datetime | None = None, page: int = 500
    ) -> Iterator[UsageRecord]:
        """The shard's records past `position`, in order, up to the time `until`; consistent, read page by page."""
        end = positions.lower_bound(until) if until else LAST
        if position >= end:
            return
        low = position or FIRST  # DynamoDB refuses an empty key
        yield from self._query(shard, low, end, page=page, forward=True)

    def latest(self, count: int, *, shard: int) -> list[UsageRecord]:
        """The shard's last records, newest first."""
        return list(islice(self._query(shard, FIRST, LAST, page=count, forward=False), count))

    def moved(self, day: date, *, since: datetime, until: datetime, page: int = 500) -> Iterator[str]:
        """The positions of records that stand elsewhere than their ids say, in the order of the ids: those of a day of
        opening whose ids were stamped in that time.
        """
        low, high = positions.lower_bound(since), positions.lower_bound(until)
        for item in self._items(journal_items.moved_partition(day), low, high, page=page, forward=True):
            yield item["moved_to"]["S"]

    def moved_to(self, request_id: str, *, day: date) -> str | None:
        """The position of a request's record that stands elsewhere; None where no request of that day has moved so."""
        key = journal_items.to_item(journal_items.moved_key(request_id, day=day))
        with aws.asking("GetItem"):
            answer = self._client().get_item(TableName=self._table, Key=key, ConsistentRead=True)
            return answer["Item"]["moved_to"]["S"] if "Item" in answer else None

    def _query(self, shard: int, low: str, high: str, *, page: int, forward: bool) -> Iterator[UsageRecord]:
        partition = journal_items.journal_partition(shard)
        for item in self._items(partition, low, high, page=page, forward=forward):
            record = journal_items.record_of(item)
            if record.position not in (low, high):
                yield record

    def _items(self, partition: str, low: str, high: str, *, page: int, forward: bool) -> Iterator[Any]:
        start: dict[str, AttributeValueTypeDef] = {}
        while True:
            with aws.asking("Query"):
                answer = self._client().query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                    ExpressionAttributeValues=journal_items.to_item({":pk": partition, ":low": low, ":high": high}),
                    ConsistentRead=True,
                    ScanIndexForward=forward,
                    Limit=page,
                    **({"ExclusiveStartKey": start} if start else {}),  # type: ignore[arg-type]  # an optional argument
                )
                items = answer["Items"]
            yield from items
            start = answer.get("LastEvaluatedKey", {})
            if not start:
                return

    def _is_late(self, record: UsageRecord) -> bool:
        return self._clock.now() - positions.time_of(record.position) >= timedelta(seconds=INSERT_WITHIN_S)

    def _is_inserted(self, record: UsageRecord) -> bool:
        """Whether it stands at its own position, acknowledged before a reader can have passed there.

        It is pending, so that it can be taken back when it was late: what is pending was counted nowhere.
        """
        if self._is_late(record):
            return False
        with aws.asking("PutItem"), self._agreeing():
            self._client().put_item(
                TableName=self._table, Item=self._item(record), ConditionExpression="attribute_not_exists(pk)"
            )
        return not self._is_late(record) or not self._is_taken_back(record)

    def _is_taken_back(self, record: UsageRecord) -> bool:
        """Whether it is gone now. Only what is pending may go: all else counts, or soon will."""
        key = journal_items.to_item(journal_items.journal_key(record.position))
        with aws.asking("DeleteItem"):
            try:
                self._client().delete_item(
                    TableName=self._table,
                    Key=key,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **journal_items.in_state(RecordState.PENDING),
                )
            except ClientError as error:
                if aws.error_code(error) != "ConditionalCheckFailedException":
                    raise
                return not dict(error.response).get("Item")
        return True

    def _found(self, position: str) -> dict[str, AttributeValueTypeDef]:
        """The item as it lies there, empty where there is none."""
        with aws.asking("GetItem"):
            key = journal_items.to_item(journal_items.journal_key(position))
            answer = self._client().get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return answer.get("Item", {})

    def _moved_to(self, record: UsageRecord) -> str | None:
        """Where a record stands that had to be inserted elsewhere than where its id says."""
        return self.moved_to(record.request_id, day=_day(record))

    def _item(self, record: UsageRecord) -> dict[str, AttributeValueTypeDef]:
        return journal_items.to_item(
            {
                **journal_items.journal_key(record.position),
                **journal_items.record_values(record),
                "expires_at": self._expires_at(record),
            }
        )

    def _expires_at(self, record: UsageRecord) -> int:
        return int((record.opened_at + self._retention).timestamp())

    def _update(
        self, position: str, values: dict[str, object], *, known: str = "", count: int = 0
    ) -> dict[str, AttributeValueTypeDef] | None:
        """While the record is pending, and `known` holds of it with `count`.

        None when it was written; else the item that stood in the way, empty where there is none.
        """
        key = journal_items.to_item(journal_items.journal_key(position))
        request = journal_items.update_expression(values, RecordState.PENDING, known=known, count=count)
        try:
            self._client().update_item(
                TableName=self._table, Key=key, ReturnValuesOnConditionCheckFailure="ALL_OLD", **request
            )
        except ClientError as error:
            if aws.error_code(error) != "ConditionalCheckFailedException":
                raise
            response: dict[str, Any] = dict(error.response)
            found: dict[str, AttributeValueTypeDef] = response.get("Item", {})
            return found
        return None

    def _make_up_for(self, record: UsageRecord) -> UsageRecord:
        """Settle a record whose opening failed: at its own position, where it is opened now, or past the walk with a
        mark that it has moved, by which a second try knows.
        """
        if self._is_inserted(replace(record, state=RecordState.PENDING)):
            return self.settle(record)
        return self._insert_once(record, claim=self._mark_moved) or record

    def _correct(self, before: UsageRecord, after: UsageRecord) -> UsageRecord:
        """Insert the real end at a new position and mark the estimate as replaced, both or neither."""

        def mark(correction: UsageRecord) -> Any:
            marks = {"state": RecordState.CORRECTED.value, "corrected_at": correction.position}
            return {
                "Update": {
                    "TableName": self._table,
                    "Key": journal_items.to_item(journal_items.journal_key(before.position)),
                    **journal_items.update_expression(marks, RecordState.UNSETTLED),
                }
            }

        return self._insert_once(replace(after, replaces=before), claim=mark) or after

    def _mark_moved(self, record: UsageRecord) -> Any:
        mark = {
            **journal_items.moved_key(record.request_id, day=_day(record)),
            "moved_to": record.position,
            "expires_at": self._expires_at(record),
        }
        condition = "attribute_not_exists(pk)"
        return {
            "Put": {
                "TableName": self._table,
                "Item": journal_items.to_item(mark),
                "ConditionExpression": condition,
            }
        }

    def _insert_once(self, record: UsageRecord, *, claim: Callable[[UsageRecord], Any]) -> UsageRecord | None:
        """Insert at a new position, ahead of the walk whatever the clocks say; None where `claim` was made before.

        Record, claim and the walk's consent are one transaction: whoever repeats it, after whatever crash, and however
        long it lay frozen on its way, the record is inserted once and counted once.
        """
        for _ in range(INSERTS_TRIED_AT_MOST):
            placed = replace(record, position=self.new_position())
            put: Any = {"Put": {"TableName": self._table, "Item": self._item(placed)}}
            ahead: Any = {"Update": checkpoints.ahead_of_the_walk(placed.position, table=self._table)}
            with aws.asking("TransactWriteItems"):
                try:
                    self._client().transact_write_items(TransactItems=[claim(placed), ahead, put])
                except ClientError as error:
                    reasons = aws.cancellation_reasons(error)
                    if not reasons or not set(reasons) <= {"None", "ConditionalCheckFailed", "TransactionConflict"}:
                        raise
                    if reasons[0] == "ConditionalCheckFailed":
                        return None
                else:
                    return placed
        raise StoreError("TransactWriteItems", "conflict")

    @contextmanager
    def _agreeing(self) -> Iterator[None]:
        """A failed condition is an answer: the record is there already."""
        try:
            yield
        except ClientError as error:
            if aws.error_code(error) != "ConditionalCheckFailedException":
                raise


def _day(record: UsageRecord) -> date:
    return record.opened_at.astimezone(UTC).date()
