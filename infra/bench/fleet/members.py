"""The processes of a fleet: routers that share one emulated DynamoDB, which can be stopped and started again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from infra.local import aws_resources, processes
from infra.local.aws_resources import ACCESS_KEY_ID, LEDGER_TABLE, REGION, SECRET_ACCESS_KEY, STATE_TABLE
from infra.local.processes import Child
from llm_router.fleet import ANSWERED_WITHIN_S
from llm_router.fleet_store import FleetStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).resolve().parents[3]
READY_WITHIN_S = 60.0
CHEAP, DEAR = "cheap", "dear"
CANDIDATE = f"{CHEAP}/words"
"""The one that goes down."""

FIRST_TOKEN_S = 3.0
"""How long a silent provider is waited for."""


@dataclass(slots=True)
class Emulator:
    """The embedded AWS of `make run`, always at the same address."""

    folder: Path
    url: str = ""
    child: Child | None = None

    def start(self) -> None:
        self.child, self.url = _started(
            "infra.local.emulator",
            ["--state-dir", str(self.folder / "aws")],
            environ=_plain(),
            log=self.folder / "emulator.log",
            port=urlsplit(self.url).port or 0,
        )
        _await([self.child], [self.url])

    def pause(self) -> None:
        """It takes connections and says nothing."""
        self._send(signal.SIGSTOP)

    def kill(self) -> None:
        """Connections are refused from now on."""
        if self.child:
            self.child.process.kill()
            processes.stop(self.child)

    def client(self) -> DynamoDBClient:
        """Gives up at once."""
        session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)
        quick = Config(proxies={}, connect_timeout=0.5, read_timeout=0.5, retries={"total_max_attempts": 1})
        return session.client("dynamodb", endpoint_url=self.url, config=quick)

    def _send(self, number: signal.Signals) -> None:
        if self.child:
            self.child.process.send_signal(number)


@dataclass(frozen=True, slots=True)
class Members:
    emulator: Emulator
    store: FleetStore
    urls: list[str] = field(default_factory=list)


@contextmanager
def running(
    folder: Path,
    *,
    routers: int,
    cheap_url: str,
    dear_url: str,
    patience_s: float = ANSWERED_WITHIN_S,
) -> Iterator[Members]:
    """Ready to be asked. The cheap provider's base URL is that of the one that goes down.

    `patience_s` is how long a router waits for what DynamoDB says of the breakers.
    """
    emulator = Emulator(folder)
    children: list[Child] = []
    try:
        emulator.start()
        aws_resources.prepare(emulator.url, with_key=False, now=datetime.now(UTC))
        environ = _environ(emulator.url, _configuration(folder, cheap_url=cheap_url, dear_url=dear_url))
        urls = []
        for number in range(routers):
            child, url = _started(
                "infra.bench.fleet.router",
                ["--patience-s", str(patience_s)],
                environ=environ,
                log=folder / f"router-{number}.log",
            )
            children.append(child)
            urls.append(url)
        _await(children, [f"{url}/health" for url in urls])
        client = emulator.client()
        yield Members(emulator, FleetStore(lambda: client, table=STATE_TABLE), urls)
    finally:
        for child in children:
            processes.stop(child)
        emulator.kill()


def _configuration(folder: Path, *, cheap_url: str, dear_url: str) -> Path:
    """JSON is YAML."""

    def provider(name: str, base_url: str, usd: float) -> dict[str, object]:
        model = {"name": "words", "price": {"input": usd, "output": usd}, "first_token_timeout_s": FIRST_TOKEN_S}
        return {"name": name, "base_url": base_url, "auth": "none", "models": [model]}

    file = folder / "providers.yaml"
    providers = [provider(CHEAP, cheap_url, 0.1), provider(DEAR, dear_url, 10)]
    routes = {"auto": {"strategy": "cheapest", "candidates": [CANDIDATE, f"{DEAR}/words"]}}
    file.write_text(json.dumps({"providers": providers, "routes": routes}))
    return file


def _plain() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT)])}


def _environ(aws_url: str, file: Path) -> dict[str, str]:
    return _plain() | {
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "STAGE": "fleet",
        "LEDGER_TABLE": LEDGER_TABLE,
        "STATE_TABLE": STATE_TABLE,
        "PROVIDERS_FILE": str(file),
        "PROVIDER_KEYS": "environment",
        "REQUIRE_CLIENT_KEY": "false",
    }


def _started(
    module: str, arguments: list[str], *, environ: Mapping[str, str], log: Path, port: int = 0
) -> tuple[Child, str]:
    with processes.listening("127.0.0.1", port) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        fd = listening.fileno()
        return processes.start(module, [*arguments, "--fd", str(fd)], environ=environ, log=log, fd=fd), url


def _await(children: list[Child], urls: list[str]) -> None:
    for child, url in zip(children, urls, strict=True):
        processes.until(lambda c=child, u=url: c.has_ended or processes.answers(u), limit_s=READY_WITHIN_S)  # type: ignore[misc]  # mypy infers no lambda with defaults
        if child.has_ended:
            raise SystemExit(f"{child.name} has ended:\n{child.last_words()}")
