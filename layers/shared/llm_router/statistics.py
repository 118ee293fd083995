"""The figures of `GET /stats` and `stats.json`: the rollups up to the checkpoint and, exactly, what came after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from llm_router import rollups, sketch
from llm_router.aggregator import Aggregator, shards
from llm_router.checkpoints import Checkpoint, Checkpoints
from llm_router.clock import Clock
from llm_router.fleet import success_rate
from llm_router.ledger import Ledger
from llm_router.rollups import ALL, Counters, Increments, RollupKey
from llm_router.usage import Attempt, RecordState, UsageRecord

HOURS_SHOWN = 48
RECENT_SHOWN = 50
_CANDIDATE = "candidate#"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that ended by `as_of`: sums by dimension, and how many requests are still under way."""

    as_of: datetime
    totals: Mapping[str, Counters]
    tail: Increments
    pending: int


class Statistics:
    """Reads the figures. Blocking; raises StoreError."""

    def __init__(self, *, ledger: Ledger, checkpoints: Checkpoints, aggregator: Aggregator, clock: Clock) -> None:
        self._ledger = ledger
        self._checkpoints = checkpoints
        self._aggregator = aggregator
        self._clock = clock

    def snapshot(self, *, aggregate_s: float) -> Snapshot:
        """Run the aggregation forward for up to `aggregate_s` seconds, then add what it may not touch yet.

        A record counts from its settlement on and never stops counting, so totals never fall; it is either before the
        checkpoint or after it, so they never overshoot.
        """
        self._aggregator.run(limit_s=aggregate_s)
        as_of = self._clock.now()
        checkpoint, totals = self._checkpoints.snapshot()
        tail = Increments()
        pending = 0
        for record in self._tail(checkpoint):
            if record.state is RecordState.PENDING:
                pending += 1
            else:
                tail.add(record)
        return Snapshot(as_of, _with_tail(totals, tail), tail, pending)

    def hours(self, snapshot: Snapshot) -> dict[str, Counters]:
        """The sums of the last hours that had requests, by hour."""
        since = f"{snapshot.as_of - timedelta(hours=HOURS_SHOWN - 1):%Y-%m-%dT%H}"
        hours = self._checkpoints.series("hour", ALL, since=since)
        for key, counters in snapshot.tail.by_key.items():
            if key.period == "hour" and key.dimension == ALL and key.start >= since:
                hours[key.start] = rollups.summed([hours.get(key.start, {}), counters])
        return dict(sorted(hours.items()))

    def recent(self) -> list[UsageRecord]:
        """The latest requests, newest first."""
        checkpoint = self._checkpoints.current()
        found = [r for shard in shards(self._ledger, checkpoint) for r in self._ledger.latest(RECENT_SHOWN, shard=shard)]
        shown = [record for record in found if record.state is not RecordState.CORRECTED]
        return sorted(shown, key=lambda record: record.opened_at, reverse=True)[:RECENT_SHOWN]

    def _tail(self, checkpoint: Checkpoint) -> list[UsageRecord]:
        records = self._ledger.find_all(checkpoint.open)
        for shard in shards(self._ledger, checkpoint):
            records += self._ledger.after(checkpoint.walked.get(shard, ""), shard=shard)
        return records


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
        "costBasis": {basis: _count(counters, f"cost_{basis}") for basis in ("exact", "estimated", "unknown")},
        "requestCounts": {"success": successes, "failed": requests - successes},
        "successRate": None if not requests else _rate(successes / requests),
        "pending": snapshot.pending,
        "unsettled": _count(counters, "unsettled"),
        "providers": _providers(snapshot.totals),
    }


def hour_rows(hours: Mapping[str, Counters]) -> list[dict[str, object]]:
    return [
        {
            "hour": f"{hour}:00:00Z",
            "requests": _count(counters, "requests"),
            "failed": _count(counters, "failures"),
            "tokens": _tokens(counters),
            "cost": _usd(counters),
        }
        for hour, counters in hours.items()
    ]


def recent_row(record: UsageRecord) -> dict[str, object]:
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


def _with_tail(totals: Mapping[str, Counters], tail: Increments) -> dict[str, Counters]:
    dimensions = {key.dimension for key in tail.by_key} | totals.keys()
    return {
        dimension: rollups.summed(
            [totals.get(dimension, {}), tail.by_key.get(RollupKey("total", dimension), {})]
        )
        for dimension in sorted(dimensions)
    }


def _providers(totals: Mapping[str, Counters]) -> dict[str, object]:
    by_provider: dict[str, dict[str, Counters]] = {}
    for dimension, counters in totals.items():
        if dimension.startswith(_CANDIDATE):
            provider, _, model = dimension.removeprefix(_CANDIDATE).partition("/")
            by_provider.setdefault(provider, {})[model] = counters
    return {
        provider: {
            **_figures(rollups.summed(models.values())),
            "models": {model: _figures(counters) for model, counters in models.items()},
        }
        for provider, models in by_provider.items()
    }


def _figures(counters: Counters) -> dict[str, object]:
    rate = success_rate(counters)
    counts = rollups.latency_counts(counters)
    return {
        "requests": _count(counters, "requests"),
        "attempts": _count(counters, "attempts"),
        "failedAttempts": _count(counters, "failed_attempts"),
        "tokens": _tokens(counters),
        "cost": _usd(counters),
        "costBasis": {basis: _count(counters, f"cost_{basis}") for basis in ("exact", "estimated", "unknown")},
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


def _usd(counters: Counters) -> Decimal:
    return Decimal(counters.get("cost_usd", 0))


def _rate(rate: float) -> Decimal:
    return Decimal(f"{rate:.4f}")
