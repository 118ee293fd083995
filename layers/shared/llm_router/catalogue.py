"""What is known of models without being told: prices and limits, from a file generated and reviewed like code.

The file is plain JSON with every price as a string, read once; a row becomes values when it is asked for.
`make prices` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_router.candidates import Price

CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, slots=True)
class Row:
    """One model of one provider; a limit is None where the catalogue does not know it."""

    price: Price
    context_window: int | None = None
    max_output_tokens: int | None = None


class Catalogue:
    """Reads its file when it is first asked."""

    def __init__(self, path: Path = CATALOGUE_FILE) -> None:
        self._path = path

    @property
    def as_of(self) -> date:
        """The day on which the prices are known to have been right."""
        return date.fromisoformat(self._document["as_of"])

    def row(self, provider: str, model: str) -> Row | None:
        found = self._models(provider).get(model)
        if found is None:
            return None
        cached_input = found.get("cached_input")
        price = Price(
            input=Decimal(found["input"]),
            output=Decimal(found["output"]),
            cached_input=None if cached_input is None else Decimal(cached_input),
            source=found.get("source", self._document["source"]),
            as_of=date.fromisoformat(found["as_of"]) if "as_of" in found else self.as_of,
        )
        return Row(price, found.get("context_window"), found.get("max_output_tokens"))

    def providers(self) -> Sequence[str]:
        return tuple(self._document["providers"])

    def models(self, provider: str) -> Sequence[str]:
        return tuple(self._models(provider))

    def _models(self, provider: str) -> Mapping[str, Mapping[str, Any]]:
        models: Mapping[str, Mapping[str, Any]] = self._document["providers"].get(provider, {})
        return models

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return document
