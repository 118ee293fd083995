"""Time, chance and waiting as one value, so that policy never reaches for them and tests hand in their own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` for the calendar, `monotonic_s` for durations, `random_bits(n)` for ids, `jitter` in [0, 1)."""

    now: Callable[[], datetime] = _now
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random_bits: Callable[[int], int] = random.SystemRandom().getrandbits
    jitter: Callable[[], float] = random.random
