"""Callers: so many requests a second to the routers in turn, whether or not earlier ones are answered yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

BODY = {"prompt": "What is a router?"}
ANSWERED_WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as its caller saw it. `at_s` is of the epoch; `provider` served it, None where nobody did."""

    at_s: float
    latency_s: float
    router: int
    status: int | None
    provider: str | None

    @property
    def is_answered(self) -> bool:
        return self.status == 200 and self.provider is not None


@dataclass(slots=True)
class Load:
    client: httpx.AsyncClient
    urls: Sequence[str]
    asked: list[Asked] = field(default_factory=list)

    async def ask(self, router: int) -> Asked:
        at_s, began_s = time.time(), time.perf_counter()
        status, provider = None, None
        try:
            response = await self.client.post(f"{self.urls[router]}/generate", json=BODY)
            status = response.status_code
            provider = response.json().get("provider")
        except (httpx.HTTPError, ValueError):
            pass  # a failed answer, and counted as one
        asked = Asked(at_s, time.perf_counter() - began_s, router, status, provider)
        self.asked.append(asked)
        return asked

    async def keep_asking(self, per_second: float) -> None:
        """Until cancelled; then waits for what is under way."""
        loop = asyncio.get_running_loop()
        started_s, number = loop.time(), 0
        under_way: set[asyncio.Task[Asked]] = set()
        try:
            while True:
                task = asyncio.create_task(self.ask(number % len(self.urls)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                number += 1
                await asyncio.sleep(max(0.0, started_s + number / per_second - loop.time()))
        finally:
            await asyncio.gather(*under_way)


@asynccontextmanager
async def callers(urls: Sequence[str]) -> AsyncIterator[Load]:
    """Nobody asks yet."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=ANSWERED_WITHIN_S, limits=limits, trust_env=False) as client:
        yield Load(client, urls)
