"""Puts the router's parts together, once a process. The stats function, which needs few of them, has stats_wiring."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aws_lambda_powertools import Logger
from fastapi import FastAPI

from llm_router import app, aws_access, books, configuration, settings
from llm_router.aws_access import AwsAccess
from llm_router.catalogue import Catalogue
from llm_router.client_keys import ClientKeys
from llm_router.clock import Clock
from llm_router.dispatcher import Dispatcher
from llm_router.fitting import Fitter
from llm_router.fleet import Fleet
from llm_router.fleet_store import FleetStore
from llm_router.overview import Overview
from llm_router.provider_keys import EnvironmentKeys, KeyReader, ParameterStoreKeys
from llm_router.settings import KeySource, Settings
from llm_router.tokens import Tokenizer
from llm_router.transport import Transport


def router(environ: Mapping[str, str]) -> FastAPI:
    """The app of every HTTP door. Raises SettingsError or ConfigurationError with all that is wrong."""
    read = settings.read(environ)
    access, clock = aws_access.read(environ), Clock()
    logger = Logger(service="router")
    configured = configuration.load(read.providers_file, catalogue=Catalogue())
    found = books.of(read, access.dynamodb, clock)
    keys = _provider_keys(read, environ, access, clock, logger)
    fleet = Fleet(FleetStore(access.dynamodb, table=read.state_table), clock=clock, logger=logger)
    transport = Transport()
    doors = app.Doors(
        configuration=configured,
        client_keys=_client_keys(read, access, clock),
        dispatcher=Dispatcher(
            configuration=configured,
            keys=keys,
            fleet=fleet,
            ledger=found.ledger,
            transport=transport,
            fitter=Fitter(Tokenizer(Path(read.vocabulary_dir), logger=logger), logger),
            clock=clock,
            logger=logger,
            memory_mb=read.memory_mb,
        ),
        overview=Overview(
            configuration=configured,
            aggregator=found.aggregator,
            statistics=found.statistics,
            fleet=fleet,
            keys=keys,
            clock=clock,
        ),
        logger=logger,
        gateway_timeout_s=read.gateway_timeout_s,
        max_body_bytes=read.max_body_bytes,
    )
    made = app.create(doors)
    made.state.transport, made.state.access = transport, access  # for who outlives the app and closes what it kept open
    return made


def _client_keys(read: Settings, access: AwsAccess, clock: Clock) -> ClientKeys | None:
    return ClientKeys(access.dynamodb, table=read.state_table, clock=clock) if read.require_client_key else None


def _provider_keys(
    read: Settings, environ: Mapping[str, str], access: AwsAccess, clock: Clock, logger: Logger
) -> KeyReader:
    if read.key_source is KeySource.ENVIRONMENT:
        return EnvironmentKeys(environ)
    return ParameterStoreKeys(access.ssm, stage=read.stage, clock=clock, logger=logger)
