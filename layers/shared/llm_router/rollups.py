"""Sums over the ledger. What one usage record adds to which sums, and how sums are added. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from llm_router import sketch
from llm_router.usage import Attempt, Cost, CostBasis, Outcome, RecordState, UsageRecord

ALL = "all"
LATENCY = "latency_"
CANDIDATE = "candidate#"

THE_REQUESTS_OWN = frozenset({Outcome.SUCCESS, Outcome.CONTEXT_LENGTH, Outcome.CONTENT_FILTER, Outcome.BAD_REQUEST})
"""Outcomes that say nothing against the provider."""

Counters = Mapping[str, int | Decimal]
"""Named sums, as they stand in a rollup's item: whole numbers, `cost_usd` and `waste_usd` exact decimals."""


@dataclass(frozen=True, slots=True, order=True)
class RollupKey:
    """`period` is `total`, `day` or `hour`; `start` its UTC beginning (empty for the total); `dimension` whose sum."""

    period: str
    dimension: str
    start: str = ""


@dataclass(slots=True)
class Increments:
    """What records add up to, by rollup."""

    by_key: dict[RollupKey, Counter[str]] = field(default_factory=dict)

    def add(self, record: UsageRecord) -> None:
        self._add(record, 1)
        if record.replaces:
            self._add(record.replaces, -1)

    def keys_with(self, record: UsageRecord) -> int:
        """How many rollups would be touched if the record came too."""
        return len(self.by_key.keys() | set(_keys(record)))

    def _add(self, record: UsageRecord, sign: int) -> None:
        for dimension, counters in _by_dimension(record).items():
            for key in _periods(record, dimension):
                mine = self.by_key.setdefault(key, Counter())
                for name, value in counters.items():
                    mine[name] += sign * value  # type: ignore[assignment]  # Counter is typed for int; sums are exact


def summed(parts: Iterable[Counters]) -> Counters:
    sums: dict[str, int | Decimal] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def by_candidate(totals: Mapping[str, Counters]) -> dict[str, Counters]:
    """Of sums by dimension, those of candidates, by the candidate's name."""
    prefix = len(CANDIDATE)
    return {name[prefix:]: counters for name, counters in totals.items() if name.startswith(CANDIDATE)}


def success_rate(counters: Counters) -> float | None:
    """The share of attempts that were not the provider's failure; None where there were none."""
    attempts = int(counters.get("attempts", 0))
    return None if attempts == 0 else 1 - int(counters.get("failed_attempts", 0)) / attempts


def latency_counts(counters: Counters) -> dict[int, int]:
    """The sketch inside a rollup's counters."""
    found = {int(name.removeprefix(LATENCY)): int(n) for name, n in counters.items() if name.startswith(LATENCY)}
    return {number: count for number, count in found.items() if count}


def _by_dimension(record: UsageRecord) -> Mapping[str, Counters]:
    """The counters that one counted record adds to the sum of all and to that of each candidate it touched."""
    dimensions: dict[str, Counters] = {ALL: _of_request(record)}
    for name in _candidates(record):
        dimensions[CANDIDATE + name] = _of_candidate(record, name)
    return dimensions


def _of_request(record: UsageRecord) -> Counters:
    succeeded = record.served is not None
    return {
        "requests": 1,
        "successes": int(succeeded),
        "failures": int(not succeeded),
        "unsettled": int(_is_unsettled(record)),
        **_tokens(record.attempts),
        **_money(record.cost, _known(record)),
        "waste_usd": _waste(record.attempts),
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
        **(_latency(attempts[-1].latency_ms) if served else {}),
    }


def _tokens(attempts: Iterable[Attempt]) -> Counters:
    counted = [attempt.tokens for attempt in attempts if attempt.tokens]
    return {
        "prompt_tokens": sum(tokens.prompt for tokens in counted),
        "cached_prompt_tokens": sum(tokens.cached_prompt for tokens in counted),
        "completion_tokens": sum(tokens.completion for tokens in counted),
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


def _latency(latency_ms: int) -> Counters:
    return {f"{LATENCY}{sketch.bucket(latency_ms)}": 1}


def _is_unsettled(record: UsageRecord) -> bool:
    return record.state in (RecordState.UNSETTLED, RecordState.CORRECTED)


def _candidates(record: UsageRecord) -> list[str]:
    tried = [attempt.candidate for attempt in record.attempts]
    if _is_unsettled(record) and record.trying:
        tried.append(record.trying.candidate)
    return list(dict.fromkeys(tried))


def _keys(record: UsageRecord) -> Iterable[RollupKey]:
    for counted in (record, record.replaces):
        if counted:
            for dimension in (ALL, *(CANDIDATE + name for name in _candidates(counted))):
                yield from _periods(counted, dimension)


def _periods(record: UsageRecord, dimension: str) -> Iterable[RollupKey]:
    yield RollupKey("total", dimension)
    yield RollupKey("day", dimension, f"{record.opened_at:%Y-%m-%d}")
    yield RollupKey("hour", dimension, f"{record.opened_at:%Y-%m-%dT%H}")
