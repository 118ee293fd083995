"""A provider's count held against the ledger's, day by day and model by model. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from infra.reconciliation import amounts
from infra.reconciliation.amounts import Amounts, Place

COMPARED = ("input_tokens", "output_tokens", "usd")
"""Requests are shown and not compared: a provider counts those that it refused, or does not."""

SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
"""The date with which a provider names the version that a shorter name stood for."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the two sides may be apart on a line."""

    tokens: int = 0
    usd: Decimal = Decimal("0.01")

    def allows(self, kind: str, difference: int | Decimal) -> bool:
        limit = self.usd if kind == "usd" else Decimal(self.tokens)
        return abs(Decimal(difference)) <= limit


@dataclass(frozen=True, slots=True)
class Line:
    """Both sides of a day and model, None where a side has nothing. `unknown` costs are in no sum of the ledger."""

    place: Place
    provider: Amounts | None
    ledger: Amounts | None
    unknown: int
    differs: bool

    def difference(self, kind: str) -> int | Decimal | None:
        return difference(self.provider or Amounts(), self.ledger or Amounts(), kind)

    @property
    def missing(self) -> str | None:
        if self.provider is None:
            return "provider"
        return "ledger" if self.ledger is None else None


def difference(provider: Amounts, ledger: Amounts, kind: str) -> int | Decimal | None:
    """The ledger's count less the provider's; None where one does not say."""
    ours, theirs = ledger.of(kind), provider.of(kind)
    return None if ours is None or theirs is None else ours - theirs


def compared(
    provider: Mapping[Place, Amounts],
    ledger: Mapping[Place, tuple[Amounts, int]],
    tolerance: Tolerance,
) -> list[Line]:
    """A line for each day and model that a side has something of, in order."""
    lines = []
    for place in sorted(provider.keys() | ledger.keys()):
        theirs = provider.get(place)
        ours, unknown = ledger.get(place, (None, 0))
        if theirs or ours:
            lines.append(Line(place, theirs, ours, unknown, _differs(theirs, ours, tolerance)))
    return lines


def totals(lines: Sequence[Line]) -> tuple[Amounts, Amounts]:
    """Of the provider and of the ledger."""
    return (
        amounts.summed(line.provider for line in lines if line.provider),
        amounts.summed(line.ledger for line in lines if line.ledger),
    )


def under_our_names(
    provider: Mapping[Place, Amounts], ours: Collection[str], same: Mapping[str, str]
) -> dict[Place, Amounts]:
    """With the ledger's names of the models: those that `same` gives, else the one without the version's date where
    the ledger has only that.
    """
    found: dict[Place, list[Amounts]] = {}
    for place, counted in provider.items():
        found.setdefault(place._replace(model=_our_name(place.model, ours, same)), []).append(counted)
    return {place: amounts.summed(parts) for place, parts in found.items()}


def _our_name(theirs: str, ours: Collection[str], same: Mapping[str, str]) -> str:
    if theirs in same:
        return same[theirs]
    undated = SNAPSHOT.sub("", theirs)
    return undated if theirs not in ours and undated in ours else theirs


def _differs(provider: Amounts | None, ledger: Amounts | None, tolerance: Tolerance) -> bool:
    """Where a side is missing the other must be next to nothing."""
    theirs, ours = provider or _nothing_beside(ledger), ledger or _nothing_beside(provider)
    found = [(kind, difference(theirs, ours, kind)) for kind in COMPARED]
    return any(apart is not None and not tolerance.allows(kind, apart) for kind, apart in found)


def _nothing_beside(other: Amounts | None) -> Amounts:
    """Of what the other side counts, none."""
    said = {kind: 0 for kind in COMPARED if other and other.of(kind) is not None}
    return Amounts(**said)  # type: ignore[arg-type]  # a zero is a decimal as well
