"""The processes of the proof: routers and stats functions, which can be killed and started again, and what they need.

The routers' sockets stay open in this process. Who asks while a router is down waits for the next one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import simplejson

from infra.bench.fleet.members import Emulator
from infra.local import aws_resources, processes
from infra.local.aws_resources import ACCESS_KEY_ID, LEDGER_TABLE, PAGE_BUCKET, REGION, SECRET_ACCESS_KEY, STATE_TABLE
from infra.local.processes import Child
from infra.proof import tariff
from infra.proof.ledgers import RETENTION_DAYS, SHARDS

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60.0
STATS_EVERY_S = 10.0


@dataclass(slots=True)
class Member:
    """One process that is started again where it was. `sock` is what it listens on, None where nobody asks it."""

    module: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path
    sock: socket.socket | None = None
    child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.sock.getsockname()[1]}" if self.sock else ""

    def start(self, *more: str) -> None:
        descriptor = self.sock.fileno() if self.sock else None
        arguments = [*self.arguments, *more, *(() if descriptor is None else ("--fd", str(descriptor)))]
        self.child = processes.start(self.module, arguments, environ=self.environ, log=self.log, fd=descriptor)

    def kill(self) -> None:
        """SIGKILL: it gets no word in."""
        if self.child:
            self.child.process.kill()
            processes.stop(self.child)

    def stop(self) -> None:
        if self.child:
            processes.stop(self.child)

    def await_answer(self, path: str) -> None:
        child = self.child
        if child is None:
            return
        processes.until(lambda: child.has_ended or processes.answers(self.url + path), limit_s=READY_WITHIN_S)
        if child.has_ended:
            raise SystemExit(f"{child.name} has ended:\n{child.last_words()}")

    def logs(self) -> list[Path]:
        """Those that were set aside as well, the oldest first."""
        return sorted(self.log.parent.glob(f"{self.log.name}*"), reverse=True)


@dataclass(slots=True)
class Surroundings:
    """What the routers' environment says: where DynamoDB and the providers are, and which tables are theirs."""

    folder: Path
    aws_url: str
    dynamodb_url: str
    providers_url: str
    ledger_table: str = LEDGER_TABLE
    state_table: str = STATE_TABLE
    shards: int = SHARDS

    def environ(self) -> dict[str, str]:
        file = self.folder / "providers.yaml"
        if not file.exists():
            file.write_text(simplejson.dumps(tariff.configuration(self.providers_url)))
        return plain() | {
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "STAGE": "proof",
            "LEDGER_TABLE": self.ledger_table,
            "LEDGER_SHARDS": str(self.shards),
            "RECORD_RETENTION_DAYS": str(RETENTION_DAYS),
            "STATE_TABLE": self.state_table,
            "PAGE_BUCKET": PAGE_BUCKET,
            "PAGE_DIR": str(ROOT / "infra/dashboard/page"),
            "PROVIDERS_FILE": str(file),
            "PROVIDER_KEYS": "environment",
            "REQUIRE_CLIENT_KEY": "false",
        }

    def router(self, number: int) -> Member:
        log = self.folder / f"router-{number}.log"
        return Member("infra.bench.fleet.router", (), self.environ(), log, processes.listening("127.0.0.1", 0))

    def stats_function(self, number: int) -> Member:
        every = ("--every-s", str(STATS_EVERY_S))
        return Member("infra.local.schedule", every, self.environ(), self.folder / f"stats-{number}.log")


@dataclass(slots=True)
class Members:
    """All processes of a run."""

    folder: Path
    emulator: Emulator
    door: Member
    providers: Member
    routers: list[Member] = field(default_factory=list)
    stats_functions: list[Member] = field(default_factory=list)

    @property
    def bills(self) -> Path:
        return self.folder / "bills.jsonl"

    @property
    def violated(self) -> list[Member]:
        return [*self.routers, *self.stats_functions]

    def start(self) -> None:
        for member in self.violated:
            member.start()
        for router in self.routers:
            router.await_answer("/health")

    def end(self) -> None:
        """As a deployment ends them: what is under way is brought to its end."""
        for member in self.violated:
            member.stop()


@contextmanager
def running(folder: Path, *, routers: int, stats_functions: int, seed: int) -> Iterator[Members]:
    """Ready to be asked, with a door that lets faults in from the first call on."""
    emulator = Emulator(folder)
    bills = folder / "bills.jsonl"
    providers = Member(
        "infra.proof.provider",
        ("--bills", str(bills), "--seed", str(seed)),
        plain(),
        folder / "provider.log",
        processes.listening("127.0.0.1", 0),
    )
    members: Members | None = None
    try:
        emulator.start()
        aws_resources.prepare(emulator.url, with_key=False, now=datetime.now(UTC))
        door = Member(
            "infra.proof.door",
            ("--upstream", emulator.url, "--seed", str(seed)),
            plain(),
            folder / "door.log",
            processes.listening("127.0.0.1", 0),
        )
        members = Members(folder, emulator, door, providers)
        surroundings = Surroundings(folder, emulator.url, door.url, providers.url)
        members.routers = [surroundings.router(number) for number in range(routers)]
        members.stats_functions = [surroundings.stats_function(number) for number in range(stats_functions)]
        door.start()
        providers.start()
        members.start()
        yield members
    finally:
        if members:
            for member in (*members.violated, members.door):
                member.stop()
        providers.stop()
        emulator.kill()


def plain() -> dict[str, str]:
    """Our own environment without what it says of AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT)])}
