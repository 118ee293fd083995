"""Puts the stats function's parts together, once a process, and loads nothing that serves HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from llm_router import aws_access, aws_session, books, settings
from llm_router.catalogue import Catalogue
from llm_router.clock import Clock
from llm_router.errors import SettingsError
from llm_router.fleet_store import FleetStore
from llm_router.publisher import Publisher
from llm_router.stats_job import StatsJob

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def stats_job(environ: Mapping[str, str], *, dynamodb: Callable[[], DynamoDBClient] | None = None) -> StatsJob:
    """What the schedule runs; with a client of DynamoDB other than the environment's own. Raises SettingsError."""
    read = settings.read(environ)
    if not read.page_bucket:
        raise SettingsError("the environment", ["PAGE_BUCKET is not set: give the name of the page's bucket"])
    client, clock = dynamodb or aws_access.read(environ).dynamodb, Clock()
    found = books.of(read, client, clock)
    return StatsJob(
        aggregator=found.aggregator,
        statistics=found.statistics,
        checkpoints=found.checkpoints,
        fleet_store=FleetStore(client, table=read.state_table),
        publisher=Publisher(aws_session.s3, bucket=read.page_bucket, page_dir=Path(read.page_dir)),
        catalogue=Catalogue(),
        logger=Logger(service="stats"),
        clock=clock,
        stage=read.stage,
    )
