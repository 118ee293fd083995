"""Measures how a fleet of routers meets a provider, and then a DynamoDB, that goes down and comes back.

Prints what its callers saw and how often the dead provider was tried; ends with 1 when a limit is broken. See
docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.bench.figure import Figure
from infra.bench.fleet import load, members, provider, scenarios
from infra.bench.fleet.members import CANDIDATE, FIRST_TOKEN_S
from infra.bench.fleet.provider import State
from infra.bench.fleet.scenarios import Outage, Stage, TableOutage
from infra.bench.fleet.watch import Watch
from llm_router.health import LONGEST_COOL_DOWN_S

SECOND_MORE_S = 1.0
"""For what a probe and a shared machine take."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routers", type=int, default=8)
    parser.add_argument("--per-second", type=float, default=20.0, help="requests to all routers together")
    parser.add_argument("--down-s", type=float, default=60.0, help="half of it for the silent one")
    arguments = parser.parse_args()
    figures = asyncio.run(_all(arguments.routers, arguments.per_second, arguments.down_s))
    broken = [figure.name for figure in figures if figure.is_broken]
    print(f"\nOver the limit: {', '.join(broken)}" if broken else "\nEvery limit is kept.")
    return 1 if broken else 0


async def _all(routers: int, per_second: float, down_s: float) -> list[Figure]:
    figures: list[Figure] = []

    def show(title: str, found: Iterator[Figure]) -> None:
        print(title, flush=True)
        for figure in found:
            print(figure.line, flush=True)
            figures.append(figure)

    async with _stage(routers) as stage:
        print(f"{routers} router processes, {per_second:g} requests a second in all, a dearer provider that is well")
        for fault, time_s in ((State.RESETTING, down_s), (State.SILENT, down_s / 2)):
            seen = await scenarios.provider_outage(stage, fault, down_for_s=time_s, per_second=per_second)
            show(f"\nThe cheaper provider is {fault.value} for {time_s:g} s", _of_provider(seen, fault))
        seen_table = await scenarios.table_outage(stage, per_second=per_second)
        show("\nDynamoDB hangs, then is gone; meanwhile the cheaper provider goes down", _of_table(seen_table))
    return figures


@asynccontextmanager
async def _stage(routers: int) -> AsyncIterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        async with provider.serving() as cheap, provider.serving() as dear:
            running = members.running(Path(folder), routers=routers, cheap_url=cheap.base_url, dear_url=dear.base_url)
            with running as fleet:
                async with load.callers(fleet.urls) as asking:
                    yield Stage(fleet, cheap, asking, Watch(fleet.store, CANDIDATE))


def _of_provider(seen: Outage, fault: State) -> Iterator[Figure]:
    probe_s = FIRST_TOKEN_S if fault is State.SILENT else 0.0
    yield from _answers(seen)
    yield Figure("opened after", seen.opened_s - seen.down_s, "s")
    yield Figure("attempts on it before that", len(seen.before), "")
    yield Figure("... within a second afterwards", len(seen.just_after), "", note="of processes that knew nothing yet")
    yield from _per_cool_down(seen)
    yield from _return(seen, probe_s)
    yield from _latencies("all is well", seen.latencies_s(seen.began_s, seen.down_s))
    yield from _latencies("it is down", seen.latencies_s(seen.down_s, seen.up_s), most_s=probe_s + 2)


def _of_table(seen: TableOutage) -> Iterator[Figure]:
    outage = seen.outage
    hits = [hit.at_s for hit in outage.hits]
    yield from _answers(outage)
    yield Figure("attempts on it while each process was alone", sum(at_s < seen.back_s for at_s in hits), "")
    yield Figure("... until the fleet agreed", sum(seen.back_s <= at_s < seen.agreed_s for at_s in hits), "")
    yield Figure("agreed, after DynamoDB's return", seen.agreed_s - seen.back_s, "s")
    yield from _per_cool_down(outage)
    yield from _return(outage, probe_s=0.0)
    yield from _latencies("all is well", outage.latencies_s(outage.began_s, seen.gone_s))
    yield from _latencies("DynamoDB is out", outage.latencies_s(seen.gone_s, seen.back_s))


def _answers(seen: Outage) -> Iterator[Figure]:
    yield Figure("requests", len(seen.asked), "")
    yield Figure("... that failed", len(seen.failed), "", at_most=0)


def _per_cool_down(seen: Outage) -> Iterator[Figure]:
    counts = seen.per_cool_down
    openings = ", ".join(f"{opening.at_s - seen.down_s:.1f}" for opening in seen.openings)
    yield Figure("attempts after that", sum(counts), "", note=f"opened {openings} s after it went down")
    yield Figure("... the most in one cool-down", max(counts), "", at_most=1)


def _return(seen: Outage, probe_s: float) -> Iterator[Figure]:
    most_s = LONGEST_COOL_DOWN_S + probe_s + SECOND_MORE_S
    yield Figure("used again, after its return", seen.used_again_after_s, "s", at_most=most_s)
    yield Figure("... by every process", seen.used_by_all_after_s, "s")


def _latencies(when: str, found_s: list[float], *, most_s: float | None = None) -> Iterator[Figure]:
    hundredths = statistics.quantiles(found_s, n=100, method="inclusive")
    yield Figure(f"latency while {when}, p50", hundredths[49] * 1000, "ms")
    yield Figure("... p99", hundredths[98] * 1000, "ms")
    yield Figure("... max", max(found_s) * 1000, "ms", at_most=None if most_s is None else most_s * 1000)


if __name__ == "__main__":
    sys.exit(main())
