"""The tables and the bucket of a local run, made in the embedded AWS as the template describes them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from infra.local import template
from llm_router import client_keys
from llm_router.client_keys import Role

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

REGION = "us-east-1"
ACCESS_KEY_ID = SECRET_ACCESS_KEY = "local"
LEDGER_TABLE, STATE_TABLE = "llm-router-local-ledger", "llm-router-local-state"
PAGE_BUCKET = "llm-router-local-page"


def prepare(endpoint: str, *, with_key: bool, now: datetime) -> str | None:
    """Create what is missing. Returns the first client key where one was wished for and made now."""
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)
    direct = Config(proxies={})
    dynamodb = session.client("dynamodb", endpoint_url=endpoint, config=direct)
    s3 = session.client("s3", endpoint_url=endpoint, config=direct)
    template.create_table(dynamodb, logical_name="LedgerTable", name=LEDGER_TABLE)
    template.create_table(dynamodb, logical_name="StateTable", name=STATE_TABLE)
    s3.create_bucket(Bucket=PAGE_BUCKET)
    return _first_key(dynamodb, now) if with_key else None


def _first_key(dynamodb: DynamoDBClient, now: datetime) -> str | None:
    if dynamodb.scan(TableName=STATE_TABLE, Limit=1)["Items"]:
        return None
    issued = client_keys.issue(role=Role.OPERATOR, label="first local key", now=now)
    dynamodb.put_item(TableName=STATE_TABLE, Item={name: {"S": value} for name, value in issued.item.items()})
    return issued.text
