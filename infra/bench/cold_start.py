"""What a cold start costs: the router's handler against the bare libraries that it cannot do without.

Each is started in a new interpreter, one after the other, round by round and each round beginning with another, so
that a busy moment of the machine hits all alike. A round's ratio is taken within the round.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LIBRARIES = "fastapi, mangum, httpx and a boto3 client"
STARTS = {
    LIBRARIES: "import fastapi, mangum, httpx, boto3; boto3.client('dynamodb')",
    "the router's handler": "import handler",
}
"""The handler makes a second client, SSM's, when it is imported; the bare libraries are not given one for it."""

_LEAVE = "; import os; os._exit(0)"
"""An environment on Lambda is frozen, never wound up: taking the interpreter down is no part of a start."""


@dataclass(frozen=True, slots=True)
class Start:
    """Medians; the ratios are to the bare libraries."""

    what: str
    cpu_ms: float
    wall_ms: float
    cpu_ratio: float
    wall_ratio: float


@dataclass(frozen=True, slots=True)
class _Cost:
    cpu_ms: float
    wall_ms: float


def measure(python: Path, *, rounds: int) -> list[Start]:
    """The bare libraries come first."""
    names = list(STARTS)
    for name in names:
        _cost(python, STARTS[name])  # not counted: it writes the .pyc files, which are deployed, and warms the disk
    costs: dict[str, list[_Cost]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            costs[name].append(_cost(python, STARTS[name]))
    return [_start(name, costs[name], costs[LIBRARIES]) for name in names]


def _start(name: str, costs: list[_Cost], bare: list[_Cost]) -> Start:
    def ratio(of: Callable[[_Cost], float]) -> float:
        return statistics.median(of(cost) / of(beside) for cost, beside in zip(costs, bare, strict=True))

    return Start(
        name,
        cpu_ms=statistics.median(cost.cpu_ms for cost in costs),
        wall_ms=statistics.median(cost.wall_ms for cost in costs),
        cpu_ratio=ratio(lambda cost: cost.cpu_ms),
        wall_ratio=ratio(lambda cost: cost.wall_ms),
    )


def _cost(python: Path, statement: str) -> _Cost:
    """One new interpreter; user and system time together."""
    used_before_s, began_s = _children_cpu_s(), time.perf_counter()
    subprocess.run([str(python), "-c", statement + _LEAVE], env=_environ(), cwd=ROOT, check=True)
    wall_s = time.perf_counter() - began_s
    return _Cost(cpu_ms=(_children_cpu_s() - used_before_s) * 1000, wall_ms=wall_s * 1000)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environ() -> dict[str, str]:
    """The deployed configuration; names of tables that nothing is asked of."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT / "functions" / "router")]),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LEDGER_TABLE": "ledger",
        "STATE_TABLE": "state",
        "PROVIDERS_FILE": str(ROOT / "layers" / "config" / "providers.yaml"),
    }
