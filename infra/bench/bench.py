"""Measures what the router costs before and beside a provider's answer, and holds it against its limits.

Prints a table of figures, each with its limit where it has one; ends with 1 when a limit is broken. See
docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from infra.bench import beside_bare, cold_start, serving
from infra.bench.figure import Figure
from infra.sam import build

COLD_START_RATIO_AT_MOST = 1.3
MEMORY_MB_BELOW = 128


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="of an environment with what is deployed")
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    python: Path = arguments.python.absolute()
    rounds: int = arguments.rounds
    if rounds < 1:
        parser.error("--rounds: give at least 1")
    figures = []
    for figure in chain(_cold_starts(python, rounds), _served(python), _sizes()):
        print(figure.line, flush=True)
        figures.append(figure)
    _beside_bare(python)
    broken = [figure.name for figure in figures if figure.is_broken]
    print(f"\nOver the limit: {', '.join(broken)}" if broken else "\nEvery limit is kept.")
    return 1 if broken else 0


def _cold_starts(python: Path, rounds: int) -> Iterator[Figure]:
    """CPU time is judged: on a shared machine the clock on the wall measures the neighbours as well."""
    print(f"Cold start, CPU, median of {rounds} paired rounds (time on the wall in brackets)", flush=True)
    starts = cold_start.measure(python, rounds=rounds)
    for start in starts:
        yield Figure(start.what, start.cpu_ms, "ms", note=f"({start.wall_ms:.0f} ms)")
    for start in starts[1:]:
        yield Figure(
            f"ratio: {start.what}",
            start.cpu_ratio,
            "",
            at_most=COLD_START_RATIO_AT_MOST,
            note=f"({start.wall_ratio:.2f})",
        )


def _served(python: Path) -> Iterator[Figure]:
    print(f"\n{serving.PROCESSES} new processes, {serving.REQUESTS} requests each, medians", flush=True)
    served = serving.measure(python)
    yield Figure("peak resident memory, largest", served.peak_mb, "MB", below=MEMORY_MB_BELOW)
    yield Figure("... after import alone", served.imported_mb, "MB")
    yield Figure("import, wall", served.import_ms, "ms")
    yield Figure("first request, wall", served.first_ms, "ms", note="clients made, connections opened")
    yield Figure("warm request, wall, p50", served.warm_p50_ms, "ms")
    yield Figure("warm request, wall, p95", served.warm_p95_ms, "ms")
    yield Figure("the provider asked directly, wall, p50", served.direct_p50_ms, "ms")
    yield Figure("added by the router, p50", served.warm_p50_ms - served.direct_p50_ms, "ms")
    yield Figure("added by the router, p95", served.warm_p95_ms - served.direct_p50_ms, "ms")
    store = f"{served.store_calls:.2f} calls a request, of the emulator"
    yield Figure("... of it in DynamoDB's answers, p50", served.store_p50_ms, "ms", note=store)
    yield Figure("CPU of a warm request", served.warm_cpu_ms, "ms", note="the router's process alone")


def _beside_bare(python: Path) -> None:
    """Aims, not limits: on a shared machine a ratio at the 99th percentile says little of the code."""
    print(
        f"\nAdded to the provider's own time, beside a bare pass-through; the store takes {beside_bare.STORE_MS:g} ms"
    )
    for load, added in beside_bare.measure(python):
        print(f" {load.name}", flush=True)
        for row in added:
            print(row.line, flush=True)


def _sizes() -> Iterator[Figure]:
    print("\nSize, unzipped, .pyc files included", flush=True)
    for name, folder in {**build.LAYERS, **build.FUNCTIONS}.items():
        if not folder.is_dir():
            print(f"  {name} is not built: run make build")
            continue
        below = build.LAYER_MB_AT_MOST if name in build.LAYERS else None
        yield Figure(name, build.megabytes(folder), "MB", below=below)


if __name__ == "__main__":
    sys.exit(main())
