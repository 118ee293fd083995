"""The ledger as the one who judges opens it: with a clock of his own, which may be ahead of time.

An orphan is settled a while after its deadline. Nobody has to wait for that: only the clock tells the aggregation how
late it is.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from infra.local.aws_resources import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from llm_router import aws_access, journal_items
from llm_router.aggregator import Aggregator
from llm_router.checkpoints import Checkpoints
from llm_router.clock import Clock
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import Ledger
from llm_router.statistics import Statistics
from llm_router.usage import UsageRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS = 8
RETENTION_DAYS = 400
PAST_ALL_DEADLINES = timedelta(minutes=10)
RUN_S = 120.0


def clock(ahead: timedelta = PAST_ALL_DEADLINES) -> Clock:
    return Clock(now=lambda: datetime.now(UTC) + ahead)


@dataclass(frozen=True, slots=True)
class Ledgers:
    """One table, and all that reads it."""

    client: DynamoDBClient
    table: str
    ledger: Ledger
    checkpoints: Checkpoints
    aggregator: Aggregator
    statistics: Statistics

    def items(self) -> Iterator[Mapping[str, Any]]:
        """Every item of the table as it lies there."""
        for page in self.client.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True):
            yield from page["Items"]

    def records(self) -> list[UsageRecord]:
        """All of the journal, in no order."""
        return [journal_items.record_of(item) for item in self.items() if item["pk"]["S"].startswith("journal#")]


def opened(
    client: DynamoDBClient, *, table: str, ahead: timedelta = PAST_ALL_DEADLINES, shards: int = SHARDS
) -> Ledgers:
    time = clock(ahead)
    ledger = Ledger(lambda: client, table=table, shards=shards, retention_days=RETENTION_DAYS, clock=time)
    checkpoints, prices = Checkpoints(lambda: client, table=table), InfrastructurePrices()
    return Ledgers(
        client,
        table,
        ledger,
        checkpoints,
        Aggregator(ledger=ledger, checkpoints=checkpoints, prices=prices, clock=time),
        Statistics(ledger=ledger, checkpoints=checkpoints, prices=prices, clock=time),
    )


def patient_client(endpoint: str) -> DynamoDBClient:
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)
    return session.client("dynamodb", endpoint_url=endpoint, config=Config(proxies={}, read_timeout=60))


def settle_orphans(ledgers: Ledgers) -> int:
    """Aggregate until nothing is left; returns how many records were added to the sums."""
    added = 0
    while found := ledgers.aggregator.run(limit_s=RUN_S).records:
        added += found
    return added


def main() -> None:
    """Aggregate once, in a process that can be killed, with the client that the functions have."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--shards", type=int, default=SHARDS)
    arguments = parser.parse_args()
    client = aws_access.read(os.environ).dynamodb()
    settle_orphans(opened(client, table=arguments.table, shards=arguments.shards))


if __name__ == "__main__":
    main()
