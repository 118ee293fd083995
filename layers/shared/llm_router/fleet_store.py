"""The two items in the state table that the whole fleet shares: breakers and switches, and the facts for routing.

Blocking; raises StoreError when DynamoDB does not do its part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from llm_router import aws
from llm_router.errors import RouterError, StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Shared(StrEnum):
    """The items, by partition key."""

    FLEET = "fleet"
    FACTS = "facts"


class OvertakenError(RouterError):
    """Another process has changed the value meanwhile; `current` is what it is now."""

    def __init__(self, current: str | None) -> None:
        self.current = current
        super().__init__("another process has changed the value meanwhile")


class FleetStore:
    def __init__(self, client: Callable[[], DynamoDBClient], *, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, wanted: Collection[Shared]) -> dict[Shared, Mapping[str, str]]:
        """The text values of each item wanted, by name; nothing for an item that is not there."""
        keys: list[Any] = [_key(item) for item in sorted(wanted)]
        with aws.asking("BatchGetItem"):
            answer = self._client().batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            items = answer["Responses"].get(self._table, [])
        if answer.get("UnprocessedKeys"):
            raise StoreError("BatchGetItem", "throttled")
        found = {Shared(item["pk"]["S"]): _texts(item) for item in items}
        return {item: found.get(item, {}) for item in wanted}

    def swap(self, name: str, before: str | None, after: str | None) -> None:
        """Change one value of the fleet's item, if it is still `before`. Raises OvertakenError where it is not."""
        condition = "#name = :before" if before is not None else "attribute_not_exists(#name)"
        texts = {":before": before, ":after": after}
        values: Any = {place: {"S": text} for place, text in texts.items() if text is not None}
        try:
            self._client().update_item(
                TableName=self._table,
                Key=_key(Shared.FLEET),
                UpdateExpression="SET #name = :after" if after is not None else "REMOVE #name",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#name": name},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **({"ExpressionAttributeValues": values} if values else {}),
            )
        except aws.UNREACHABLE as error:
            if isinstance(error, ClientError) and aws.error_code(error) == "ConditionalCheckFailedException":
                stands: Any = error.response.get("Item", {})
                raise OvertakenError(_texts(stands).get(name)) from error
            raise StoreError("UpdateItem", aws.error_code(error)) from error

    def put(self, name: str, text: str | None) -> None:
        """Set or remove one value of the fleet's item, whatever it was."""
        values: Any = {} if text is None else {"ExpressionAttributeValues": {":text": {"S": text}}}
        with aws.asking("UpdateItem"):
            self._client().update_item(
                TableName=self._table,
                Key=_key(Shared.FLEET),
                UpdateExpression="REMOVE #name" if text is None else "SET #name = :text",
                ExpressionAttributeNames={"#name": name},
                **values,
            )

    def put_facts(self, text: str) -> None:
        with aws.asking("PutItem"):
            self._client().put_item(TableName=self._table, Item={**_key(Shared.FACTS), "facts": {"S": text}})


def _key(item: Shared) -> dict[str, Any]:
    return {"pk": {"S": item.value}}


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    return {name: value["S"] for name, value in item.items() if "S" in value}
