"""What the rollups say of each candidate, as far as routing goes by it: speed, failures, length of answers."""

from __future__ import annotations

from datetime import datetime

from llm_router import rollups, sketch
from llm_router.checkpoints import Checkpoints
from llm_router.rollups import Counters, Kind, Period
from llm_router.routing import TYPICAL_COMPLETION_TOKENS, Facts
from llm_router.spans import last_hours

RECENT_HOURS = 2
"""The hour that is running and the one before."""

ENOUGH_ANSWERS = 20
"""With fewer in the recent hours, all that was ever counted says more."""

ENOUGH_COUNTED = 50_000
"""Tokens by the router's own count, with fewer of which one odd prompt would decide."""

FACTOR_AT_MOST = 3.0
"""No tokenizer is further from another on what people write; a provider that reports such is not believed."""


def gathered(checkpoints: Checkpoints, *, now: datetime) -> dict[str, Facts]:
    """By candidate's name. Blocking; raises StoreError."""
    recent: dict[str, list[Counters]] = {}
    for segment in last_hours(RECENT_HOURS, now=now).segments(Period.HOUR):
        for each in checkpoints.sums(Kind.CANDIDATE, segment=segment):
            recent.setdefault(each.name, []).append(each.counters)
    return {
        name: facts(ever, recent=rollups.summed(recent.get(name, ())))
        for _, name, ever in checkpoints.sums(Kind.CANDIDATE)
    }


def facts(ever: Counters, *, recent: Counters) -> Facts:
    """From a candidate's rollups: over all time, and over the recent hours where they hold enough."""
    counted = recent if int(recent.get("requests", 0)) >= ENOUGH_ANSWERS else ever
    latencies = rollups.latency_counts(counted)
    rate = rollups.success_rate(counted)
    served = int(counted.get("requests", 0))
    return Facts(
        latency_ms=sketch.quantile_ms(latencies, 0.5),
        slow_ms=sketch.quantile_ms(latencies, 0.95),
        success_rate=1.0 if rate is None else rate,
        completion_tokens=int(counted.get("answer_tokens", 0)) // served if served else TYPICAL_COMPLETION_TOKENS,
        token_factor=_token_factor(ever),
        cached_share=_share(counted, "cached_prompt_tokens", of="prompt_tokens"),
    )


def _token_factor(ever: Counters) -> float:
    """Over all time: a tokenizer belongs to its model, and does not change."""
    if int(ever.get("counted_tokens", 0)) < ENOUGH_COUNTED:
        return 1.0
    return min(FACTOR_AT_MOST, max(1 / FACTOR_AT_MOST, _share(ever, "reported_tokens", of="counted_tokens")))


def _share(counters: Counters, part: str, *, of: str) -> float:
    whole = int(counters.get(of, 0))
    return round(int(counters.get(part, 0)) / whole, 4) if whole else 0.0
