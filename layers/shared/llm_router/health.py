"""What is known of a candidate's state, and how an attempt's outcome changes it. Pure: time is an argument.

The breaker is closed, open until a time for a reason, or half-open: past that time, when the next attempt is a probe.
What one process learns stays in that process for now; the values are such that a fleet can share them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from llm_router.failover import BreakerEffect

FAILURES_TO_OPEN = 3
FIRST_COOL_DOWN_S = 5.0
LONGEST_COOL_DOWN_S = 20.0
RATE_LIMIT_COOL_DOWN_S = 5.0
LONGEST_RATE_LIMIT_S = 60.0
REFUSED_COOL_DOWN_S = 300.0


class OpenReason(StrEnum):
    FAILING = "failing"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Health:
    """A candidate's breaker: `failures` in a row, and until when it is open and why."""

    failures: int = 0
    openings: int = 0
    reason: OpenReason | None = None
    open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until

    def after(self, effect: BreakerEffect, *, now: datetime, retry_after_s: float | None = None) -> Health:
        """The state after an attempt with this effect."""
        if effect is BreakerEffect.CLOSES:
            return HEALTHY
        if effect is BreakerEffect.NONE:
            return self
        if effect is BreakerEffect.RATE_LIMITED:
            wait_s = RATE_LIMIT_COOL_DOWN_S if retry_after_s is None else retry_after_s
            return self._opened(OpenReason.RATE_LIMITED, now, min(wait_s, LONGEST_RATE_LIMIT_S))
        if effect is BreakerEffect.REFUSED:
            return self._opened(OpenReason.REFUSED, now, REFUSED_COOL_DOWN_S)
        return self._failed(now)

    def _failed(self, now: datetime) -> Health:
        """A failure of what was under way when the breaker opened neither closes it nor opens it again."""
        failures = self.failures + 1
        if failures < FAILURES_TO_OPEN or self.is_open(now):
            return replace(self, failures=failures)
        cool_down_s = min(FIRST_COOL_DOWN_S * 2**self.openings, LONGEST_COOL_DOWN_S)
        return Health(
            failures=failures,
            openings=self.openings + 1,
            reason=OpenReason.FAILING,
            open_until=now + timedelta(seconds=cool_down_s),
        )

    def _opened(self, reason: OpenReason, now: datetime, cool_down_s: float) -> Health:
        until = now + timedelta(seconds=cool_down_s)
        if self.open_until is not None and until < self.open_until:
            return self
        return Health(failures=self.failures, openings=self.openings, reason=reason, open_until=until)


HEALTHY = Health()
