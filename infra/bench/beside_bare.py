"""What the router adds to a request, beside what the plainest pass-through adds: one caller, and many at once.

Many at once are measured twice. A provider that answers at once leaves them waiting for the processor alone: that is
how much can be served in all. One that takes its time has all of them in flight at once, as in production.

Both run as the streaming function does, under uvicorn with the options of its run.sh. Rounds alternate between the
provider itself, the bare pass-through, the router, and the router with a store that answers at once; the last shows how
much of the router's time is waiting for the store. Added is a target's time less the provider's own, at the same
percentile of all rounds.
"""

from __future__ import annotations

import os
import re
import shlex
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import boto3
import yaml
from botocore.config import Config

from infra.bench import load
from infra.bench.load import Load, Timed
from infra.local import processes
from infra.local.aws_resources import ACCESS_KEY_ID, LEDGER_TABLE, REGION, SECRET_ACCESS_KEY, STATE_TABLE
from llm_router import client_keys, key_names
from llm_router.client_keys import Role

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "functions" / "streaming" / "run.sh"

STORE_MS = 4.0
"""What DynamoDB takes for a small item within its region, about."""

READY_WITHIN_S = 60.0
ROUNDS = 5
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

PROVIDER, BARE, ROUTER, UNWAITING = "provider", "bare", "router", "router, store at once"
COMPARED = (BARE, ROUTER, UNWAITING)


AT_MOST_TWICE, BETTER = "aim: at most 2", "aim: below 1"
AIMS = {1: AT_MOST_TWICE, 64: BETTER}
"""By how many ask at once."""

LOADS = (
    Load(1, 80, streamed=False),
    Load(1, 60, streamed=True),
    Load(64, 512, streamed=False),
    Load(64, 384, streamed=True),
    Load(64, 192, streamed=False, paced=True),
    Load(64, 192, streamed=True, paced=True),
)
"""A round of each."""


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    pid: int | None = None

    @property
    def cpu_ms(self) -> float:
        """What its process has used so far, user and system together; 0 where that can't be told (no Linux)."""
        stat = Path(f"/proc/{self.pid}/stat")
        if not stat.exists():
            return 0.0
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / TICKS_A_SECOND


@dataclass(slots=True)
class _Runs:
    timed: list[Timed] = field(default_factory=list)
    cpu_ms: float = 0.0

    def percentile(self, of: Callable[[Timed], float], percent: int) -> float:
        return statistics.quantiles(map(of, self.timed), n=100)[percent - 1]

    @property
    def cpu_each_ms(self) -> float:
        return self.cpu_ms / len(self.timed)


@dataclass(frozen=True, slots=True)
class Added:
    """Milliseconds: by the bare pass-through, by the router, and by the router beside waiting for the store."""

    what: str
    bare_ms: float
    router_ms: float
    unwaiting_ms: float
    aim: str

    @property
    def line(self) -> str:
        return (
            f"  {self.what:<27} bare {self.bare_ms:8.3f} ms   router {self.router_ms:8.3f} ms, "
            f"ratio {self.router_ms / self.bare_ms:5.2f}   store at once {self.unwaiting_ms:8.3f} ms, "
            f"ratio {self.unwaiting_ms / self.bare_ms:5.2f}   {self.aim}"
        ).rstrip()


def measure(python: Path, *, rounds: int = ROUNDS) -> Iterator[tuple[Load, list[Added]]]:
    """Load by load, as each is done."""
    with tempfile.TemporaryDirectory() as scratch, _surroundings(python, Path(scratch)) as (targets, key):
        for each in LOADS:
            yield each, _compared(each, _runs(each, targets, key=key, rounds=rounds))


def _runs(each: Load, targets: Mapping[str, Target], *, key: str, rounds: int) -> dict[str, _Runs]:
    runs = {name: _Runs() for name in targets}
    for number in range(rounds + 1):
        for name, target in targets.items():
            used_before_ms = target.cpu_ms
            timed = load.run(target.url, each, key=key)
            if number:  # the first is not counted: connections are opened, code is warmed
                runs[name].timed += timed
                runs[name].cpu_ms += target.cpu_ms - used_before_ms
    return runs


def _compared(each: Load, runs: Mapping[str, _Runs]) -> list[Added]:
    def added(what: str, of: Callable[[Timed], float], percent: int) -> Added:
        own = runs[PROVIDER].percentile(of, percent)
        bare_ms, router_ms, unwaiting_ms = (runs[name].percentile(of, percent) - own for name in COMPARED)
        return Added(f"{what}, p{percent}", bare_ms, router_ms, unwaiting_ms, AIMS[each.at_once])

    measured = {"the whole answer": _whole_ms}
    if each.streamed:
        pace = {} if each.paced else {"each chunk": _chunk_ms}  # at a provider's pace it is the provider's
        measured = {"the first token": _first_ms, **pace, "the end of the stream": _whole_ms}
    rows = [added(what, of, percent) for what, of in measured.items() for percent in (50, 99)]
    bare_ms, router_ms, unwaiting_ms = (runs[name].cpu_each_ms for name in COMPARED)
    if bare_ms:
        rows.append(Added("CPU of the process, mean", bare_ms, router_ms, unwaiting_ms, aim=""))
    return rows


def _whole_ms(timed: Timed) -> float:
    return timed.whole_ms


def _first_ms(timed: Timed) -> float:
    return timed.first_ms


def _chunk_ms(timed: Timed) -> float:
    return timed.chunk_ms


@contextmanager
def _surroundings(python: Path, scratch: Path) -> Iterator[tuple[dict[str, Target], str]]:
    """All that is measured, by name, and a client key that the routers know."""
    with ExitStack() as stack:
        provider = _stand_in(stack, "infra.bench.provider", scratch)
        file = scratch / "providers.yaml"
        names = _write_providers(file, f"{provider}/v1")
        key = client_keys.issue(role=Role.CALLER, label="bench", now=datetime.now(UTC))
        bare_environ = {"PYTHONPATH": str(ROOT), "BENCH_PROVIDER_URL": f"{provider}{load.PATH}"}
        targets = {
            PROVIDER: Target(provider),
            BARE: _served(stack, python, "infra.bench.bare:app", bare_environ, scratch / "bare.log"),
        }
        for name, delay_ms in ((ROUTER, STORE_MS), (UNWAITING, 0.0)):
            store = _stand_in(stack, "infra.bench.store", scratch, "--delay-ms", str(delay_ms))
            _store_key(store, key.item)
            environ = _router_environ(store, file, names)
            targets[name] = _served(stack, python, "app:app", environ, scratch / f"{name}.log")
        yield targets, key.text


def _stand_in(stack: ExitStack, module: str, scratch: Path, *arguments: str) -> str:
    """Its address."""
    with processes.listening("127.0.0.1", 0) as listening:
        port, fd = listening.getsockname()[1], listening.fileno()
        log = scratch / f"{module}.log"
        child = processes.start(module, [*arguments, "--fd", str(fd)], environ=os.environ, log=log, fd=fd)
    stack.callback(processes.stop, child)
    return f"http://127.0.0.1:{port}"


def _served(stack: ExitStack, python: Path, app: str, environ: Mapping[str, str], log: Path) -> Target:
    """Under uvicorn, once it answers."""
    with processes.listening("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(
        [str(python), "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port), *_options()],
        env={"PATH": os.environ.get("PATH", os.defpath), **environ},
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    stack.callback(_stop, process)
    url = f"http://127.0.0.1:{port}"
    processes.until(lambda: process.poll() is not None or processes.answers(url), limit_s=READY_WITHIN_S)
    if process.poll() is not None:
        raise SystemExit(f"{app} has ended:\n{log.read_text()[-2000:]}")
    return Target(url, process.pid)


def _options() -> list[str]:
    """As deployed: what follows the port in run.sh, up to the first option of the log."""
    command = SCRIPT.read_text().replace("\\\n", " ")
    found = re.search(r"(--workers .*)$", command, re.MULTILINE)
    if not found:
        raise SystemExit(f"{SCRIPT} does not start uvicorn as expected")
    return shlex.split(found[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(processes.STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _write_providers(file: Path, base_url: str) -> list[str]:
    """The deployed configuration with each provider at another address. Returns the providers' names."""
    document = yaml.safe_load((ROOT / "layers" / "config" / "providers.yaml").read_text())
    for provider in document["providers"]:
        provider["base_url"] = base_url
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return [provider["name"] for provider in document["providers"]]


def _store_key(url: str, item: Mapping[str, str]) -> None:
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)
    client = session.client("dynamodb", endpoint_url=url, config=Config(proxies={}))
    client.put_item(TableName=STATE_TABLE, Item={name: {"S": value} for name, value in item.items()})


def _router_environ(store: str, providers_file: Path, names: list[str]) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT / "functions" / "streaming")]),
        "AWS_ENDPOINT_URL": store,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LEDGER_TABLE": LEDGER_TABLE,
        "STATE_TABLE": STATE_TABLE,
        "PROVIDERS_FILE": str(providers_file),
        "PROVIDER_KEYS": "environment",
        **{key_names.variable(name): "not-a-key" for name in names},
    }
