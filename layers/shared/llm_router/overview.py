"""What an operator asks the router for: the figures, and the state of each candidate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from llm_router import figures
from llm_router.aggregator import Aggregator
from llm_router.candidates import Candidate, Configuration, Price
from llm_router.clock import Clock
from llm_router.fleet import FleetFacts
from llm_router.health import HEALTHY, Health
from llm_router.provider_keys import KeyReader
from llm_router.routing import Facts
from llm_router.statistics import Statistics

AGGREGATE_S = 2.0


@dataclass(frozen=True, slots=True)
class Overview:
    configuration: Configuration
    aggregator: Aggregator
    statistics: Statistics
    facts: FleetFacts
    keys: KeyReader
    clock: Clock

    async def stats(self) -> dict[str, object]:
        """The body of `GET /stats`. Raises StoreError. Aggregates first, so that what is left to add is short."""
        await asyncio.to_thread(self.aggregator.run, limit_s=AGGREGATE_S)
        return figures.document(await asyncio.to_thread(self.statistics.snapshot))

    async def providers(self, health: Mapping[str, Health]) -> dict[str, object]:
        """The body of `GET /providers`: breakers as this process knows them."""
        names = {candidate.provider.name for candidate in self.configuration.candidates}
        keys, facts = await asyncio.gather(self.keys.keys(names), self.facts.current())
        as_of = self.configuration.catalogue_as_of
        return {
            "catalogueDate": as_of.isoformat() if as_of else None,
            "notices": list(self.configuration.notices),
            "candidates": [
                {
                    **self._state(candidate, health.get(candidate.name, HEALTHY), keys),
                    **_facts(facts.get(candidate.name)),
                    "price": _price(candidate.price),
                    "contextWindow": candidate.context_window,
                }
                for candidate in self.configuration.candidates
            ],
        }

    def _state(self, candidate: Candidate, health: Health, keys: Mapping[str, str]) -> dict[str, object]:
        name = candidate.provider.name
        state: dict[str, object] = {"candidate": candidate.name, "provider": name, "model": candidate.model}
        if candidate.provider.auth.needs_key and name not in keys:
            return {**state, "state": "no_key", "reason": f"left out: {self.keys.how_to_store(name)}"}
        if health.is_open(self.clock.now()) and health.open_until and health.reason:
            until = figures.timestamp(health.open_until)
            return {**state, "state": "open", "reason": health.reason.value, "openUntil": until}
        return {**state, "state": "closed", "reason": None}


def _facts(facts: Facts | None) -> dict[str, object]:
    """As far as the aggregation has come; nothing is said of what was never tried."""
    if facts is None:
        return {"successRate": None, "latency": None}
    return {
        "successRate": round(facts.success_rate, 4),
        "latency": None if facts.latency_ms is None else figures.seconds(facts.latency_ms),
    }


def _price(price: Price | None) -> dict[str, object] | None:
    if price is None:
        return None
    return {
        "input": price.input,
        "cachedInput": price.cached_input,
        "output": price.output,
        "unit": "USD per million tokens",
        "source": price.source,
        "date": price.as_of.isoformat() if price.as_of else None,
    }
