"""The first client key of a deployment: without one nobody could use it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from llm_router import client_keys
from llm_router.client_keys import Role

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LABEL = "made by make deploy"


def make_first(dynamodb: DynamoDBClient, *, table: str, now: datetime) -> str | None:
    """Store a new operator's key and return its text, which exists nowhere else; None where a key exists already."""
    if has_any(dynamodb, table=table):
        return None
    issued = client_keys.issue(role=Role.OPERATOR, label=LABEL, now=now)
    dynamodb.put_item(
        TableName=table,
        Item={name: {"S": value} for name, value in issued.item.items()},
        ConditionExpression="attribute_not_exists(pk)",
    )
    return issued.text


def has_any(dynamodb: DynamoDBClient, *, table: str) -> bool:
    """Reads the whole table where there is no key, which is when it is new and next to empty."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="begins_with(pk, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": client_keys.partition("")}},
        ProjectionExpression="pk",
        ConsistentRead=True,
    )
    return any(page["Items"] for page in pages)
