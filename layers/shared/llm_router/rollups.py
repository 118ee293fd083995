"""Sums over the ledger: their keys, how they are added, what is read from them. Pure.

What one record adds to which sum stands in `contributions`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

LATENCY = "latency_"
ALL = "all"
"""The only name in the sums of kind `all`."""

Counters = Mapping[str, int | Decimal]
"""Named sums, as they stand in a rollup's item: whole numbers, and exact decimals where the name ends in `_usd`."""


class Kind(StrEnum):
    """What a rollup is the sum of: everything, or the requests that have one thing in common."""

    ALL = "all"
    CANDIDATE = "candidate"
    ROUTE = "route"
    KEY = "key"
    TAG = "tag"


class Period(StrEnum):
    TOTAL = "total"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True, order=True)
class RollupKey:
    """`start` is the period's UTC beginning, empty for the total. With an `owner` only that client key's requests
    count.
    """

    period: Period
    kind: Kind
    name: str
    start: str = ""
    owner: str = ""


@dataclass(slots=True)
class Increments:
    """What records add up to, by rollup."""

    by_key: dict[RollupKey, Counter[str]] = field(default_factory=dict)

    def add(self, contribution: Mapping[RollupKey, Counters], *, sign: int = 1) -> None:
        for key, counters in contribution.items():
            mine = self.by_key.setdefault(key, Counter())
            for name, value in counters.items():
                mine[name] += sign * value  # type: ignore[assignment]  # Counter is typed for int; sums are exact

    def size_with(self, other: Increments) -> int:
        """How many rollups would be touched by both."""
        return len(self.by_key.keys() | other.by_key.keys())

    def merge(self, other: Increments) -> None:
        self.add(other.by_key)


def summed(parts: Iterable[Counters]) -> Counters:
    sums: dict[str, int | Decimal] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def success_rate(counters: Counters) -> float | None:
    """The share of a candidate's attempts that were not the provider's failure; None where there were none."""
    attempts = int(counters.get("attempts", 0))
    return None if attempts == 0 else 1 - int(counters.get("failed_attempts", 0)) / attempts


def latency_counts(counters: Counters) -> dict[int, int]:
    """The sketch inside a rollup's counters."""
    found = {int(name.removeprefix(LATENCY)): int(n) for name, n in counters.items() if name.startswith(LATENCY)}
    return {number: count for number, count in found.items() if count}
