"""What the fleet shares, as text in DynamoDB items and back. Pure; docs/data-model.md describes the items.

Each value is one string, so that a swap can be made on the condition that it is still what was read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_router.health import HEALTHY, Health, OpenReason
from llm_router.routing import Facts

BREAKER = "breaker#"
SWITCH = "switch#"
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError)
"""What text of another form leads to; the last two are what a time far off raises."""


@dataclass(frozen=True, slots=True)
class Switch:
    """A provider that an operator has taken out, when and why."""

    since: datetime
    reason: str = ""


def breaker_text(health: Health) -> str | None:
    """None for a healthy candidate: it takes no place."""
    if health == HEALTHY:
        return None
    values = {
        "failures": health.failures,
        "minute": health.minute,
        "failed": health.failed,
        "succeeded": health.succeeded,
        "openings": health.openings,
        "reason": health.reason.value if health.reason else None,
        "opened_at": _to_ms(health.opened_at),
        "open_until": _to_ms(health.open_until),
        "probing_until": _to_ms(health.probing_until),
    }
    return _text({name: value for name, value in values.items() if value})


def health(text: str | None) -> Health:
    """What can't be read counts as healthy: an older version of the router may have written it."""
    try:
        values = json.loads(text or "{}")
        return Health(
            failures=int(values.get("failures", 0)),
            minute=int(values.get("minute", 0)),
            failed=int(values.get("failed", 0)),
            succeeded=int(values.get("succeeded", 0)),
            openings=int(values.get("openings", 0)),
            reason=OpenReason(values["reason"]) if "reason" in values else None,
            opened_at=_from_ms(values.get("opened_at")),
            open_until=_from_ms(values.get("open_until")),
            probing_until=_from_ms(values.get("probing_until")),
        )
    except UNREADABLE:
        return HEALTHY


def switch_text(switch: Switch) -> str:
    return _text({"since": _to_ms(switch.since), "reason": switch.reason})


def switch(text: str) -> Switch:
    """One that can't be read is off all the same, with no reason."""
    try:
        values = json.loads(text)
        return Switch(_from_ms(values["since"]) or datetime.fromtimestamp(0, UTC), str(values["reason"]))
    except UNREADABLE:
        return Switch(datetime.fromtimestamp(0, UTC))


def facts_text(facts: Mapping[str, Facts]) -> str:
    return _text(
        {
            name: {
                "p50": known.latency_ms,
                "p95": known.slow_ms,
                "rate": known.success_rate,
                "tokens": known.completion_tokens,
                "factor": known.token_factor,
                "cached": known.cached_share,
            }
            for name, known in facts.items()
        }
    )


def facts(text: str | None) -> dict[str, Facts]:
    try:
        return {name: _facts(values) for name, values in json.loads(text or "{}").items()}
    except UNREADABLE:
        return {}


def _facts(values: Mapping[str, Any]) -> Facts:
    return Facts(
        latency_ms=None if values["p50"] is None else float(values["p50"]),
        slow_ms=None if values["p95"] is None else float(values["p95"]),
        success_rate=float(values["rate"]),
        completion_tokens=int(values["tokens"]),
        token_factor=float(values.get("factor", 1)),
        cached_share=float(values.get("cached", 0)),
    )


def _text(values: object) -> str:
    """The same values always give the same text."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _to_ms(at: datetime | None) -> int | None:
    """The millisecond that it is in, as a time is told to callers."""
    return None if at is None else (at - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def _from_ms(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
