"""Sums over the ledger: what they are sums of, how they are added, what is read from them. Pure.

What one record adds to which sum stands in `contributions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

LATENCY = "latency_"
ALL = "all"
"""The only name in the sums of kind `all`."""

OTHERS = "(others)"
NAMES_AT_MOST = 500
"""Different names in one rollup, which is an item of at most 400 KB; what comes later is summed under `OTHERS`."""

Counters = Mapping[str, int | Decimal]
"""Named sums: whole numbers, and exact decimals where the name ends in `_usd`."""

Sums = Mapping[str, Counters]
"""What a rollup holds: for each name (a candidate's, a route's) its counters."""


class Kind(StrEnum):
    """What the names of a rollup are. Those of `key-candidate` are `key/provider/model`."""

    ALL = "all"
    CANDIDATE = "candidate"
    ROUTE = "route"
    KEY = "key"
    TAG = "tag"
    KEY_CANDIDATE = "key-candidate"


class Period(StrEnum):
    TOTAL = "total"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True, order=True)
class RollupKey:
    """`start` is the period's UTC beginning: `2026-11-23T02`, `2026-11-23`, empty for the total."""

    period: Period
    kind: Kind
    start: str = ""


@dataclass(slots=True)
class Increments:
    """What records add up to: by hour and kind the counters of each name. Days and the total follow from those."""

    by_hour: dict[tuple[str, Kind], dict[str, dict[str, int | Decimal]]] = field(default_factory=dict)

    def add(self, hour: str, kind: Kind, name: str, counters: Counters, *, sign: int = 1) -> None:
        mine = self.by_hour.setdefault((hour, kind), {}).setdefault(name, {})
        for counter, value in counters.items():
            if value:
                mine[counter] = mine.get(counter, 0) + sign * value

    def merge(self, other: Increments) -> None:
        for (hour, kind), sums in other.by_hour.items():
            for name, counters in sums.items():
                self.add(hour, kind, name, counters)

    def keys_with(self, other: Increments) -> int:
        """How many rollups are touched by both."""
        return len({key for hours in (self.by_hour, other.by_hour) for place in hours for key in _keys(*place)})

    def by_key(self) -> dict[RollupKey, Sums]:
        """What each rollup gets: the hours, and the days and the total that they are part of."""
        found: dict[RollupKey, list[Sums]] = {}
        for place, sums in self.by_hour.items():
            for key in _keys(*place):
                found.setdefault(key, []).append(sums)
        return {key: added(*parts) for key, parts in found.items()}


def added(*parts: Sums) -> Sums:
    """Name by name, counter by counter. A counter that nets to nothing is gone; its name stays, for later sums."""
    by_name: dict[str, list[Counters]] = {}
    for part in parts:
        for name, counters in part.items():
            by_name.setdefault(name, []).append(counters)
    return {name: _without_zeros(summed(counters)) for name, counters in by_name.items()}


def bounded(known: Sums, more: Sums) -> Sums:
    """`more` with `OTHERS` for each name for which `known` has no room. The same name always goes to the same place."""
    room = NAMES_AT_MOST - len(known)
    kept: dict[str, Counters] = {}
    others: list[Counters] = []
    for name in sorted(more):
        if name in known or name == OTHERS:
            kept[name] = more[name]
        elif room > 0:
            kept[name] = more[name]
            room -= 1
        else:
            others.append(more[name])
    return added(kept, {OTHERS: summed(others)}) if others else kept


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


def _keys(hour: str, kind: Kind) -> Iterator[RollupKey]:
    yield RollupKey(Period.HOUR, kind, hour)
    yield RollupKey(Period.DAY, kind, hour.partition("T")[0])
    yield RollupKey(Period.TOTAL, kind)


def _without_zeros(counters: Counters) -> Counters:
    return {name: value for name, value in counters.items() if value}
