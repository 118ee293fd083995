"""What is known of models without being told: prices and limits, from a file generated and reviewed like code.

The file is plain JSON with every price as a string, read once; a row becomes values when it is asked for. A row that is
a string is the name of the row that it equals. `make prices` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_router.candidates import Change, Feature, Price, Rates, Schedule, Sheet, Tier

CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")

DAYS_AT_MOST = 60
"""Providers change a price every few weeks; what is older is told of."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model of one provider; a limit is None where the catalogue does not know it, as are limits of time that are
    the usual ones. `lacks` is what the model is known not to do.
    """

    price: Price
    context_window: int | None = None
    max_output_tokens: int | None = None
    first_token_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    lacks: frozenset[Feature] = frozenset()


class Catalogue:
    """Reads its file when it is first asked."""

    def __init__(self, path: Path = CATALOGUE_FILE) -> None:
        self._path = path

    @property
    def as_of(self) -> date:
        """The day on which the prices are known to have been right."""
        return date.fromisoformat(self._document["as_of"])

    def row(self, provider: str, model: str) -> Row | None:
        models = self._models(provider)
        found = models.get(model)
        if isinstance(found, str):
            found = models[found]
        if found is None:
            return None
        price = Price(
            **_rates(found),
            tiers=_tiers(found),
            changes=_changes(found),
            service_tiers={name: _schedule(part) for name, part in found.get("service_tiers", {}).items()},
            source=found.get("source", self._document["source"]),
            as_of=date.fromisoformat(found["as_of"]) if "as_of" in found else self.as_of,
        )
        return Row(
            price,
            found.get("context_window"),
            found.get("max_output_tokens"),
            found.get("first_token_timeout_s"),
            found.get("idle_timeout_s"),
            frozenset(map(Feature, found.get("lacks", ()))),
        )

    def providers(self) -> Sequence[str]:
        return tuple(self._document["providers"])

    def models(self, provider: str) -> Sequence[str]:
        return tuple(self._models(provider))

    def _models(self, provider: str) -> Mapping[str, Any]:
        models: Mapping[str, Any] = self._document["providers"].get(provider, {})
        return models

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return document


def age_notice(as_of: date, *, now: datetime) -> str | None:
    """What to tell of a catalogue that is older than it should be, None of one that is not."""
    age = now.date() - as_of
    if age <= timedelta(days=DAYS_AT_MOST):
        return None
    return f"The prices of the catalogue are of {as_of.isoformat()}, {age.days} days old; providers may charge others."


def _rates(found: Mapping[str, Any]) -> dict[str, Any]:
    return {rate.name: Decimal(found[rate.name]) for rate in fields(Rates) if rate.name in found}


def _tiers(found: Mapping[str, Any]) -> tuple[Tier, ...]:
    return tuple(Tier(tier["above"], Rates(**_rates(tier))) for tier in found.get("tiers", ()))


def _sheet(found: Mapping[str, Any]) -> Sheet:
    return Sheet(Rates(**_rates(found)), _tiers(found))


def _schedule(found: Mapping[str, Any]) -> Schedule:
    return Schedule(_sheet(found), _changes(found))


def _changes(found: Mapping[str, Any]) -> tuple[Change, ...]:
    return tuple(
        Change(
            _sheet(change),
            from_day=date.fromisoformat(change["from_day"]) if "from_day" in change else None,
            from_time=time.fromisoformat(change["from_time"]) if "from_time" in change else None,
            until=time.fromisoformat(change["until"]) if "until" in change else None,
        )
        for change in found.get("changes", ())
    )
