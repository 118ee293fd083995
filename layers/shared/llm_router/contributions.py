"""What one usage record adds to which sums. Pure.

A correction adds its real end and takes back what the estimate that it replaces had added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from llm_router import sketch
from llm_router.infrastructure import InfrastructurePrices
from llm_router.rollups import ALL, LATENCY, Counters, Increments, Kind
from llm_router.usage import Attempt, Cost, CostBasis, Outcome, RecordState, UsageRecord

THE_REQUESTS_OWN = frozenset(
    {
        Outcome.SUCCESS,
        Outcome.CONTEXT_LENGTH,
        Outcome.CONTENT_FILTER,
        Outcome.BAD_REQUEST,
        Outcome.UNSUITED,
        Outcome.OUT_OF_TIME,
        Outcome.ABANDONED,
        Outcome.UNSENT,
    }
)
"""Outcomes that say nothing against the provider."""

TAGS_AT_MOST = 5
"""Of a request's metadata, the first by name: each value is a sum of its own, and is kept."""

TAG_VALUE_AT_MOST = 64
"""Characters; values that begin with the same ones are summed together."""


def increments(record: UsageRecord, prices: InfrastructurePrices) -> Increments:
    found = Increments()
    _add(found, record, prices)
    if record.replaces:
        _add(found, record.replaces, prices, sign=-1)
    return found


def tags(metadata: Mapping[str, str]) -> list[str]:
    """The names of the sums that a request's metadata has a part in: `team=search`."""
    return [f"{name}={value[:TAG_VALUE_AT_MOST]}" for name, value in sorted(metadata.items())[:TAGS_AT_MOST]]


def _add(found: Increments, record: UsageRecord, prices: InfrastructurePrices, *, sign: int = 1) -> None:
    hour = f"{record.opened_at:%Y-%m-%dT%H}"
    whole = _of_request(record, prices)
    named = [(Kind.ALL, ALL), (Kind.ROUTE, record.route), (Kind.KEY, record.key_id)]
    named += [(Kind.TAG, tag) for tag in tags(record.metadata)]
    for kind, name in named:
        found.add(hour, kind, name, whole, sign=sign)
    for name in _candidates(record):
        part = _of_candidate(record, name)
        found.add(hour, Kind.CANDIDATE, name, part, sign=sign)
        found.add(hour, Kind.KEY_CANDIDATE, f"{record.key_id}/{name}", part, sign=sign)


def _of_request(record: UsageRecord, prices: InfrastructurePrices) -> Counters:
    succeeded = record.served is not None
    return {
        "requests": 1,
        "successes": int(succeeded),
        "failures": int(not succeeded),
        "unsettled": int(_is_unsettled(record)),
        **_tokens(record.attempts),
        **_money(record.cost, _known(record)),
        "waste_usd": _waste(record.attempts),
        **_savings(record),
        **_infrastructure(record, prices),
        **_trimming(record),
        **(_latency(record.latency_ms) if succeeded and record.latency_ms is not None else {}),
    }


def _of_candidate(record: UsageRecord, name: str) -> Counters:
    attempts = [attempt for attempt in record.attempts if attempt.candidate == name]
    mine = replace(
        record,
        attempts=tuple(attempts),
        trying=record.trying if record.trying and record.trying.candidate == name else None,
    )
    served = record.served is not None and record.served.candidate == name
    unfinished = _is_unsettled(record) and mine.trying is not None
    return {
        "requests": int(served),
        "attempts": len(attempts) + int(unfinished),
        "failed_attempts": sum(a.outcome not in THE_REQUESTS_OWN for a in attempts) + int(unfinished),
        **_tokens(attempts),
        "answer_tokens": record.served.tokens.completion if served and record.served and record.served.tokens else 0,
        **_money(mine.cost, _known(mine)),
        "waste_usd": _waste(attempts),
        **(_counted(record) if served else {}),
        **(_latency(attempts[-1].latency_ms) if served else {}),
    }


def _tokens(attempts: Iterable[Attempt]) -> Counters:
    counted = [attempt.tokens for attempt in attempts if attempt.tokens]
    return {
        "prompt_tokens": sum(tokens.prompt for tokens in counted),
        "cached_prompt_tokens": sum(tokens.cached_prompt for tokens in counted),
        "cache_write_tokens": sum(tokens.cache_write for tokens in counted),
        "completion_tokens": sum(tokens.completion for tokens in counted),
        "reasoning_tokens": sum(tokens.reasoning for tokens in counted),
    }


def _money(cost: Cost, known_usd: Decimal) -> Counters:
    """The known part of a cost counts although the whole is unknown; how many are is counted beside it."""
    return {
        "cost_usd": known_usd,
        "cost_exact": int(cost.basis is CostBasis.EXACT),
        "cost_estimated": int(cost.basis is CostBasis.ESTIMATED),
        "cost_unknown": int(cost.basis is CostBasis.UNKNOWN),
    }


def _known(record: UsageRecord) -> Decimal:
    known = sum((a.cost.usd for a in record.attempts if a.cost.usd is not None), Decimal(0))
    if _is_unsettled(record) and record.trying and record.trying.upper_usd is not None:
        known += record.trying.upper_usd
    return known


def _waste(attempts: Iterable[Attempt]) -> Decimal:
    failed = (a.cost.usd for a in attempts if a.outcome is not Outcome.SUCCESS and a.cost.usd is not None)
    return sum(failed, Decimal(0))


def _savings(record: UsageRecord) -> Counters:
    """What the served tokens would have cost on the route's baseline, less what they cost; where both are known."""
    served = record.served
    if served is None or served.cost.usd is None or record.baseline_usd is None:
        return {}
    return {"savings_usd": record.baseline_usd - served.cost.usd, "compared": 1}


def _infrastructure(record: UsageRecord, prices: InfrastructurePrices) -> Counters:
    """Nothing for a request that no Lambda function served."""
    if record.memory_mb is None:
        return {}
    return {"infrastructure_usd": prices.request_usd(record, memory_mb=record.memory_mb), "on_lambda": 1}


def _trimming(record: UsageRecord) -> Counters:
    """What was left out of prompts that were answered; its price counts where it is known."""
    trimming = record.trimming
    if trimming is None or record.served is None or not trimming.tokens_gone:
        return {}
    return {"trimmed": 1, "trimmed_tokens": trimming.tokens_gone, "trimmed_usd": trimming.saved_usd or 0}


def _counted(record: UsageRecord) -> Counters:
    """The router's own count of a prompt beside the provider's, from which the one learns to tell the other."""
    tokens = record.served.tokens if record.served else None
    if record.counted_tokens is None or tokens is None or not _is_reported(record.served):
        return {}
    return {"counted_tokens": record.counted_tokens, "reported_tokens": tokens.prompt}


def _is_reported(served: Attempt | None) -> bool:
    """A cost that is exact rests on what the provider reported."""
    return served is not None and served.cost.basis is CostBasis.EXACT


def _latency(latency_ms: int) -> Counters:
    return {f"{LATENCY}{sketch.bucket(latency_ms)}": 1}


def _is_unsettled(record: UsageRecord) -> bool:
    return record.state in (RecordState.UNSETTLED, RecordState.CORRECTED)


def _candidates(record: UsageRecord) -> list[str]:
    tried = [attempt.candidate for attempt in record.attempts]
    if _is_unsettled(record) and record.trying:
        tried.append(record.trying.candidate)
    return list(dict.fromkeys(tried))
