"""What the ledger counts by day and model for one provider: from the daily sums, and what they do not hold yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal

from infra.reconciliation.amounts import Amounts, Place
from llm_router.rollups import Counters
from llm_router.spans import DAY, Span
from llm_router.statistics import Question, Statistics

DAYS_AT_ONCE = 31
"""All read of one moment: the more, the likelier that the aggregation moves meanwhile and they are read again."""


def counted(statistics: Statistics, *, provider: str, first: date, last: date) -> dict[Place, tuple[Amounts, int]]:
    """With how many of the costs are unknown. A day is that of the request's opening, in UTC. Raises StoreError."""
    found = {}
    for days in _together(first, last):
        for span, figures in zip(days, statistics.all_figures([Question(span) for span in days]), strict=True):
            for candidate, counters in figures.candidates.items():
                of, _, model = candidate.partition("/")
                if of == provider:
                    found[Place(span.since.date(), model)] = _amounts(counters), int(counters.get("cost_unknown", 0))
    return found


def _together(first: date, last: date) -> Iterator[list[Span]]:
    days = [first + number * DAY for number in range((last - first).days + 1)]
    spans = [Span(start, start + DAY) for day in days for start in [datetime.combine(day, time(), UTC)]]
    for at in range(0, len(spans), DAYS_AT_ONCE):
        yield spans[at : at + DAYS_AT_ONCE]


def _amounts(counters: Counters) -> Amounts:
    """Attempts, for each of them is a request to the provider."""
    return Amounts(
        requests=int(counters.get("attempts", 0)),
        input_tokens=int(counters.get("prompt_tokens", 0)),
        output_tokens=int(counters.get("completion_tokens", 0)),
        usd=Decimal(counters.get("cost_usd", 0)),
    )
