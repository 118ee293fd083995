"""The figures as callers and the page read them: the bodies of `GET /stats` and `stats.json`. Pure.

Money is Decimal, latency in seconds, times are UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from llm_router import rollups, sketch
from llm_router.rollups import ALL, Counters
from llm_router.statistics import Snapshot
from llm_router.usage import Attempt, CostBasis, RecordState, UsageRecord

LATE_S = 600.0
"""An aggregation further behind than this is worth a warning."""


def document(snapshot: Snapshot) -> dict[str, object]:
    """The body of `GET /stats`. Money is Decimal, latency in seconds."""
    counters = snapshot.totals.get(ALL, {})
    requests, successes = _count(counters, "requests"), _count(counters, "successes")
    return {
        "asOf": timestamp(snapshot.as_of),
        "totalRequests": requests,
        "totalTokens": _tokens(counters),
        "promptTokens": _count(counters, "prompt_tokens"),
        "completionTokens": _count(counters, "completion_tokens"),
        "totalCost": _usd(counters),
        "costBasis": _bases(counters),
        "requestCounts": {"success": successes, "failed": requests - successes},
        "successRate": None if not requests else _rate(successes / requests),
        "pending": snapshot.pending,
        "unsettled": _count(counters, "unsettled"),
        "providers": _providers(snapshot.totals),
    }


def published(
    snapshot: Snapshot,
    *,
    recent: Sequence[UsageRecord],
    stage: str,
    behind_s: float,
) -> dict[str, object]:
    """`stats.json`: the figures with what the page shows beside them."""
    return {
        **document(snapshot),
        "publishedAt": timestamp(snapshot.as_of),
        "stage": stage,
        "hours": _hour_rows(snapshot.hours),
        "recent": [_recent_row(record) for record in recent],
        "warnings": _warnings(snapshot, behind_s),
    }


def _hour_rows(hours: Mapping[str, Counters]) -> list[dict[str, object]]:
    return [
        {
            "hour": f"{hour}:00:00Z",
            "requests": _count(counters, "requests"),
            "failed": _count(counters, "failures"),
            "tokens": _tokens(counters),
            "cost": _usd(counters),
            "costBasis": _bases(counters),
        }
        for hour, counters in hours.items()
    ]


def _recent_row(record: UsageRecord) -> dict[str, object]:
    last = record.attempts[-1] if record.attempts else None
    return {
        "requestId": record.request_id,
        "at": timestamp(record.opened_at),
        "route": record.route,
        "status": _status(record),
        "error": record.error,
        "provider": last.provider if last else None,
        "modelUsed": last.model if last else None,
        "tokens": record.tokens.total,
        "cost": record.cost.usd,
        "costBasis": record.cost.basis.value,
        "latency": None if record.latency_ms is None else seconds(record.latency_ms),
        "attempts": attempt_rows(record.attempts),
        "warnings": [],
    }


def _warnings(snapshot: Snapshot, behind_s: float) -> list[dict[str, str]]:
    """What whoever reads the figures must know of them."""
    counters = snapshot.totals.get(ALL, {})
    found = []
    if unknown := _count(counters, "cost_unknown"):
        found.append(("cost_unknown", f"The cost of {unknown} requests is not known and not in the total: no price."))
    if unsettled := _count(counters, "unsettled"):
        found.append(
            ("unsettled", f"{unsettled} requests never reported their end; an upper estimate counts for them.")
        )
    if behind_s > LATE_S:
        found.append(("behind", f"The aggregation is {behind_s / 60:.0f} minutes behind; it is catching up."))
    return [{"at": timestamp(snapshot.as_of), "kind": kind, "message": message} for kind, message in found]


def attempt_rows(attempts: Sequence[Attempt]) -> list[dict[str, object]]:
    return [
        {
            "provider": attempt.provider,
            "model": attempt.model,
            "outcome": attempt.outcome.value,
            "latency": seconds(attempt.latency_ms),
        }
        for attempt in attempts
    ]


def seconds(milliseconds: float) -> Decimal:
    return Decimal(round(milliseconds)) / 1000


def timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _providers(totals: Mapping[str, Counters]) -> dict[str, object]:
    by_provider: dict[str, dict[str, Counters]] = {}
    for name, counters in rollups.by_candidate(totals).items():
        provider, _, model = name.partition("/")
        by_provider.setdefault(provider, {})[model] = counters
    return {
        provider: {
            **_figures(rollups.summed(models.values())),
            "models": {model: _figures(counters) for model, counters in models.items()},
        }
        for provider, models in by_provider.items()
    }


def _figures(counters: Counters) -> dict[str, object]:
    rate = rollups.success_rate(counters)
    counts = rollups.latency_counts(counters)
    return {
        "requests": _count(counters, "requests"),
        "attempts": _count(counters, "attempts"),
        "failedAttempts": _count(counters, "failed_attempts"),
        "tokens": _tokens(counters),
        "cost": _usd(counters),
        "costBasis": _bases(counters),
        "successRate": None if rate is None else _rate(rate),
        "latency": {"p50": _quantile(counts, 0.5), "p95": _quantile(counts, 0.95)},
    }


def _quantile(counts: Mapping[int, int], q: float) -> Decimal | None:
    found_ms = sketch.quantile_ms(counts, q)
    return None if found_ms is None else seconds(found_ms)


def _status(record: UsageRecord) -> str:
    if record.state is RecordState.SETTLED:
        return "success" if record.served else "failed"
    return record.state.value


def _tokens(counters: Counters) -> int:
    return _count(counters, "prompt_tokens") + _count(counters, "completion_tokens")


def _count(counters: Counters, name: str) -> int:
    return int(counters.get(name, 0))


def _usd(counters: Counters) -> Decimal | None:
    """The part that is known; None where nothing of it is."""
    bases = _bases(counters)
    if bases[CostBasis.UNKNOWN] and bases[CostBasis.UNKNOWN] == sum(bases.values()):
        return None
    return Decimal(counters.get("cost_usd", 0))


def _bases(counters: Counters) -> dict[str, int]:
    """How many costs were exact, estimated and unknown."""
    return {basis.value: _count(counters, f"cost_{basis.value}") for basis in CostBasis}


def _rate(rate: float) -> Decimal:
    """Rounded down: one failure in a million is not 100%."""
    return Decimal(math.floor(rate * 10_000)) / 10_000
