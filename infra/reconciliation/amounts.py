"""What was used of a model on a day, as either side counts it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

KINDS = ("requests", "input_tokens", "output_tokens", "usd")


class Place(NamedTuple):
    """A day in UTC and a model."""

    day: date
    model: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """None where a side does not say. `input_tokens` hold the cached and written ones."""

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: Decimal | None = None

    def of(self, kind: str) -> int | Decimal | None:
        found: int | Decimal | None = getattr(self, kind)
        return found

    def __bool__(self) -> bool:
        return any(self.of(kind) for kind in KINDS)


def summed(parts: Iterable[Amounts]) -> Amounts:
    """Kind by kind; None where no part says anything of it."""
    found = list(parts)
    return Amounts(**{kind: _sum([part.of(kind) for part in found]) for kind in KINDS})  # type: ignore[arg-type]


def _sum(values: Iterable[int | Decimal | None]) -> int | Decimal | None:
    said = [value for value in values if value is not None]
    return sum(said) if said else None
