"""What the fleet knows of each candidate, read from the rollups and cached for a few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from llm_router import rollups, sketch
from llm_router.checkpoints import Checkpoints
from llm_router.clock import Clock
from llm_router.errors import StoreError
from llm_router.rollups import Counters
from llm_router.routing import TYPICAL_COMPLETION_TOKENS, Facts

CACHED_FOR_S = 5.0
WAITED_FOR_S = 0.5
"""Routing gets by on older facts, or on none."""


class FleetFacts:
    """Latency, success rate and typical answer length by candidate. Stale or empty where DynamoDB does not answer."""

    def __init__(self, checkpoints: Checkpoints, *, clock: Clock) -> None:
        self._checkpoints = checkpoints
        self._clock = clock
        self._facts: Mapping[str, Facts] = {}
        self._read_at_s: float | None = None

    async def current(self) -> Mapping[str, Facts]:
        now_s = self._clock.monotonic_s()
        if self._read_at_s is None or now_s - self._read_at_s >= CACHED_FOR_S:
            self._read_at_s = now_s
            try:
                totals = await asyncio.wait_for(asyncio.to_thread(self._checkpoints.totals), WAITED_FOR_S)
            except (StoreError, TimeoutError):
                return self._facts
            self._facts = facts(totals)
        return self._facts


def facts(totals: Mapping[str, Counters]) -> dict[str, Facts]:
    """By candidate's name, from the total rollups by dimension."""
    return {name: _facts(counters) for name, counters in rollups.by_candidate(totals).items()}


def _facts(counters: Counters) -> Facts:
    served = int(counters.get("requests", 0))
    rate = rollups.success_rate(counters)
    return Facts(
        latency_ms=sketch.quantile_ms(rollups.latency_counts(counters), 0.5),
        success_rate=1.0 if rate is None else rate,
        completion_tokens=int(counters.get("answer_tokens", 0)) // served if served else TYPICAL_COMPLETION_TOKENS,
    )
