"""docs/sizing.md: the measured sizes as tables, with what they rest on and what follows from them. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from infra.runtime import costs, provider
from infra.runtime.cgroups import MB_PER_VCPU, PERIOD_US
from infra.runtime.costs import Measured

WAIT_S = 1
LONG_WAIT_S = 10
"""How long a provider is taken to need for an answer; the cost of a request grows with it in a straight line."""

CENT = Decimal("0.01")
COLUMNS = 118


@dataclass(frozen=True, slots=True)
class Basis:
    """`busy` is the machine's load over the last quarter of an hour for each processor."""

    measured_on: date
    runs: int
    busy: float
    processor: str
    largest_body_bytes: int
    stats_runs_a_month: int


def page(router: Sequence[Measured], streaming: Sequence[Measured], stats: Sequence[Measured], *, basis: Basis) -> str:
    parts = [
        "# Memory, speed and cost of the functions",
        _opening(basis),
        "## What to take",
        *_choices(router, streaming, stats),
        "## The router function",
        _paragraph(
            "What the router adds to the provider's own time. Lambda is seen to lend a whole processor to the start, "
            "which AWS does not promise: the lower number is with it, the higher without. What a cold start adds is "
            "what a caller waits for more than at a warm one."
        ),
        _times(router),
        _paragraph(
            f"What Lambda charges at ${costs.USD_PER_GB_SECOND} a GB-second and "
            f"${costs.USD_PER_MILLION_REQUESTS} a million requests, {costs.PRICES_FROM}. Each request is taken to wait "
            "so long for its provider. Starts are billed too: the last column, at their higher number."
        ),
        _costs(router),
        _paragraph("The gateway, the tables and the logs come on top: see [deploying.md](deploying.md#what-it-costs)."),
        "## The streaming function",
        _paragraph("The same, of answers that are streamed; its start ends where its server is ready."),
        _times(streaming),
        _costs(streaming),
        "## The stats function",
        *_stats(stats, basis),
        "## How it was measured",
        _method(basis),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(basis: Basis) -> str:
    return _paragraph(
        f"Written by `make sizes` on {basis.measured_on:%d %B %Y}; do not edit. **Every number is simulated**: the "
        "built functions ran in Lambda's own runtime, held to Lambda's memory and share of a processor by the "
        "kernel, on an ordinary machine's processor in place of Lambda's. Compare the sizes with each other; what "
        "an account sees is in its own logs (`Init Duration`, `Duration`, `Max Memory Used`)."
    )


def _choices(router: Sequence[Measured], streaming: Sequence[Measured], stats: Sequence[Measured]) -> list[str]:
    rows = [
        [
            f"{one.memory_mb} MB",
            _verdict(one, router, has_callers=True),
            _verdict(two, streaming, has_callers=True),
            _verdict(three, stats, has_callers=False),
        ]
        for one, two, three in zip(router, streaming, stats, strict=True)
    ]
    return [
        _paragraph(
            "The smallest size with nothing against it: what the router costs grows nearly as its memory does, because "
            "most of the time is waiting."
        ),
        _table(["memory", "router function", "streaming function", "stats function"], rows),
        _paragraph(
            f"Against a size speaks: more than {costs.MEMORY_USED_AT_MOST:.0%} of it used; a start of more than "
            f"{costs.START_AT_MOST_S} s (Lambda breaks it off after 10); and for the two that have callers, a cold "
            f"start that adds more than {costs.COLD_ADDS_AT_MOST_S:.0f} s, or more than "
            f"{costs.WARM_ADDS_AT_MOST_S * 1000:.0f} ms added to every other request; for the stats function, an "
            f"ordinary run of more than {costs.RUN_AT_MOST_S:g} s. Starts are judged as if Lambda lent them nothing, "
            f"and all times at {costs.SLOWER} times what was measured: an idle machine and a busy one of the same kind "
            "differed by as much. "
            "The template's defaults are `RouterMemoryMb`, `StreamingMemoryMb` and `StatsMemoryMb`; "
            "to change them see [deploying.md](deploying.md#deploy)."
        ),
    ]


def _verdict(measured: Measured, sizes: Sequence[Measured], *, has_callers: bool) -> str:
    if measured is costs.smallest_sufficient(sizes, has_callers=has_callers):
        return "**take this**"
    return costs.objection(measured, has_callers=has_callers) or "more than it needs"


def _times(sizes: Sequence[Measured]) -> str:
    rows = [
        [
            f"{one.memory_mb} MB",
            _share(one),
            f"{one.lent_init_s:.1f} to {one.init_s:.1f} s",
            f"{one.first_s:.1f} s",
            f"**{one.lent_cold_s:.1f} to {one.cold_s:.1f} s**",
            f"{one.warm_s * 1000:.0f} ms",
            f"{one.warm_cpu_s * 1000:.0f} ms",
            _peak(one),
        ]
        for one in sizes
    ]
    titles = ["memory", "share of a vCPU", "start", "first request", "a cold start adds", "a warm request adds"]
    return _table([*titles, "of it processor time", "memory at most"], rows)


def _costs(sizes: Sequence[Measured]) -> str:
    rows = [
        [
            f"{one.memory_mb} MB",
            _usd(costs.usd_per_million(one, wait_s=WAIT_S)),
            _usd(costs.seconds_usd(one.memory_mb, WAIT_S * costs.MILLION)),
            _usd(costs.usd_per_million(one, wait_s=LONG_WAIT_S)),
            _usd(costs.seconds_usd(one.memory_mb, (one.init_s + one.first_s) * 1000)),
        ]
        for one in sizes
    ]
    titles = ["memory", f"a million requests, provider {WAIT_S} s", "of it waiting", f"provider {LONG_WAIT_S} s"]
    return _table([*titles, "a thousand cold starts"], rows)


def _stats(sizes: Sequence[Measured], basis: Basis) -> list[str]:
    runs = basis.stats_runs_a_month
    rows = [
        [
            f"{one.memory_mb} MB",
            _share(one),
            f"{one.lent_init_s:.1f} to {one.init_s:.1f} s",
            f"{one.first_s:.1f} s",
            f"{one.warm_s:.2f} s",
            _peak(one),
            _usd(costs.monthly_usd(one, runs=runs, is_cold=False)),
            _usd(costs.monthly_usd(one, runs=runs, is_cold=True)),
        ]
        for one in sizes
    ]
    titles = ["memory", "share of a vCPU", "start", "first run", "a warm run", "memory at most"]
    return [
        _paragraph(
            f"Nobody waits for it. A month has {runs:,} runs; the last columns say what they cost if all are warm, and "
            "if all are cold."
        ),
        _table([*titles, "a month, warm", "a month, cold"], rows),
    ]


def _method(basis: Basis) -> str:
    return "\n".join(
        [
            _bullet(
                "The built functions under AWS's Runtime Interface Emulator with `awslambdaric`, Python 3.13, on "
                f"{basis.processor} as a stand-in for Lambda's arm64."
            ),
            _bullet(
                f"Medians of {basis.runs} lives of an instance with a whole processor lent to the start and "
                f"{basis.runs} without; memory is the highest of all of them. The machine's load was {basis.busy:.1f} "
                "for each processor, what was measured included; the runtime came before all else."
            ),
            _bullet(
                f"Control groups hold the runtime to memory / {MB_PER_VCPU} of one processor, dealt out every "
                f"{PERIOD_US // 1000} ms, and to its memory."
            ),
            _bullet(
                "Memory is the resident set of the function's process: where it has callers after a request of "
                f"{basis.largest_body_bytes:,} bytes, the largest that it takes; of the stats function after ordinary "
                "runs on a ledger of some hundred records. Files that were in the machine's cache before are counted "
                "in it, but not held against the kernel's limit."
            ),
            _bullet(
                "DynamoDB, SSM and S3 are an emulator on the same machine, the provider a stand-in over plain HTTP "
                f"that waits for {provider.WAIT_S} s, which are taken off, and then sends {provider.WORDS} chunks at "
                "once. Real ones are some milliseconds further away, and their TLS handshakes cost the first request "
                "some more."
            ),
            _bullet(
                "The streaming function's server is started by its own `run.sh`; what hands it the events stands in "
                "for AWS's Lambda Web Adapter and is outside of the limits, so the adapter's own memory and time are "
                "not in it."
            ),
            _bullet("Not in it: what Lambda needs to fetch the code and to make room before the runtime starts."),
        ]
    )


def _paragraph(text: str) -> str:
    return textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)


def _bullet(text: str) -> str:
    return _paragraph(f"- {text}").replace("\n", "\n  ")


def _share(measured: Measured) -> str:
    return f"{measured.memory_mb / MB_PER_VCPU:.2f}"


def _peak(measured: Measured) -> str:
    return "ran out" if measured.peak_mb is None else f"{measured.peak_mb:.0f} MB"


def _usd(amount: Decimal) -> str:
    return f"${amount.quantize(CENT)}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
