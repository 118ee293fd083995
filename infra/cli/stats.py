"""`llm-router stats`: what GET /stats answers, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from infra.cli import options, tables
from infra.cli.routers import Router
from llm_router import figures, json_text
from llm_router.statistics import Figures, Grouping


@click.command()
@click.option("--from", "since", help="A day or a full hour in UTC: 2026-11-23 or 2026-11-23T14:00Z.")
@click.option("--to", "until", help="The same; what begins then is not included.")
@click.option("--group-by", type=click.Choice([each.value for each in Grouping]), help="What to tell apart.")
@options.as_json
@options.with_router
def stats(router: Router, *, since: str | None, until: str | None, group_by: str | None, as_json: bool) -> None:
    """Requests, tokens, cost, savings and waste, exact at this moment.

    The figures are those of GET /stats for an operator's key: all time, or by the hour of opening.
    """
    asked = options.question(since=since, until=until, group_by=group_by)
    found = router.books.statistics.figures(asked)
    document = figures.document(found)
    click.echo(json_text.encode(document) if as_json else "\n".join(_lines(found, document)))


def _lines(found: Figures, document: Mapping[str, Any]) -> Iterator[str]:
    yield tables.pairs(_totals(found, document))
    yield ""
    yield _groups(document) if "groups" in document else _providers(document)


def _totals(found: Figures, document: Mapping[str, Any]) -> list[tuple[str, object]]:
    span = found.question.span
    time = f"{document['from']} to {document['to']}" if span else "all time"
    counts = document["requestCounts"]
    return [
        ("time", time),
        ("as of", document["asOf"]),
        ("requests", document["totalRequests"]),
        ("  answered", counts["success"]),
        ("  failed", counts["failed"]),
        ("  of these unsettled", document["unsettled"]),
        ("under way", document["pending"]),
        ("tokens", document["totalTokens"]),
        ("cost, USD", _usd(document["totalCost"])),
        ("  exact, estimated, unknown", ", ".join(map(str, document["costBasis"].values()))),
        ("  waste, USD", document["waste"]["usd"]),
        ("savings, USD", document["savings"]["usd"]),
        ("trimmed, tokens", document["trimming"]["tokens"]),
        ("  saved by that, USD", document["trimming"]["usd"]),
        ("running it, USD", document["infrastructure"]["usd"]),
        ("latency p50, p95", _latency(document)),
    ]


def _providers(document: Mapping[str, Any]) -> str:
    candidates = [
        (f"{provider}/{model}", each)
        for provider, whole in document["providers"].items()
        for model, each in whole["models"].items()
    ]
    rows = [
        [name, each["requests"], each["attempts"], each["failedAttempts"], *_common(each)] for name, each in candidates
    ]
    return tables.text(["candidate", "requests", "attempts", "failed", *COMMON], rows)


def _groups(document: Mapping[str, Any]) -> str:
    by = document["groupBy"]
    failures = "failed" if by not in (Grouping.PROVIDER, Grouping.MODEL) else "failedAttempts"
    rows = [[each[by], each["requests"], each[failures], *_common(each)] for each in document["groups"]]
    return tables.text([by, "requests", "failed", *COMMON], rows)


COMMON = ("tokens", "cost, USD", "waste, USD", "success", "p50, p95")


def _common(each: Mapping[str, Any]) -> list[object]:
    rate = each["successRate"]
    success = None if rate is None else f"{tables.decimal(rate * 100)}%"
    return [each["tokens"], _usd(each["cost"]), each["waste"], success, _latency(each)]


def _usd(value: object) -> object:
    return "unknown" if value is None else value


def _latency(each: Mapping[str, Any]) -> str | None:
    latency = each["latency"]
    return None if latency["p50"] is None else f"{latency['p50']} s, {latency['p95']} s"
