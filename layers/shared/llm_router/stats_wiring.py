"""Puts the stats function's parts together, once a process, and loads nothing that serves HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_lambda_powertools import Logger

from llm_router import aws, books, settings
from llm_router.catalogue import Catalogue
from llm_router.clock import Clock
from llm_router.errors import SettingsError
from llm_router.fleet_store import FleetStore
from llm_router.publisher import Publisher
from llm_router.stats_job import StatsJob


def stats_job(environ: Mapping[str, str]) -> StatsJob:
    """What the schedule runs. Raises SettingsError."""
    read = settings.read(environ)
    if not read.page_bucket:
        raise SettingsError("the environment", ["PAGE_BUCKET is not set: give the name of the page's bucket"])
    clock = Clock()
    found = books.of(read, clock)
    return StatsJob(
        aggregator=found.aggregator,
        statistics=found.statistics,
        checkpoints=found.checkpoints,
        fleet_store=FleetStore(aws.dynamodb, table=read.state_table),
        publisher=Publisher(aws.s3, bucket=read.page_bucket, page_dir=Path(read.page_dir)),
        catalogue=Catalogue(),
        logger=Logger(service="stats"),
        clock=clock,
        stage=read.stage,
    )
