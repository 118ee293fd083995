"""What memory costs: from measured times and published prices to dollars, and to the size to take. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

USD_PER_GB_SECOND = Decimal("0.0000133334")
USD_PER_MILLION_REQUESTS = Decimal("0.20")
PRICES_FROM = "https://aws.amazon.com/lambda/pricing/ (us-east-1, arm64, without the free tier; November 2026)"
MB_PER_GB = 1024
MILLION = 1_000_000

MEMORY_USED_AT_MOST = 0.75
"""Of a size: what lies above is for answers and runs that were not measured."""

SLOWER = 2
"""Times are judged at so many times what was measured: on machines of one kind, one busy and one idle, they differed by
as much, and Lambda's processors are neither."""

START_AT_MOST_S = 7.5
"""Lambda breaks a start off after 10 s (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html)
and begins again. A quarter is kept for a slower day, and the start is taken as if nothing were lent to it."""

COLD_ADDS_AT_MOST_S = 4.0
"""To a caller's first request, as if nothing were lent: about what a caller takes for a slow model, not a failure."""

WARM_ADDS_AT_MOST_S = 0.05
"""To every other request: a twentieth of a provider that takes a second."""


RUN_AT_MOST_S = 0.5
"""Of the stats function with little to do: one that has to catch up takes some hundred times as long, and its time ends
after 120 s. More memory costs next to nothing here, where hardly anything is waiting."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians for one function at one size. Times are without the wait for a provider; memory is the highest seen.

    `init_s` and `first_s` are what the start and then the first event take with this size's share of a processor,
    `lent_init_s` is the start with a whole one. `peak_mb` is None where the function ran out of memory.
    """

    memory_mb: int
    init_s: float
    lent_init_s: float
    first_s: float
    warm_s: float
    warm_cpu_s: float
    peak_mb: float | None

    @property
    def cold_s(self) -> float:
        """What a caller waits for more than for a warm answer, at worst."""
        return self.init_s + self.first_s - self.warm_s

    @property
    def lent_cold_s(self) -> float:
        return self.lent_init_s + self.first_s - self.warm_s

    @property
    def fits(self) -> bool:
        return self.peak_mb is not None and self.peak_mb <= self.memory_mb * MEMORY_USED_AT_MOST


def usd_per_million(measured: Measured, *, wait_s: float) -> Decimal:
    """A million warm requests, each of which waits `wait_s` for a provider: Lambda charges for waiting as for work."""
    return seconds_usd(measured.memory_mb, (measured.warm_s + wait_s) * MILLION) + USD_PER_MILLION_REQUESTS


def seconds_usd(memory_mb: int, seconds: float) -> Decimal:
    return Decimal(memory_mb) / MB_PER_GB * Decimal(str(seconds)) * USD_PER_GB_SECOND


def monthly_usd(measured: Measured, *, runs: int, is_cold: bool) -> Decimal:
    """So many runs of the stats function, all of them cold or all of them warm."""
    seconds = measured.init_s + measured.first_s if is_cold else measured.warm_s
    return seconds_usd(measured.memory_mb, runs * seconds) + USD_PER_MILLION_REQUESTS * runs / MILLION


def objection(measured: Measured, *, has_callers: bool) -> str | None:
    """Why not this size, in words; None where it does."""
    if not measured.fits:
        return "too little memory to spare"
    if SLOWER * measured.init_s > START_AT_MOST_S:
        return "the start may take longer than Lambda allows"
    if has_callers and SLOWER * measured.cold_s > COLD_ADDS_AT_MOST_S:
        return "a cold start may take too long for a caller"
    if has_callers and SLOWER * measured.warm_s > WARM_ADDS_AT_MOST_S:
        return "adds too much to every request"
    if not has_callers and SLOWER * measured.warm_s > RUN_AT_MOST_S:
        return "too slow when there is much to catch up"
    return None


def smallest_sufficient(sizes: Sequence[Measured], *, has_callers: bool) -> Measured | None:
    """The cheapest size with nothing against it: cost grows with size as long as most of the time is waiting."""
    ordered = sorted(sizes, key=lambda one: one.memory_mb)
    return next((one for one in ordered if objection(one, has_callers=has_callers) is None), None)
