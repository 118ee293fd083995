"""What is known of a candidate's state, and how an attempt's outcome changes it. Pure: time is an argument.

The breaker is closed; open until a time, for a reason; or half-open past that time, when one attempt, the probe,
decides whether it closes. The values are shared by the fleet, so an attempt is judged by when it began: what was under
way when the breaker opened says nothing about what came after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from llm_router.failover import BreakerEffect

FAILURES_TO_OPEN = 3
ATTEMPTS_FOR_RATE = 10
"""Half of so many attempts within a minute open it too."""

FIRST_COOL_DOWN_S = 5.0
LONGEST_COOL_DOWN_S = 20.0
RATE_LIMIT_COOL_DOWN_S = 5.0
LONGEST_RATE_LIMIT_S = 60.0
REFUSED_COOL_DOWN_S = 300.0


LONGEST_LEASE_S = 910.0
"""More than any first content is waited for."""


class OpenReason(StrEnum):
    FAILING = "failing"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"


LONGEST_OPEN_S = {
    OpenReason.FAILING: LONGEST_COOL_DOWN_S,
    OpenReason.RATE_LIMITED: LONGEST_RATE_LIMIT_S,
    OpenReason.REFUSED: REFUSED_COOL_DOWN_S,
}


@dataclass(frozen=True, slots=True)
class Health:
    """A candidate's breaker.

    `failures` are in a row; `failed` and `succeeded` are counted within `minute` (of the epoch), successes only as long
    as there is something to weigh them against. `reason` is set from the opening until a success; `openings` counts
    those for failing, in a row; `probing_until` is the end of the lease under which one attempt probes, which is until
    its first content.
    """

    failures: int = 0
    minute: int = 0
    failed: int = 0
    succeeded: int = 0
    openings: int = 0
    reason: OpenReason | None = None
    opened_at: datetime | None = None
    open_until: datetime | None = None
    probing_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until

    def needs_probe(self, now: datetime) -> bool:
        """Whether it is half-open."""
        return self.reason is not None and not self.is_open(now)

    def is_failing(self, now: datetime) -> bool:
        """Whether it is closed and has met failures just now."""
        return self.reason is None and _minute(now) - self.minute <= 1

    def closed_until(self, now: datetime) -> datetime | None:
        """Until when no attempt may be made: the breaker's time, or the end of another's probe; None where one may."""
        if self.is_open(now):
            return self.open_until
        if self.probing_until is not None and now < self.probing_until:
            return self.probing_until
        return None

    def seen(self, now: datetime) -> Health:
        """As it is understood by who reads it for the first time.

        Whoever wrote it may have a clock that is ahead: what began in the future began just now, and nothing lasts for
        longer than it can have been meant to.
        """
        ahead = max(timedelta(0), self.opened_at - now) if self.opened_at else timedelta(0)
        longest_s = LONGEST_OPEN_S[self.reason] if self.reason else 0.0
        return replace(
            self,
            minute=min(self.minute, _minute(now)),
            opened_at=self.opened_at and self.opened_at - ahead,
            open_until=self.open_until and min(self.open_until - ahead, now + timedelta(seconds=longest_s)),
            probing_until=self.probing_until and min(self.probing_until, now + timedelta(seconds=LONGEST_LEASE_S)),
        )

    def probed(self, *, now: datetime, lease_s: float) -> Health:
        return replace(self, probing_until=now + timedelta(seconds=lease_s))

    def after(
        self,
        effect: BreakerEffect,
        *,
        began_at: datetime,
        now: datetime,
        retry_after_s: float | None = None,
        weight: int = 1,
    ) -> Health:
        """The state after an attempt with this effect. A success may stand for `weight` of them."""
        if effect is BreakerEffect.CLOSES:
            return self._succeeded(began_at, now, weight)
        if effect is BreakerEffect.ANSWERS:
            return self._on_probation(now) if self._was_probed_by(began_at) else self
        if effect is BreakerEffect.NONE:
            return replace(self, probing_until=None) if self._was_probed_by(began_at) else self
        if effect is BreakerEffect.RATE_LIMITED:
            return _opened(self, OpenReason.RATE_LIMITED, now, rate_limit_s(retry_after_s))
        if effect is BreakerEffect.REFUSED:
            return _opened(self, OpenReason.REFUSED, now, REFUSED_COOL_DOWN_S)
        return self._failed(began_at, now)

    def _succeeded(self, began_at: datetime, now: datetime, weight: int) -> Health:
        if self.reason is not None:
            return self if self.opened_at is not None and began_at < self.opened_at else HEALTHY
        if self.minute != _minute(now) or not self.failed:
            return HEALTHY
        return replace(self, failures=0, succeeded=self.succeeded + weight)

    def _on_probation(self, now: datetime) -> Health:
        """Closed, for all, as soon as a probe shows that there is an answer; the next failure opens it again."""
        return Health(failures=FAILURES_TO_OPEN - 1, minute=_minute(now), openings=self.openings)

    def _failed(self, began_at: datetime, now: datetime) -> Health:
        if self.reason is not None:
            return _opened_again(self, now) if self._was_probed_by(began_at) else self
        is_same_minute = self.minute == _minute(now)
        counted = replace(
            self,
            failures=self.failures + 1,
            minute=_minute(now),
            failed=self.failed + 1 if is_same_minute else 1,
            succeeded=self.succeeded if is_same_minute else 0,
        )
        return _opened_again(counted, now) if _has_failed_too_often(counted) else counted

    def _was_probed_by(self, began_at: datetime) -> bool:
        """An attempt that began while it was open is a forced one, and no probe."""
        return self.reason is not None and self.open_until is not None and began_at >= self.open_until


HEALTHY = Health()


def rate_limit_s(retry_after_s: float | None) -> float:
    """How long a candidate that limits us is left alone."""
    return RATE_LIMIT_COOL_DOWN_S if retry_after_s is None else min(retry_after_s, LONGEST_RATE_LIMIT_S)


def _has_failed_too_often(health: Health) -> bool:
    attempts = health.failed + health.succeeded
    return health.failures >= FAILURES_TO_OPEN or (attempts >= ATTEMPTS_FOR_RATE and health.failed * 2 >= attempts)


def _opened_again(health: Health, now: datetime) -> Health:
    cool_down_s = min(FIRST_COOL_DOWN_S * 2**health.openings, LONGEST_COOL_DOWN_S)
    return _opened(health, OpenReason.FAILING, now, cool_down_s)


def _opened(health: Health, reason: OpenReason, now: datetime, cool_down_s: float) -> Health:
    until = now + timedelta(seconds=cool_down_s)
    if health.open_until is not None and until <= health.open_until:
        return health
    openings = health.openings + (reason is OpenReason.FAILING)
    return Health(openings=openings, reason=reason, opened_at=now, open_until=until)


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60
