"""Measures the aggregation: a long history in one go, then a little more, which must not read the history again.

Runs the stats function's job against the embedded emulator, each run in a process of its own; ends with 1 when a limit
is broken. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from infra.bench.aggregation import history
from infra.bench.figure import Figure
from infra.local import aws_resources, processes, template
from llm_router.checkpoints import Checkpoints
from llm_router.ledger import SAFE_BEHIND_S
from llm_router.rollups import ALL, Kind

ROOT = Path(__file__).resolve().parents[3]
MEMORY_MB = 256
MB_PER_VCPU = 1769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

REREAD_AT_MOST = 1.5
"""Of the records of the second run: what it adds, read once for the sums and once more for the page's tail and list."""

RUNS_AT_MOST = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--more", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _emulator(Path(folder)) as endpoint:
        figures = list(_measured(endpoint, arguments.records, arguments.more))
    broken = [figure.name for figure in figures if figure.is_broken]
    print(f"\nOver the limit: {', '.join(broken)}" if broken else "\nEvery limit is kept.")
    return 1 if broken else 0


def _measured(endpoint: str, count: int, more: int) -> Iterator[Figure]:
    now = datetime.now(UTC) - timedelta(seconds=SAFE_BEHIND_S + 5)
    day = timedelta(days=1)
    first = history.records(count, since=now - 2 * day, until=now - day, seed=1)
    yield from _aggregated(endpoint, first, f"{count:,} records of a day in one go", count)
    second = history.records(more, since=now - day / 2, until=now, seed=2)
    yield from _aggregated(endpoint, second, f"{more:,} more", more, reads_little=True)
    yield _agreement(endpoint, count + more)


def _aggregated(
    endpoint: str, ended: Iterator[Any], title: str, count: int, *, reads_little: bool = False
) -> Iterator[Figure]:
    costs: list[Decimal] = []
    began_s = time.monotonic()
    history.write(_client(endpoint), aws_resources.LEDGER_TABLE, _noting(ended, costs))
    print(f"\n{title} (written in {time.monotonic() - began_s:.0f} s)", flush=True)
    limit_s = template.resources()["StatsFunction"]["Properties"]["Timeout"]
    runs = list(_until_caught_up(endpoint, limit_s=float(limit_s), count=count))
    at_size_s = max(run["cpu_seconds"] for run in runs) * MB_PER_VCPU / MEMORY_MB
    found = [
        Figure("runs until nothing was left", len(runs), ""),
        Figure("longest run, wall", max(run["seconds"] for run in runs), "s", below=float(limit_s)),
        Figure("... processor time", max(run["cpu_seconds"] for run in runs), "s"),
        Figure(f"... at the share of {MEMORY_MB} MB", at_size_s, "s", note="simulated: processor time alone"),
        Figure("peak resident memory", max(run["peak_mb"] for run in runs), "MB", below=MEMORY_MB),
        Figure(
            "records read",
            sum(run["records_read"] for run in runs),
            "",
            at_most=REREAD_AT_MOST * count if reads_little else None,
        ),
        Figure("read units", sum(run["read_units"] for run in runs), ""),
        Figure("write units", sum(run["write_units"] for run in runs), ""),
        Figure("transactions", sum(run["transactions"] for run in runs), ""),
    ]
    EXPECTED.extend(costs)
    for figure in found:
        print(figure.line, flush=True)
    yield from found


EXPECTED: list[Decimal] = []
"""What each record that was written cost."""


def _noting(ended: Iterator[Any], costs: list[Decimal]) -> Iterator[Any]:
    for record in ended:
        costs.append(record.cost.usd)
        yield record


def _until_caught_up(endpoint: str, *, limit_s: float, count: int) -> Iterator[Mapping[str, Any]]:
    added = 0
    for _ in range(RUNS_AT_MOST):
        run = _one_run(endpoint, limit_s=limit_s)
        added += run["added"]
        yield run
        if run["behind_s"] == 0:
            break
    if added != count:
        raise SystemExit(f"{added} records were aggregated, not {count}")


def _one_run(endpoint: str, *, limit_s: float) -> Mapping[str, Any]:
    environ = os.environ | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": aws_resources.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": aws_resources.SECRET_ACCESS_KEY,
        "AWS_DEFAULT_REGION": aws_resources.REGION,
        "LEDGER_TABLE": aws_resources.LEDGER_TABLE,
        "STATE_TABLE": aws_resources.STATE_TABLE,
        "PAGE_BUCKET": aws_resources.PAGE_BUCKET,
        "PAGE_DIR": str(ROOT / "infra/dashboard/page"),
        "LEDGER_SHARDS": str(history.SHARDS),
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    }
    command = [sys.executable, "-m", "infra.bench.aggregation.one_run", "--limit-s", str(limit_s)]
    output = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True).stdout
    found: Mapping[str, Any] = json.loads(output.splitlines()[-1])
    return found


def _agreement(endpoint: str, count: int) -> Figure:
    """The rollup over all time beside the records themselves, to the last digit."""
    checkpoints = Checkpoints(lambda: _client(endpoint), table=aws_resources.LEDGER_TABLE)
    total = checkpoints.total(Kind.ALL, ALL)
    off = abs(Decimal(total["cost_usd"]) - sum(EXPECTED, Decimal(0))) + abs(int(total["requests"]) - count)
    figure = Figure("\n  the total is off by, in USD and requests", float(off), "", at_most=0)
    print(figure.line, flush=True)
    return figure


def _client(endpoint: str) -> Any:
    session = boto3.Session(
        aws_resources.ACCESS_KEY_ID, aws_resources.SECRET_ACCESS_KEY, region_name=aws_resources.REGION
    )
    return session.client("dynamodb", endpoint_url=endpoint, config=Config(proxies={}))


@contextmanager
def _emulator(folder: Path) -> Iterator[str]:
    listening = processes.listening("127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    arguments = ["--state-dir", str(folder / "state"), "--fd", str(listening.fileno())]
    emulator = processes.start(
        "infra.local.emulator", arguments, environ=os.environ, log=folder / "emulator.log", fd=listening.fileno()
    )
    listening.close()
    try:
        processes.until(lambda: emulator.has_ended or processes.answers(endpoint), limit_s=60)
        aws_resources.prepare(endpoint, with_key=False, now=datetime.now(UTC))
        yield endpoint
    finally:
        processes.stop(emulator)


if __name__ == "__main__":
    sys.exit(main())
