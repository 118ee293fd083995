"""`llm-router show`: one request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import click

from infra.cli import options, tables
from infra.cli.routers import Router
from infra.records import known
from infra.records.known import Known
from llm_router import figures, json_text, prompt_warnings
from llm_router.usage import Attempt, CostBasis, RecordState, TokenUsage, UsageRecord


@click.command()
@click.argument("request_id")
@options.as_json
@options.with_router
def show(router: Router, request_id: str, *, as_json: bool) -> None:
    """Everything known of one request.

    REQUEST_ID is the `requestId` of an answer, or the header x-request-id.
    """
    try:
        found = known.of(router.books, request_id.strip().upper())
    except ValueError as error:
        raise click.UsageError(f"{request_id!r} is no request id: those have 26 letters and digits.") from error
    if found is None:
        raise click.ClickException(
            f"The ledger ({router.stage}) knows nothing of {request_id}. It was refused before any provider was asked, "
            f"is older than the {router.cover.retention_days} days that records are kept, stands only in the log "
            "(`llm-router replay`), or belongs to another stage (--stage)."
        )
    click.echo(json_text.encode(known.document(found)) if as_json else "\n".join(_lines(found)))


def _lines(found: Known) -> Iterator[str]:
    record = found.record
    yield tables.pairs([*_of_request(record), *_of_money(record), ("in the figures", known.MEANINGS[found.counted])])
    if found.has_moved:
        yield f"\nIts opening was not written in time, so it stands at {record.position}."
    if found.before:
        yield (
            f"\nIts end came late and stands at {record.position}. Until then it counted as unsettled, "
            f"at {tables.shown(found.before.cost.usd)} USD; the correction takes that back."
        )
    for warning in prompt_warnings.warnings(record.trimming):
        yield f"\n{warning['message']}"
    for name, value in sorted(record.metadata.items()):
        yield tables.shown(f"metadata  {name} = {value}")
    yield ""
    yield _attempts(record)


def _of_request(record: UsageRecord) -> list[tuple[str, object]]:
    return [
        ("request", record.request_id),
        ("state", record.state.value),
        ("error", record.error),
        ("route", record.route),
        ("key", record.key_id),
        ("opened", figures.timestamp(record.opened_at)),
        ("deadline", figures.timestamp(record.deadline_at)),
        ("settled", record.settled_at and figures.timestamp(record.settled_at)),
        ("latency", None if record.latency_ms is None else f"{figures.seconds(record.latency_ms)} s"),
        ("served by", "AWS Lambda" if record.memory_mb else "one machine"),
    ]


def _of_money(record: UsageRecord) -> list[tuple[str, object]]:
    served = record.served
    saved = served and served.cost.usd is not None and record.baseline_usd is not None
    return [
        ("cost, USD", "unknown" if record.cost.usd is None else record.cost.usd),
        ("cost basis", record.cost.basis.value),
        ("baseline, USD", record.baseline_usd),
        ("savings, USD", record.baseline_usd - served.cost.usd if saved else None),  # type: ignore[union-attr, operator]
    ]


def _attempts(record: UsageRecord) -> str:
    kinds = [kind.name for kind in fields(TokenUsage)]
    used = [kind for kind in kinds if kind in kinds[:2] or any(_tokens(each, kind) for each in record.attempts)]
    headings = ["attempt", "outcome", "latency", *(kind.replace("_", " ") for kind in used), "USD", "basis"]
    rows: list[list[object]] = [
        [
            attempt.candidate,
            attempt.outcome.value,
            f"{figures.seconds(attempt.latency_ms)} s",
            *(_tokens(attempt, kind) for kind in used),
            "unknown" if attempt.cost.usd is None else attempt.cost.usd,
            attempt.cost.basis.value,
        ]
        for attempt in record.attempts
    ]
    if record.trying:
        upper = record.trying.upper_usd
        what = "under way" if record.state is RecordState.PENDING else "never ended"
        most = "no bound is known" if upper is None else f"at most {tables.shown(upper)}"
        basis = CostBasis.UNKNOWN if upper is None else CostBasis.ESTIMATED
        rows.append([record.trying.candidate, what, None, *(None for _ in used), most, basis.value])
    return tables.text(headings, rows) if rows else "No provider was asked."


def _tokens(attempt: Attempt, kind: str) -> int | None:
    found: int | None = getattr(attempt.tokens, kind) if attempt.tokens else None
    return found
