"""The ledger and all that reads it, put together for both functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_router.aggregator import Aggregator
from llm_router.checkpoints import Checkpoints
from llm_router.clock import Clock
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import Ledger
from llm_router.settings import Settings
from llm_router.statistics import Statistics

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Books:
    ledger: Ledger
    checkpoints: Checkpoints
    aggregator: Aggregator
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Cover:
    """What must be known of a ledger to open its books; `shards` and `retention_days` are for what is new in it."""

    table: str
    shards: int
    retention_days: int
    prices: InfrastructurePrices


def of(read: Settings, client: Callable[[], DynamoDBClient], clock: Clock) -> Books:
    cover = Cover(
        table=read.ledger_table,
        shards=read.ledger_shards,
        retention_days=read.record_retention_days,
        prices=read.infrastructure_prices,
    )
    return opened(client, cover, clock)


def opened(client: Callable[[], DynamoDBClient], cover: Cover, clock: Clock) -> Books:
    ledger = Ledger(client, table=cover.table, shards=cover.shards, retention_days=cover.retention_days, clock=clock)
    checkpoints = Checkpoints(client, table=cover.table)
    prices = cover.prices
    aggregator = Aggregator(ledger=ledger, checkpoints=checkpoints, prices=prices, clock=clock)
    statistics = Statistics(ledger=ledger, checkpoints=checkpoints, prices=prices, clock=clock)
    return Books(ledger, checkpoints, aggregator, statistics)
