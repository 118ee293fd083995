"""What happens to the fleet: a provider that goes down and comes back, and a DynamoDB that does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise

import httpx

from infra.bench.fleet.load import Asked, Load
from infra.bench.fleet.members import CANDIDATE, CHEAP, Members
from infra.bench.fleet.provider import Hit, Provider, State
from infra.bench.fleet.watch import Opening, Watch

CALM_S = 3.0
KNOWN_WITHIN_S = 1.0
"""A process that knows of no trouble may go by what it read so long ago."""

COMES_TO_BE_WITHIN_S = 60.0
PAUSED_S, DOWN_MEANWHILE_S, KILLED_S = 3.0, 5.0, 4.0
"""The table hangs; hangs while the provider is down as well; refuses connections."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What was seen from `began_s` on of a provider that was down from `down_s` to `up_s`.

    Seconds of the epoch. `counts_from_s` is where the fleet is held to one attempt for each cool-down.
    """

    began_s: float
    down_s: float
    up_s: float
    counts_from_s: float
    asked: list[Asked]
    hits: list[Hit]
    openings: list[Opening]

    @property
    def opened_s(self) -> float:
        return self.openings[0].at_s

    @property
    def before(self) -> list[Hit]:
        """Attempts on the dead provider until its breaker opened."""
        return [hit for hit in self.hits if hit.at_s < self.opened_s]

    @property
    def just_after(self) -> list[Hit]:
        """Those of processes that could not know yet."""
        return [hit for hit in self.hits if self.opened_s <= hit.at_s < self.counts_from_s]

    @property
    def per_cool_down(self) -> list[int]:
        """How many came between an opening and the next one."""
        counted = [hit.at_s for hit in self.hits if hit.at_s >= self.counts_from_s]
        edges = [*(opening.at_s for opening in self.openings), float("inf")]
        return [sum(begins <= at_s < ends for at_s in counted) for begins, ends in pairwise(edges)]

    @property
    def failed(self) -> list[Asked]:
        return [asked for asked in self.asked if not asked.is_answered]

    @property
    def used_again_after_s(self) -> float:
        """From the return to the first answer, by whichever process."""
        return min(_first_uses(self.asked, self.up_s).values()) - self.up_s

    @property
    def used_by_all_after_s(self) -> float:
        return max(_first_uses(self.asked, self.up_s).values()) - self.up_s

    def latencies_s(self, begins_s: float, ends_s: float) -> list[float]:
        return [asked.latency_s for asked in self.asked if begins_s <= asked.at_s < ends_s]


@dataclass(frozen=True, slots=True)
class Stage:
    """All that takes part."""

    members: Members
    provider: Provider
    load: Load
    watch: Watch


@asynccontextmanager
async def under_load(stage: Stage, *, per_second: float) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(stage.load.keep_asking(per_second)),
        asyncio.create_task(stage.watch.keep_looking()),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def provider_outage(stage: Stage, fault: State, *, down_for_s: float, per_second: float) -> Outage:
    """The cheap provider goes down and comes back; DynamoDB is well."""
    _forget(stage)
    began_s = time.time()
    async with under_load(stage, per_second=per_second):
        await asyncio.sleep(CALM_S)
        down_s = stage.provider.turn(fault)
        await asyncio.sleep(down_for_s)
        up_s = await _recovered(stage)
    opened_s = _opened(stage)[0].at_s
    return _seen(stage, began_s=began_s, down_s=down_s, up_s=up_s, counts_from_s=opened_s + KNOWN_WITHIN_S)


@dataclass(frozen=True, slots=True)
class TableOutage:
    """`gone_s` to `back_s`: DynamoDB did not answer. `agreed_s`: every process said the same of the breaker."""

    outage: Outage
    gone_s: float
    back_s: float
    agreed_s: float


async def table_outage(stage: Stage, *, per_second: float) -> TableOutage:
    """DynamoDB hangs, then is gone, and the provider goes down meanwhile; both come back, DynamoDB first."""
    _forget(stage)
    emulator = stage.members.emulator
    began_s = time.time()
    async with under_load(stage, per_second=per_second):
        await asyncio.sleep(CALM_S)
        gone_s = time.time()
        emulator.pause()
        await asyncio.sleep(PAUSED_S)
        down_s = stage.provider.turn(State.RESETTING)
        await asyncio.sleep(DOWN_MEANWHILE_S)
        await asyncio.to_thread(emulator.kill)
        await asyncio.sleep(KILLED_S)
        await asyncio.to_thread(emulator.start)
        back_s = time.time()
        await until(lambda: agreed(stage))
        agreed_s = time.time()
        known = len(stage.watch.openings)
        await until(lambda: _is_true(len(stage.watch.openings) > known))
        up_s = await _recovered(stage)
    outage = _seen(stage, began_s=began_s, down_s=down_s, up_s=up_s, counts_from_s=agreed_s)
    return TableOutage(outage, gone_s=gone_s, back_s=back_s, agreed_s=agreed_s)


async def agreed(stage: Stage) -> bool:
    """Whether every process says that the breaker is open, until the same moment."""
    found = await states(stage)
    return "openUntil" in found[0] and all(state == found[0] for state in found)


async def states(stage: Stage) -> list[dict[str, object]]:
    """What each process says of the breaker."""
    return [await _state(stage.load.client, url) for url in stage.members.urls]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(COMES_TO_BE_WITHIN_S):
        while not await condition():  # noqa: ASYNC110  # what is waited for happens in other processes
            await asyncio.sleep(0.05)


async def _state(client: httpx.AsyncClient, url: str) -> dict[str, object]:
    candidates = (await client.get(f"{url}/providers")).json()["candidates"]
    return next(
        {name: found.get(name) for name in ("state", "reason", "openUntil") if name in found}
        for found in candidates
        if found["candidate"] == CANDIDATE
    )


async def _recovered(stage: Stage) -> float:
    """The provider comes back, and every process uses it again. Returns when it came back."""
    up_s = stage.provider.turn(State.UP)
    await until(lambda: _is_true(len(_first_uses(stage.load.asked, up_s)) == len(stage.members.urls)))
    return up_s


async def _is_true(value: bool) -> bool:  # noqa: FBT001  # what `until` waits for, where nobody has to be asked
    return value


def _first_uses(asked: list[Asked], up_s: float) -> dict[int, float]:
    """When each router had its first answer of the provider that is back."""
    served = [one for one in asked if one.at_s >= up_s and one.provider == CHEAP]
    return {one.router: one.at_s for one in sorted(served, key=lambda one: one.at_s, reverse=True)}


def _forget(stage: Stage) -> None:
    """What an earlier scenario has left behind."""
    stage.load.asked.clear()
    stage.provider.hits.clear()
    stage.watch.openings.clear()


def _opened(stage: Stage) -> list[Opening]:
    if not stage.watch.openings:
        raise SystemExit("The breaker has not opened: the provider was down for too short a time.")
    return stage.watch.openings


def _seen(stage: Stage, *, began_s: float, down_s: float, up_s: float, counts_from_s: float) -> Outage:
    return Outage(
        began_s=began_s,
        down_s=down_s,
        up_s=up_s,
        counts_from_s=counts_from_s,
        asked=list(stage.load.asked),
        hits=stage.provider.down_hits(),
        openings=list(_opened(stage)),
    )
