"""A request as one line of an export. What it adds to each sum is what the aggregation adds, by the same code.

So the columns of all lines of a range, added up, are the figures of that range; `counted_usd` adds up to `totalCost`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from llm_router import contributions, figures, journal_items, json_text
from llm_router.infrastructure import InfrastructurePrices
from llm_router.rollups import ALL, Counters, Kind
from llm_router.usage import UsageRecord

COLUMNS = {
    "request_id": "the id that the caller saw",
    "opened_at": "when it came in, UTC; by it a request belongs to an hour",
    "settled_at": "when its end was written down",
    "status": "`success`, `failed`, or `unsettled`: its end was never reported, and an upper estimate counts for it",
    "error": "the code that the caller got; empty for an answer",
    "route": "what was asked for in `model`",
    "key_id": "the client key",
    "provider": "of the attempt that served, or of the last one",
    "model": "the same",
    "latency_ms": "from its coming in to its settlement",
    "prompt_tokens": "of all attempts; cached and written ones are part of it",
    "cached_prompt_tokens": "",
    "cache_write_tokens": "",
    "completion_tokens": "of all attempts; reasoning is part of it",
    "reasoning_tokens": "",
    "cost_usd": "what all attempts cost; empty where that is not known",
    "cost_basis": "`exact`, `estimated` or `unknown`",
    "counted_usd": "the part of the cost that is known, and so in the totals",
    "waste_usd": "what failed attempts cost; part of the cost",
    "baseline_usd": "what the answer would have cost on the route's baseline; empty where it has none",
    "savings_usd": "the baseline less the cost of the attempt that served; empty where nothing is compared",
    "trimmed_tokens": "what was left out of the prompt of an answered request",
    "trimmed_usd": "what that would have cost at the input price of the candidate that served",
    "infrastructure_usd": "what serving it cost on AWS; empty on one machine",
    "metadata": "what the caller gave; JSON",
    "attempts": "each try in order, with outcome, latency, tokens and cost; JSON",
}
"""What each is; where nothing stands, the name says it all."""

_STATES = {"settled": "failed", "unsettled": "unsettled", "corrected": "unsettled", "pending": "pending"}


def row(record: UsageRecord, prices: InfrastructurePrices) -> dict[str, object]:
    """The columns in their order; None where there is nothing."""
    adds = _counters(record, prices)
    last = record.attempts[-1] if record.attempts else None
    trying = record.trying.candidate.partition("/") if record.trying else ("", "", "")
    values = journal_items.record_values(record)
    return {
        "request_id": record.request_id,
        "opened_at": figures.timestamp(record.opened_at),
        "settled_at": figures.timestamp(record.settled_at) if record.settled_at else None,
        "status": "success" if record.served else _STATES[record.state],
        "error": record.error,
        "route": record.route,
        "key_id": record.key_id,
        "provider": last.provider if last else trying[0] or None,
        "model": last.model if last else trying[2] or None,
        "latency_ms": record.latency_ms,
        **{name: adds.get(name, 0) for name in COLUMNS if name.endswith("_tokens") and name != "trimmed_tokens"},
        "cost_usd": record.cost.usd,
        "cost_basis": record.cost.basis.value,
        "counted_usd": adds.get("cost_usd", Decimal(0)),
        "waste_usd": adds.get("waste_usd", Decimal(0)),
        "baseline_usd": record.baseline_usd,
        "savings_usd": adds.get("savings_usd", Decimal(0)) if "compared" in adds else None,
        "trimmed_tokens": adds.get("trimmed_tokens", 0),
        "trimmed_usd": adds.get("trimmed_usd", Decimal(0)),
        "infrastructure_usd": adds.get("infrastructure_usd"),
        "metadata": values["metadata"] or {},
        "attempts": values["attempts"],
    }


def json_line(values: Mapping[str, object]) -> str:
    return json_text.encode(values).decode() + "\n"


def csv_header() -> str:
    return _csv_text(COLUMNS)


def csv_line(values: Mapping[str, object]) -> str:
    """Decimals in plain digits; what is a list or a map as JSON."""
    return _csv_text([_cell(value) for value in values.values()])


def _counters(record: UsageRecord, prices: InfrastructurePrices) -> Counters:
    alone = contributions.increments(replace(record, replaces=None), prices)
    ((_, sums),) = [(place, sums) for place, sums in alone.by_hour.items() if place[1] is Kind.ALL]
    return sums[ALL]


def _cell(value: object) -> object:
    if isinstance(value, Decimal | list | dict):
        return json_text.encode(value).decode()
    return value


def _csv_text(cells: object) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)  # type: ignore[arg-type]
    return line.getvalue()
