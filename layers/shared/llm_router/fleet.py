"""What the fleet knows and shares: breakers, switches, and the facts that routing goes by.

Every process reads the same two items and changes the breakers in them, each change on the condition that nothing else
has changed meanwhile. Where DynamoDB does not answer, a process goes on with what it knows itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aws_lambda_powertools import Logger

from llm_router import fleet_items
from llm_router.clock import Clock
from llm_router.errors import StoreError
from llm_router.failover import BreakerEffect
from llm_router.fleet_items import BREAKER, SWITCH, Switch
from llm_router.fleet_store import FleetStore, OvertakenError, Shared
from llm_router.health import HEALTHY, Health, OpenReason
from llm_router.routing import Facts

FACTS_CACHED_FOR_S = 5.0
CALM_CACHED_FOR_S = 1.0
TROUBLED_CACHED_FOR_S = 0.1
"""How old a knowledge of the breakers may be; less while one may be about to open."""

UNREAD_CACHED_FOR_S = 5.0
"""How long what is known does when the table could not be read."""

ANSWERED_WITHIN_S = 0.5
"""Routing gets by on what it knows, or on nothing."""

SWITCHED_WITHIN_S = 5.0
SWAPS_AT_MOST = 5
SUCCESSES_WRITTEN_EACH = 16
"""So many successes beside failures are written one by one; more are written as samples, each with its weight."""

Change = Callable[[Health], Health]


@dataclass(frozen=True, slots=True)
class FleetView:
    """At one moment. Breakers and facts are by candidate's name, switches by provider's."""

    health: Mapping[str, Health] = field(default_factory=dict)
    switched_off: Mapping[str, Switch] = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)


class Fleet:
    """One for each process."""

    def __init__(self, store: FleetStore, *, clock: Clock, logger: Logger) -> None:
        self._store = store
        self._clock = clock
        self._logger = logger
        self._health: dict[str, Health] = {}
        self._first_seen: dict[str, tuple[str | None, Health]] = {}
        self._switched_off: Mapping[str, Switch] = {}
        self._facts: Mapping[str, Facts] = {}
        self._due_at_s = dict.fromkeys(Shared, float("-inf"))
        self._reading = asyncio.Lock()

    async def current(self) -> FleetView:
        """Read again what has become old. Never raises."""
        if self._due():
            async with self._reading:
                if due := self._due():
                    await self._read(due)
        return FleetView(dict(self._health), self._switched_off, self._facts)

    async def admits(self, candidate: str, *, lease_s: float) -> bool:
        """Whether the candidate may be tried now. A half-open one takes the fleet's only probe, for `lease_s`."""
        now = self._clock.now()
        known = self._health.get(candidate, HEALTHY)
        if known.closed_until(now) is not None:
            return False
        if not known.needs_probe(now):
            return True

        def lease(health: Health) -> Health:
            is_free = health.needs_probe(now) and health.closed_until(now) is None
            return health.probed(now=now, lease_s=lease_s) if is_free else health

        try:
            has_lease = await self._swap(candidate, known, lease)
        except (StoreError, TimeoutError):
            self._health[candidate] = lease(known)
            return True
        return has_lease or self._health.get(candidate, HEALTHY).reason is None

    def is_failing(self, candidate: str) -> bool:
        """Whether its breaker is open for failing, as far as this process knows."""
        known = self._health.get(candidate, HEALTHY)
        return known.reason is OpenReason.FAILING and known.is_open(self._clock.now())

    def note(
        self, candidate: str, effect: BreakerEffect, *, began_at: datetime, retry_after_s: float | None = None
    ) -> asyncio.Task[None] | None:
        """Learn from an attempt. The task tells the fleet where there is something to tell; await it."""
        now = self._clock.now()
        known = self._health.get(candidate, HEALTHY)
        weight = max(1, known.succeeded // SUCCESSES_WRITTEN_EACH) if effect is BreakerEffect.CLOSES else 1

        def change(health: Health) -> Health:
            return health.after(effect, began_at=began_at, now=now, retry_after_s=retry_after_s, weight=weight)

        changed = change(known)
        is_sampled_out = known.reason is None and known.failures == 0 and self._clock.jitter() * weight >= 1
        if changed == known or is_sampled_out:
            return None
        self._health[candidate] = changed
        return asyncio.create_task(self._tell(candidate, known, change))

    async def switch(self, provider: str, switched_off: Switch | None) -> None:
        """Take a provider out, or back with None. Raises StoreError or TimeoutError, after which it may be either."""
        text = fleet_items.switch_text(switched_off) if switched_off else None
        try:
            await asyncio.wait_for(asyncio.to_thread(self._store.put, SWITCH + provider, text), SWITCHED_WITHIN_S)
        finally:
            self._due_at_s[Shared.FLEET] = float("-inf")

    def _due(self) -> list[Shared]:
        now_s = self._clock.monotonic_s()
        return [item for item, due_at_s in self._due_at_s.items() if now_s >= due_at_s]

    async def _read(self, due: list[Shared]) -> None:
        try:
            read = await asyncio.wait_for(asyncio.to_thread(self._store.read, due), ANSWERED_WITHIN_S)
        except (StoreError, TimeoutError) as error:
            self._logger.warning("fleet not read", event="fleet.unreadable", reason=str(error) or "too slow")
            self._next_read(due, UNREAD_CACHED_FOR_S)
            return
        if Shared.FACTS in read:
            self._facts = fleet_items.facts(read[Shared.FACTS].get("facts"))
            self._next_read([Shared.FACTS], FACTS_CACHED_FOR_S)
        if Shared.FLEET in read:
            self._take(read[Shared.FLEET])
            is_about_to_open = any(health.is_failing(self._clock.now()) for health in self._health.values())
            self._next_read([Shared.FLEET], TROUBLED_CACHED_FOR_S if is_about_to_open else CALM_CACHED_FOR_S)

    def _next_read(self, items: list[Shared], after_s: float) -> None:
        for item in items:
            self._due_at_s[item] = self._clock.monotonic_s() + after_s

    def _take(self, texts: Mapping[str, str]) -> None:
        self._switched_off = {
            name.removeprefix(SWITCH): fleet_items.switch(text)
            for name, text in texts.items()
            if name.startswith(SWITCH)
        }
        self._health = {
            candidate: self._seen(candidate, text)
            for name, text in texts.items()
            if (candidate := name.removeprefix(BREAKER)) != name
        }

    def _seen(self, candidate: str, text: str | None) -> Health:
        """What a text means by this process's clock. It is judged once, or a time in the future would never come."""
        before, health = self._first_seen.get(candidate, (None, HEALTHY))
        if text != before:
            health = fleet_items.health(text).seen(self._clock.now())
            self._first_seen[candidate] = (text, health)
        return health

    async def _tell(self, candidate: str, known: Health, change: Change) -> None:
        try:
            await self._swap(candidate, known, change)
        except (StoreError, TimeoutError) as error:
            self._logger.warning("fleet not told", event="fleet.untold", reason=str(error) or "too slow")

    async def _swap(self, candidate: str, known: Health, change: Change) -> bool:
        """Change a breaker for the whole fleet; whether it was this process that did.

        Raises StoreError or TimeoutError.
        """
        self._health[candidate], has_changed = await asyncio.wait_for(
            asyncio.to_thread(self._swapped, candidate, known, change), ANSWERED_WITHIN_S
        )
        return has_changed

    def _swapped(self, candidate: str, known: Health, change: Change) -> tuple[Health, bool]:
        """Blocking. The breaker as it is now, and whether it was changed here; `known` is where to begin."""
        name, before = BREAKER + candidate, fleet_items.breaker_text(known)
        health = fleet_items.health(before)
        for _ in range(SWAPS_AT_MOST):
            after = fleet_items.breaker_text(change(health))
            if after == fleet_items.breaker_text(health):
                break
            try:
                self._store.swap(name, before, after)
            except OvertakenError as error:
                before = error.current
                health = self._seen(candidate, before)
            else:
                return fleet_items.health(after), True
        return health, False
