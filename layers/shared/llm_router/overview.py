"""What an operator asks the router for: the figures, and the state of each candidate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from llm_router import figures
from llm_router.aggregator import Aggregator
from llm_router.candidates import Candidate, Configuration, Price
from llm_router.catalogue import age_notice
from llm_router.clock import Clock
from llm_router.errors import NotFoundError, StoreError, SwitchUnavailableError
from llm_router.fleet import Fleet, FleetView
from llm_router.fleet_items import Switch
from llm_router.health import HEALTHY
from llm_router.provider_keys import KeyReader
from llm_router.routing import Facts
from llm_router.statistics import Question, Statistics

AGGREGATE_S = 2.0
UNCONFIRMED = (
    "Whether the provider is switched is not known: the store did not confirm it in time. "
    "See GET /providers, or send this again."
)


@dataclass(frozen=True, slots=True)
class Overview:
    configuration: Configuration
    aggregator: Aggregator
    statistics: Statistics
    fleet: Fleet
    keys: KeyReader
    clock: Clock

    async def stats(self, question: Question) -> dict[str, object]:
        """The body of `GET /stats`. Raises StoreError or TooManyGroupsError.

        Aggregates first, so that what is left to add is short.
        """
        await asyncio.to_thread(self.aggregator.run, limit_s=AGGREGATE_S)
        return figures.document(await asyncio.to_thread(self.statistics.figures, question))

    async def providers(self) -> dict[str, object]:
        """The body of `GET /providers`."""
        names = {candidate.provider.name for candidate in self.configuration.candidates}
        keys, fleet = await asyncio.gather(self.keys.keys(names), self.fleet.current())
        as_of = self.configuration.catalogue_as_of
        return {
            "catalogueDate": as_of.isoformat() if as_of else None,
            "notices": [*self.configuration.notices, *_age_notices(as_of, self.clock.now())],
            "candidates": [
                {
                    **self._state(candidate, fleet, keys),
                    **_facts(fleet.facts.get(candidate.name)),
                    "price": _price(candidate.price),
                    "contextWindow": candidate.context_window,
                }
                for candidate in self.configuration.candidates
            ],
        }

    async def models(self) -> dict[str, object]:
        """The body of `GET /v1/models`."""
        return {"object": "list", "data": await self._models()}

    async def model(self, name: str) -> dict[str, object]:
        """The body of `GET /v1/models/{name}`. Raises NotFoundError."""
        found = next((model for model in await self._models() if model["id"] == name), None)
        if found is None:
            raise NotFoundError("There is no route or model of that name that could be asked.")
        return found

    async def _models(self) -> list[dict[str, object]]:
        """What can be asked for. Who has no key is left out, as are routes to nobody else."""
        found = self.configuration.candidates
        keys = await self.keys.keys({candidate.provider.name for candidate in found})
        able = {c.name: c.provider.name for c in found if not c.provider.auth.needs_key or c.provider.name in keys}
        routes = [
            name
            for name, route in self.configuration.routes.items()
            if any(candidate.name in able for candidate in route.candidates)
        ]
        owners = dict.fromkeys(routes, "llm-router") | able
        return [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in owners.items()]

    async def switch(self, provider: str, *, enabled: bool, reason: str) -> dict[str, object]:
        """The body of `PUT /providers/{name}`. Raises NotFoundError or SwitchUnavailableError."""
        if provider not in {candidate.provider.name for candidate in self.configuration.candidates}:
            raise NotFoundError("There is no provider of that name.")
        switch = None if enabled else Switch(self.clock.now(), reason)
        try:
            await self.fleet.switch(provider, switch)
        except (StoreError, TimeoutError) as error:
            raise SwitchUnavailableError(UNCONFIRMED, retry_after_s=5) from error
        since = figures.timestamp(switch.since) if switch else None
        return {"provider": provider, "enabled": enabled, "reason": reason or None, "since": since}

    def _state(self, candidate: Candidate, fleet: FleetView, keys: Mapping[str, str]) -> dict[str, object]:
        name = candidate.provider.name
        state: dict[str, object] = {"candidate": candidate.name, "provider": name, "model": candidate.model}
        if candidate.provider.auth.needs_key and name not in keys:
            return {**state, "state": "no_key", "reason": f"left out: {self.keys.how_to_store(name)}"}
        if switch := fleet.switched_off.get(name):
            since = figures.timestamp(switch.since)
            return {**state, "state": "switched_off", "reason": switch.reason or None, "since": since}
        health = fleet.health.get(candidate.name, HEALTHY)
        if health.reason and health.open_until:
            is_open = health.is_open(self.clock.now())
            until = {"openUntil": figures.timestamp(health.open_until)} if is_open else {}
            return {**state, "state": "open" if is_open else "half_open", "reason": health.reason.value, **until}
        return {**state, "state": "closed", "reason": None}


def _age_notices(as_of: date | None, now: datetime) -> list[str]:
    notice = as_of and age_notice(as_of, now=now)
    return [notice] if notice else []


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
