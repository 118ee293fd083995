"""What the fleet's shared item says of one breaker while time goes by."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from llm_router import fleet_items
from llm_router.errors import StoreError
from llm_router.fleet_items import BREAKER
from llm_router.fleet_store import FleetStore, Shared
from llm_router.health import Health

EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Opening:
    """The breaker opened, or opened again after a probe. Seconds of the epoch."""

    at_s: float
    until_s: float


@dataclass(slots=True)
class Watch:
    store: FleetStore
    candidate: str
    openings: list[Opening] = field(default_factory=list)

    async def keep_looking(self) -> None:
        """Until cancelled. A cool-down is far longer than the time between two looks, so none is missed."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_S)

    async def look(self) -> Health | None:
        """The breaker now; None where the table can't be read."""
        try:
            read = await asyncio.to_thread(self.store.read, [Shared.FLEET])
        except StoreError:
            return None
        health = fleet_items.health(read[Shared.FLEET].get(BREAKER + self.candidate))
        if health.opened_at and health.open_until:
            opening = Opening(health.opened_at.timestamp(), health.open_until.timestamp())
            if opening not in self.openings:
                self.openings.append(opening)
        return health
