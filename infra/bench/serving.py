"""What a served request costs: the real handler in new processes, with a provider and AWS that run beside them.

Nothing but the handler and what it needs is in the measured process; the provider answers at once, and AWS is the
emulator of `make run`, over HTTP.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config

from infra.local import aws_resources, processes
from infra.local.aws_resources import ACCESS_KEY_ID, LEDGER_TABLE, REGION, SECRET_ACCESS_KEY, STATE_TABLE

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 5
REQUESTS = 200
READY_WITHIN_S = 60.0
STAGE = "bench"


@dataclass(frozen=True, slots=True)
class Served:
    """Medians over the processes, or over all their warm requests; `peak_mb` is the largest of all."""

    peak_mb: float
    imported_mb: float
    import_ms: float
    first_ms: float
    warm_p50_ms: float
    warm_p95_ms: float
    warm_cpu_ms: float
    direct_p50_ms: float
    store_p50_ms: float
    store_calls: float


def measure(python: Path) -> Served:
    with tempfile.TemporaryDirectory() as scratch, _surroundings(Path(scratch)) as environ:
        runs = [_run(python, Path(scratch) / f"run-{number}.json", environ) for number in range(PROCESSES)]
    warm_ms = [duration for run in runs for duration in run["warm_ms"]]
    return Served(
        peak_mb=max(run["peak_mb"] for run in runs),
        imported_mb=_median(runs, "imported_mb"),
        import_ms=_median(runs, "import_ms"),
        first_ms=_median(runs, "first_ms"),
        warm_p50_ms=statistics.median(warm_ms),
        warm_p95_ms=statistics.quantiles(warm_ms, n=20)[-1],
        warm_cpu_ms=_median(runs, "warm_cpu_ms"),
        direct_p50_ms=statistics.median(duration for run in runs for duration in run["direct_ms"]),
        store_p50_ms=statistics.median(duration for run in runs for duration in run["store_ms"]),
        store_calls=_median(runs, "store_calls"),
    )


def _median(runs: list[dict[str, Any]], name: str) -> float:
    values: list[float] = [run[name] for run in runs]
    return statistics.median(values)


def _run(python: Path, result: Path, environ: dict[str, str]) -> dict[str, Any]:
    """One process; its output is the router's log, and is shown only when it fails."""
    command = [str(python), str(ROOT / "infra" / "bench" / "requests_served.py"), str(REQUESTS), str(result)]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"The router did not serve:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(result.read_text())
    return found


@contextmanager
def _surroundings(scratch: Path) -> Iterator[dict[str, str]]:
    """The emulator and the provider, and the environment of a router that uses them as it uses the real ones."""
    with ExitStack() as stack:
        aws_url = _started(stack, "infra.local.emulator", scratch, "--state-dir", str(scratch / "aws"))
        provider_url = _started(stack, "infra.bench.provider", scratch)
        client_key = aws_resources.prepare(aws_url, with_key=True, now=datetime.now(UTC))
        file = scratch / "providers.yaml"
        names = _write_providers(file, f"{provider_url}/v1")
        _store_provider_keys(aws_url, names)
        yield {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT / "functions" / "router")]),
            "AWS_ENDPOINT_URL": aws_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "STAGE": STAGE,
            "LEDGER_TABLE": LEDGER_TABLE,
            "STATE_TABLE": STATE_TABLE,
            "PROVIDERS_FILE": str(file),
            "BENCH_CLIENT_KEY": client_key or "",
            "BENCH_PROVIDER_URL": f"{provider_url}/v1/chat/completions",
        }


def _started(stack: ExitStack, module: str, scratch: Path, *arguments: str) -> str:
    """Its address, once it answers."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with processes.listening("127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        fd = listening.fileno()
        child = processes.start(
            module, [*arguments, "--fd", str(fd)], environ=environ, log=scratch / f"{module}.log", fd=fd
        )
    stack.callback(processes.stop, child)
    processes.until(lambda: child.has_ended or processes.answers(url), limit_s=READY_WITHIN_S)
    if child.has_ended:
        raise SystemExit(f"{child.name} has ended:\n{child.last_words()}")
    return url


def _write_providers(file: Path, base_url: str) -> list[str]:
    """The deployed configuration with each provider at another address. Returns the providers' names."""
    document = yaml.safe_load((ROOT / "layers" / "config" / "providers.yaml").read_text())
    for provider in document["providers"]:
        provider["base_url"] = base_url
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return [provider["name"] for provider in document["providers"]]


def _store_provider_keys(aws_url: str, names: list[str]) -> None:
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)
    ssm = session.client("ssm", endpoint_url=aws_url, config=Config(proxies={}))
    for name in names:
        ssm.put_parameter(Name=f"/llm-router/{STAGE}/providers/{name}/api_key", Value="not-a-key", Type="SecureString")
