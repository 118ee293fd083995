"""Which faults DynamoDB has next: drawn from a seed, some alone, some for a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    NONE = "none"
    ERROR = "500, not applied"
    CUT = "connection cut, not applied"
    LOST = "applied, acknowledgement lost"
    THROTTLED = "throttled"
    LATE = "applied after the client gave up"
    DEAD = "no connection"


ALONE = {
    Fault.ERROR: 15,
    Fault.CUT: 15,
    Fault.LOST: 15,
    Fault.THROTTLED: 15,
    Fault.LATE: 2,
}
"""Of a thousand calls."""

FAIR_S = (6.0, 15.0)
STORM_S = (2.0, 4.0)
STORMS = (Fault.DEAD, Fault.ERROR, Fault.THROTTLED, Fault.LOST)
"""For a while every call meets the same."""


@dataclass(slots=True)
class Weather:
    seed: int
    now_s: Callable[[], float] = time.monotonic
    _chance: random.Random = field(init=False)
    _storm: Fault = Fault.NONE
    _turns_at_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # to be told again, not a secret
        self._turns_at_s = self.now_s() + self._chance.uniform(*FAIR_S)

    def next_fault(self) -> Fault:
        if self.now_s() >= self._turns_at_s:
            self._turn()
        if self._storm is not Fault.NONE:
            return self._storm
        drawn = self._chance.random() * 1000
        for fault, share in ALONE.items():
            drawn -= share
            if drawn < 0:
                return fault
        return Fault.NONE

    def _turn(self) -> None:
        is_fair = self._storm is Fault.NONE
        self._storm = self._chance.choice(STORMS) if is_fair else Fault.NONE
        lasts_s = STORM_S if is_fair else FAIR_S
        self._turns_at_s = self.now_s() + self._chance.uniform(*lasts_s)
