"""The figures as callers and the page read them: the bodies of `GET /stats` and `stats.json`. Pure.

Money is Decimal, latency in seconds, times are UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from llm_router import prompt_warnings, rollups, sketch
from llm_router.rollups import Counters
from llm_router.spans import Span
from llm_router.statistics import Figures, Grouping, Published
from llm_router.usage import Attempt, CostBasis, RecordState, UsageRecord


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that whoever reads the figures must know; `kind` is a name for programs."""

    kind: str
    message: str


GROUPS_SHOWN = 100
"""Of the routes, keys and tags in `stats.json`, those that cost most."""

SAVINGS = (
    "for each answered request of a route with a baseline whose price is known: "
    "what the tokens of the attempt that served would have cost on the baseline, less what they cost"
)
WASTE = "what failed attempts cost; it is part of the total cost"
INFRASTRUCTURE = (
    "for each request that a Lambda function served: seconds x memory in GB x price of a GB-second, one invocation, "
    "one call of the gateway, one write to the table for opening, settling and each further attempt; "
    "not part of the total cost"
)

TRIMMING = (
    "for each answered request whose prompt was trimmed or cleaned: the tokens that were left out x the input price of "
    "the candidate that served, at the time; what has no known price is not in it"
)


def document(found: Figures) -> dict[str, object]:
    """The body of `GET /stats`. Money is Decimal, latency in seconds."""
    counters, question = found.total, found.question
    return {
        "asOf": timestamp(found.as_of),
        **_span(question.span),
        **_requests(counters),
        "pending": found.pending,
        "unsettled": _count(counters, "unsettled"),
        "savings": {**_savings(counters), "formula": SAVINGS},
        "waste": {"usd": _decimal(counters, "waste_usd"), "formula": WASTE},
        "infrastructure": {**_infrastructure(counters), "formula": INFRASTRUCTURE},
        "trimming": {**_trimming(counters), "formula": TRIMMING},
        "providers": _providers(found.candidates),
        **({} if question.group_by is None else {"groupBy": question.group_by, "groups": group_rows(found)}),
    }


def published(
    found: Published,
    *,
    recent: Sequence[UsageRecord],
    stage: str,
    notices: Sequence[Notice],
) -> dict[str, object]:
    """`stats.json`: the figures with what the page shows beside them."""
    return {
        **document(found.everything),
        "publishedAt": timestamp(found.everything.as_of),
        "stage": stage,
        "hours": group_rows(found.hours),
        "routes": _dearest(found.routes),
        "keys": _dearest(found.keys),
        "tags": _dearest(found.tags),
        "recent": [_recent_row(record) for record in recent],
        "warnings": _warnings(found, notices),
    }


def group_rows(found: Figures) -> list[dict[str, object]]:
    """One row for each group, by its name."""
    by = found.question.group_by
    if by is None:
        return []
    figures = _figures if by in (Grouping.PROVIDER, Grouping.MODEL) else _requests_of_group
    return [
        {by.value: f"{name}:00:00Z" if by is Grouping.HOUR else name, **figures(counters)}
        for name, counters in found.groups.items()
    ]


def _span(span: Span | None) -> dict[str, object]:
    return {} if span is None else {"from": timestamp(span.since), "to": timestamp(span.until)}


def _requests(counters: Counters) -> dict[str, object]:
    requests, successes = _count(counters, "requests"), _count(counters, "successes")
    return {
        "totalRequests": requests,
        "totalTokens": _tokens(counters),
        "promptTokens": _count(counters, "prompt_tokens"),
        "cachedPromptTokens": _count(counters, "cached_prompt_tokens"),
        "completionTokens": _count(counters, "completion_tokens"),
        "totalCost": _usd(counters),
        "costBasis": _bases(counters),
        "requestCounts": {"success": successes, "failed": requests - successes},
        "successRate": None if not requests else _rate(successes / requests),
        "latency": _latency(counters),
    }


def _requests_of_group(counters: Counters) -> dict[str, object]:
    requests, successes = _count(counters, "requests"), _count(counters, "successes")
    return {
        "requests": requests,
        "failed": requests - successes,
        "tokens": _tokens(counters),
        "cost": _usd(counters),
        "costBasis": _bases(counters),
        "successRate": None if not requests else _rate(successes / requests),
        "latency": _latency(counters),
        "savings": _savings(counters)["usd"],
        "waste": _decimal(counters, "waste_usd"),
        "infrastructure": _infrastructure(counters)["usd"],
    }


def _savings(counters: Counters) -> dict[str, object]:
    """Null where nothing could be compared."""
    compared = _count(counters, "compared")
    return {"usd": _decimal(counters, "savings_usd") if compared else None, "requests": compared}


def _infrastructure(counters: Counters) -> dict[str, object]:
    """Null where no Lambda function served, as on one machine."""
    served = _count(counters, "on_lambda")
    return {"usd": _decimal(counters, "infrastructure_usd") if served else None, "requests": served}


def _trimming(counters: Counters) -> dict[str, object]:
    """Null where no prompt was trimmed."""
    trimmed = _count(counters, "trimmed")
    return {
        "usd": _decimal(counters, "trimmed_usd") if trimmed else None,
        "requests": trimmed,
        "tokens": _count(counters, "trimmed_tokens"),
    }


def _dearest(found: Figures) -> list[dict[str, object]]:
    by_cost = sorted(found.groups.items(), key=lambda each: _decimal(each[1], "cost_usd"), reverse=True)
    return group_rows(replace(found, groups=dict(by_cost[:GROUPS_SHOWN])))


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
        "warnings": prompt_warnings.warnings(record.trimming),
    }


def _warnings(found: Published, notices: Sequence[Notice]) -> list[dict[str, str]]:
    """What whoever reads the figures must know of them."""
    counters = found.everything.total
    told = []
    if unknown := _count(counters, "cost_unknown"):
        told.append(Notice("cost_unknown", f"The cost of {unknown} requests is not known and not in the total."))
    if unsettled := _count(counters, "unsettled"):
        told.append(
            Notice("unsettled", f"{unsettled} requests never reported their end; an upper estimate counts for them.")
        )
    if trimmed := _count(counters, "trimmed"):
        tokens = _count(counters, "trimmed_tokens")
        whose = "prompt was" if trimmed == 1 else "prompts were"
        words = f"{trimmed:,} {whose} trimmed or cleaned: {tokens:,} tokens were left out."
        told.append(Notice("prompts_trimmed", words))
    at = timestamp(found.everything.as_of)
    return [{"at": at, "kind": notice.kind, "message": notice.message} for notice in (*told, *notices)]


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


def _providers(candidates: Mapping[str, Counters]) -> dict[str, object]:
    by_provider: dict[str, dict[str, Counters]] = {}
    for name, counters in candidates.items():
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
    """Of a candidate or several."""
    rate = rollups.success_rate(counters)
    return {
        "requests": _count(counters, "requests"),
        "attempts": _count(counters, "attempts"),
        "failedAttempts": _count(counters, "failed_attempts"),
        "tokens": _tokens(counters),
        "cost": _usd(counters),
        "costBasis": _bases(counters),
        "successRate": None if rate is None else _rate(rate),
        "waste": _decimal(counters, "waste_usd"),
        "latency": _latency(counters),
    }


def _latency(counters: Counters) -> dict[str, object]:
    counts = rollups.latency_counts(counters)
    return {"p50": _quantile(counts, 0.5), "p95": _quantile(counts, 0.95)}


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
    return _decimal(counters, "cost_usd")


def _decimal(counters: Counters, name: str) -> Decimal:
    return Decimal(counters.get(name, 0))


def _bases(counters: Counters) -> dict[str, int]:
    """How many costs were exact, estimated and unknown."""
    return {basis.value: _count(counters, f"cost_{basis.value}") for basis in CostBasis}


def _rate(rate: float) -> Decimal:
    """Rounded down: one failure in a million is not 100%."""
    return Decimal(math.floor(rate * 10_000)) / 10_000
