"""Puts the parts together, once a process: the router's app, and the job of the stats function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from fastapi import FastAPI

from llm_router import app, aws, configuration, settings
from llm_router.aggregator import Aggregator
from llm_router.catalogue import Catalogue
from llm_router.checkpoints import Checkpoints
from llm_router.client_keys import ClientKeys
from llm_router.clock import Clock
from llm_router.dispatcher import Dispatcher
from llm_router.errors import SettingsError
from llm_router.fleet import Fleet
from llm_router.fleet_store import FleetStore
from llm_router.ledger import Ledger
from llm_router.overview import Overview
from llm_router.provider_keys import EnvironmentKeys, KeyReader, ParameterStoreKeys
from llm_router.settings import KeySource, Settings
from llm_router.statistics import Statistics
from llm_router.transport import Transport

if TYPE_CHECKING:
    from llm_router.stats_job import StatsJob


def router(environ: Mapping[str, str]) -> FastAPI:
    """The app of every HTTP door. Raises SettingsError or ConfigurationError with all that is wrong."""
    read = settings.read(environ)
    clock = Clock()
    logger = Logger(service="router")
    configured = configuration.load(read.providers_file, catalogue=Catalogue())
    books = _books(read, clock)
    keys = _provider_keys(read, environ, clock, logger)
    fleet = Fleet(FleetStore(aws.dynamodb, table=read.state_table), clock=clock, logger=logger)
    doors = app.Doors(
        configuration=configured,
        client_keys=ClientKeys(aws.dynamodb, table=read.state_table, clock=clock) if read.require_client_key else None,
        dispatcher=Dispatcher(
            configuration=configured,
            keys=keys,
            fleet=fleet,
            ledger=books.ledger,
            transport=Transport(),
            clock=clock,
            logger=logger,
        ),
        overview=Overview(
            configuration=configured,
            aggregator=books.aggregator,
            statistics=books.statistics,
            fleet=fleet,
            keys=keys,
            clock=clock,
        ),
        logger=logger,
        gateway_timeout_s=read.gateway_timeout_s,
        max_body_bytes=read.max_body_bytes,
    )
    return app.create(doors)


def stats_job(environ: Mapping[str, str]) -> StatsJob:
    """What the schedule runs. Raises SettingsError."""
    from llm_router.publisher import Publisher  # noqa: PLC0415  # the router starts without it
    from llm_router.stats_job import StatsJob  # noqa: PLC0415  # the same

    read = settings.read(environ)
    if not read.page_bucket:
        raise SettingsError("the environment", ["PAGE_BUCKET is not set: give the name of the page's bucket"])
    clock = Clock()
    books = _books(read, clock)
    publisher = Publisher(aws.s3, bucket=read.page_bucket, page_dir=Path(read.page_dir))
    return StatsJob(
        aggregator=books.aggregator,
        statistics=books.statistics,
        checkpoints=books.checkpoints,
        fleet_store=FleetStore(aws.dynamodb, table=read.state_table),
        publisher=publisher,
        clock=clock,
        logger=Logger(service="stats"),
        stage=read.stage,
    )


@dataclass(frozen=True, slots=True)
class _Books:
    """The ledger and all that reads it."""

    ledger: Ledger
    checkpoints: Checkpoints
    aggregator: Aggregator
    statistics: Statistics


def _books(read: Settings, clock: Clock) -> _Books:
    ledger = Ledger(
        aws.dynamodb,
        table=read.ledger_table,
        shards=read.ledger_shards,
        retention_days=read.record_retention_days,
        clock=clock,
    )
    checkpoints = Checkpoints(aws.dynamodb, table=read.ledger_table)
    aggregator = Aggregator(ledger=ledger, checkpoints=checkpoints, clock=clock)
    statistics = Statistics(ledger=ledger, checkpoints=checkpoints, clock=clock)
    return _Books(ledger, checkpoints, aggregator, statistics)


def _provider_keys(read: Settings, environ: Mapping[str, str], clock: Clock, logger: Logger) -> KeyReader:
    if read.key_source is KeySource.ENVIRONMENT:
        return EnvironmentKeys(environ)
    return ParameterStoreKeys(aws.ssm, stage=read.stage, clock=clock, logger=logger)
