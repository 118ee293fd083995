"""Usage records for tests of the ledger and of what reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from llm_router.usage import Attempt, Cost, CostBasis, Outcome, RecordState, TokenUsage, Trying, UsageRecord

CHEAP, STEADY = "groq/llama-3.1-8b-instant", "openai/gpt-4o-mini"


def attempt(candidate: str = CHEAP, outcome: Outcome = Outcome.SUCCESS, *, usd: str = "0.0001", latency_ms: int = 120):
    provider, _, model = candidate.partition("/")
    billed = outcome is Outcome.SUCCESS
    return Attempt(
        provider=provider,
        model=model,
        outcome=outcome,
        latency_ms=latency_ms,
        cost=Cost(Decimal(usd) if billed else Decimal(0), CostBasis.EXACT),
        tokens=TokenUsage(prompt=10, completion=5) if billed else None,
    )


def pending(books, *, candidate: str = CHEAP, upper: str = "0.01", timeout_s: float = 28.0) -> UsageRecord:
    position = books.ledger.new_position()
    return UsageRecord(
        position=position,
        request_id=position,
        state=RecordState.PENDING,
        route="auto",
        key_id="anyone",
        opened_at=books.moving.at,
        deadline_at=books.moving.at + timedelta(seconds=timeout_s),
        trying=Trying(candidate, Decimal(upper)),
    )


def settled(record: UsageRecord, *attempts: Attempt, at) -> UsageRecord:
    made = attempts or (attempt(record.trying.candidate),)
    error = None if made[-1].outcome is Outcome.SUCCESS else "all_providers_failed"
    return replace(
        record,
        state=RecordState.SETTLED,
        attempts=made,
        trying=None,
        error=error,
        latency_ms=150,
        settled_at=at,
    )
