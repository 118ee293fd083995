"""The real store on moto, with a clock that a test can move."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto import mock_aws
from moto.server import ThreadedMotoServer

import served_router
from infra.cli import entry
from infra.local import template
from integration.deployed import Router
from integration.tables import LEDGER_TABLE, STATE_TABLE
from llm_router.aggregator import Aggregator
from llm_router.checkpoints import Checkpoints
from llm_router.clock import Clock
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import Ledger
from llm_router.rollups import ALL, Kind
from llm_router.statistics import Statistics
from provider_server import serving


@dataclass
class MovingClock:
    """Stands still until it is moved; ids are numbered, so that a test can be run again."""

    at: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    ids: int = 0
    slept: list[float] = field(default_factory=list)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def as_clock(self) -> Clock:
        return Clock(
            now=lambda: self.at,
            monotonic_s=lambda: self.at.timestamp(),  # noqa: PLW0108  # `at` changes, a bound method would not
            random_bits=self._random_bits,
            jitter=lambda: 0.0,
        )

    def _random_bits(self, count: int) -> int:
        """The low bits choose the shard: one after the other."""
        self.ids += 1
        return (self.ids << 40 | self.ids) % (1 << count)


@dataclass(frozen=True)
class Books:
    client: object
    moving: MovingClock
    clock: Clock
    ledger: Ledger
    checkpoints: Checkpoints
    aggregator: Aggregator
    statistics: Statistics

    def total(self, kind=Kind.ALL, name=ALL):
        """What was aggregated over all time."""
        return self.checkpoints.total(kind, name)


@pytest.fixture(scope="session")
def moto_over_http():
    """The address at which moto answers for what this process holds: the functions' own client speaks HTTP."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def dynamodb(moto_over_http, monkeypatch):
    for service in ("DYNAMODB", "SSM"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", moto_over_http)
    with mock_aws():
        client = boto3.client("dynamodb")
        template.create_table(client, logical_name="LedgerTable", name=LEDGER_TABLE)
        template.create_table(client, logical_name="StateTable", name=STATE_TABLE)
        yield client


def open_books(client, *, shards: int = 4) -> Books:
    moving = MovingClock()
    clock = moving.as_clock()
    ledger = Ledger(lambda: client, table=LEDGER_TABLE, shards=shards, retention_days=400, clock=clock)
    checkpoints = Checkpoints(lambda: client, table=LEDGER_TABLE)
    prices = InfrastructurePrices()
    aggregator = Aggregator(ledger=ledger, checkpoints=checkpoints, prices=prices, clock=clock)
    statistics = Statistics(ledger=ledger, checkpoints=checkpoints, prices=prices, clock=clock)
    return Books(client, moving, clock, ledger, checkpoints, aggregator, statistics)


@pytest.fixture
def books(dynamodb):
    return open_books(dynamodb)


LOG_GROUPS = ("/llm-router/dev/router", "/llm-router/dev/streaming")


class Stacks:
    """CloudFormation, as far as the stage `dev` goes."""

    def describe_stacks(self, **asked):
        if asked["StackName"] != "llm-router-dev":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "does not exist"}}, "DescribeStacks")
        outputs = {"LedgerTable": LEDGER_TABLE, "RouterLogs": LOG_GROUPS[0], "StreamingLogs": LOG_GROUPS[1]}
        parameters = {
            "Architecture": "arm64",
            "InfrastructurePrices": "",
            "LedgerShards": "4",
            "RecordRetentionDays": "400",
        }
        return {
            "Stacks": [
                {
                    "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
                    "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
                }
            ]
        }


@pytest.fixture
def stage(dynamodb, monkeypatch):
    """The deployed stage `dev`: its stack's description, tables and log groups; gives the client of the logs."""
    logs = boto3.client("logs")
    for group in LOG_GROUPS:
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="one")
    clients = {"cloudformation": Stacks(), "dynamodb": dynamodb, "logs": logs}
    monkeypatch.setattr(boto3.Session, "client", lambda _, service, **__: clients[service])
    return logs


@pytest.fixture
def command_line(stage):
    """`llm-router` against the stage `dev`: exit code, what it prints, what it says beside that."""
    del stage

    def run(*arguments, stage="dev"):
        return CliRunner().invoke(entry.main, list(arguments), env={"LLM_ROUTER_STAGE": stage})

    return run


@pytest.fixture
def router(dynamodb, monkeypatch, tmp_path):
    """Not started yet, so that a test can change its surroundings. Its event loop ends with the test."""
    del dynamodb

    with serving() as server:
        started = Router(server, monkeypatch, tmp_path)
        yield started
        started.stop()
    loop = asyncio.get_event_loop()
    pending = asyncio.all_tasks(loop)
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    asyncio.set_event_loop(None)
    assert not pending, "a task outlived the answer"


@pytest.fixture
def start(dynamodb, tmp_path):
    """Starts routers over HTTP, each before providers of the test's own."""
    del dynamodb
    with served_router.starting(tmp_path) as found:
        yield found
