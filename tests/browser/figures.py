"""Documents as the stats function publishes them, written by the encoder that it uses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from llm_router import json_text

NOW = datetime(2026, 11, 23, 2, 50, 4, tzinfo=UTC)
AS_OF = "2026-11-23T02:50:00.123Z"


def encoded(document: object) -> tuple[int, bytes]:
    return 200, json_text.encode(document)


def model(**changes: object) -> dict[str, object]:
    return {
        "requests": 8,
        "tokens": 2000,
        "cost": Decimal("0.0002"),
        "costBasis": {"exact": 8, "estimated": 0, "unknown": 0},
        "attempts": 9,
        "failedAttempts": 1,
        "successRate": Decimal("0.8889"),
        "latency": {"p50": Decimal("0.41"), "p95": Decimal("1.2")},
    } | changes


def group(**changes: object) -> dict[str, object]:
    return {
        "requests": 8,
        "failed": 1,
        "tokens": 2000,
        "cost": Decimal("0.0002"),
        "costBasis": {"exact": 8, "estimated": 0, "unknown": 0},
        "successRate": Decimal("0.875"),
        "latency": {"p50": Decimal("0.41"), "p95": Decimal("1.2")},
        "savings": None,
        "waste": Decimal(0),
        "infrastructure": None,
    } | changes


def attempt(provider: str = "groq", outcome: str = "success", **changes: object) -> dict[str, object]:
    models = {"groq": "llama-3.1-8b-instant", "openai": "gpt-4o-mini"}
    shown = {"provider": provider, "model": models.get(provider, "m"), "outcome": outcome, "latency": Decimal("0.2")}
    return shown | changes


def request(number: int = 1, **changes: object) -> dict[str, object]:
    return {
        "requestId": f"01KAQ{number:021d}",
        "at": "2026-11-23T02:49:58.000Z",
        "route": "auto",
        "status": "success",
        "error": None,
        "provider": "groq",
        "modelUsed": "llama-3.1-8b-instant",
        "tokens": 15,
        "cost": Decimal("0.000045"),
        "costBasis": "exact",
        "latency": Decimal("1.2"),
        "attempts": [attempt()],
        "warnings": [],
    } | changes


def warning(message: str, *, at: str = AS_OF) -> dict[str, object]:
    return {"at": at, "kind": "unsettled", "message": message}


def document(**changes: object) -> dict[str, object]:
    """A small, whole document."""
    return {
        "asOf": AS_OF,
        "publishedAt": AS_OF,
        "stage": "local",
        "totalRequests": 12,
        "totalTokens": 3450,
        "promptTokens": 2000,
        "completionTokens": 1450,
        "totalCost": Decimal("0.001234567"),
        "costBasis": {"exact": 10, "estimated": 1, "unknown": 1},
        "requestCounts": {"success": 11, "failed": 1},
        "pending": 0,
        "unsettled": 0,
        "successRate": Decimal("0.9167"),
        "providers": {
            "groq": {**model(), "models": {"llama-3.1-8b-instant": model()}},
            "openai": {
                **model(requests=3, tokens=1450, cost=Decimal("0.001034567"), attempts=3, failedAttempts=0),
                "models": {"gpt-4o-mini": model(requests=2), "gpt-4o": model(requests=1)},
            },
        },
        "hours": [
            {
                "hour": "2026-11-23T00:00:00Z",
                "requests": 7,
                "failed": 1,
                "tokens": 2250,
                "cost": Decimal("0.000834567"),
            },
            {"hour": "2026-11-23T02:00:00Z", "requests": 5, "failed": 0, "tokens": 1200, "cost": Decimal("0.0004")},
        ],
        "savings": {"usd": Decimal("0.0123"), "requests": 9, "formula": "the baseline's price less what was paid"},
        "trimming": {"usd": Decimal("0.0022"), "requests": 2, "tokens": 44010, "formula": "tokens x input price"},
        "waste": {"usd": Decimal("0.0004"), "formula": "what failed attempts cost"},
        "infrastructure": {"usd": None, "requests": 0, "formula": "seconds x memory"},
        "routes": [group(route="auto"), group(route="fast", requests=4, failed=0, cost=None)],
        "keys": [group(key="abc")],
        "tags": [group(tag="team=search")],
        "recent": [
            request(
                2,
                attempts=[attempt(outcome="server_error", latency=Decimal("0.2")), attempt("openai")],
                provider="openai",
                modelUsed="gpt-4o-mini",
            ),
            request(1),
        ],
        "warnings": [],
    } | changes


def empty() -> dict[str, object]:
    """What is published before the first request."""
    return document(
        totalRequests=0,
        totalTokens=0,
        promptTokens=0,
        completionTokens=0,
        totalCost=0,
        costBasis={"exact": 0, "estimated": 0, "unknown": 0},
        requestCounts={"success": 0, "failed": 0},
        successRate=None,
        providers={},
        hours=[],
        recent=[],
    )


def busy() -> dict[str, object]:
    """Two days of traffic over four models, with failures, estimates, unknowns and warnings: for layout."""
    hours = [_hour(back) for back in range(47, -1, -1) if back % 13 != 6]
    return document(
        totalRequests=48_211, totalTokens=31_804_977, promptTokens=24_120_433, completionTokens=7_684_544,
        totalCost=Decimal("12.40718365"), costBasis={"exact": 48_103, "estimated": 96, "unknown": 12},
        requestCounts={"success": 48_170, "failed": 41}, pending=3, successRate=Decimal("0.9991"),
        providers=_busy_providers(), hours=hours, recent=[_busy_request(number) for number in range(24, 0, -1)],
        warnings=[
            warning("The prices are 64 days old. Run make prices.", at="2026-11-23T01:12:40Z"),
            warning("mistral refuses our key. Store a new one.", at="2026-11-22T22:03:11Z"),
        ],
    )  # fmt: skip


def _hour(back: int) -> dict[str, object]:
    at = datetime(2026, 11, 23, 2, tzinfo=UTC) - timedelta(hours=back)
    by_day = [60, 40, 30, 28, 40, 90, 220, 480, 900, 1300, 1500, 1480]
    by_day += [1350, 1420, 1500, 1440, 1300, 1000, 800, 620, 500, 360, 220, 120]
    requests = by_day[at.hour] + (back * 37) % 90
    return {
        "hour": f"{at:%Y-%m-%dT%H}:00:00Z",
        "requests": requests,
        "failed": requests // 3 if back == 17 else 0,
        "tokens": requests * 660,
        "cost": Decimal(requests) * Decimal("0.000257") * (2 if back in (16, 17) else 1),
    }


def _busy_providers() -> dict[str, object]:
    groq = {
        "llama-3.1-8b-instant": _model(
            36_110, 22_904_118, "1.20551", failed=370, rate="0.9899", p50="0.331", p95="0.82"
        ),
        "llama-3.3-70b-versatile": _model(3792, 2_607_086, "0.90753", failed=68, rate="0.9824", p50="0.61", p95="1.4"),
    }
    openai = _model(7801, 5_904_300, "10.11414", estimated=96, failed=5, rate="0.9994", p50="0.884", p95="2.31")
    mistral = _model(467, 389_473, "0.18000365", unknown=12, failed=45, rate="0.9121", p50="0.72", p95="3.05")
    both = _model(39_902, 25_511_204, "2.11304", failed=438, rate="0.9891", p50="0.352", p95="0.941")
    return {
        "groq": {**both, "models": groq},
        "openai": {**openai, "models": {"gpt-4o-mini": openai}},
        "mistral": {**mistral, "models": {"mistral-small-latest": mistral}},
    }


def _model(
    requests: int,
    tokens: int,
    cost: str,
    *,
    failed: int,
    rate: str,
    p50: str,
    p95: str,
    estimated: int = 0,
    unknown: int = 0,
) -> dict[str, object]:
    return model(
        requests=requests,
        tokens=tokens,
        cost=Decimal(cost),
        costBasis={"exact": requests - estimated - unknown, "estimated": estimated, "unknown": unknown},
        attempts=requests + failed,
        failedAttempts=failed,
        successRate=Decimal(rate),
        latency={"p50": Decimal(p50), "p95": Decimal(p95)},
    )


def _busy_request(number: int) -> dict[str, object]:
    at = f"2026-11-23T02:49:{30 + number:02d}.000Z"
    cost = Decimal(number * 7 % 23 + 1) * Decimal("0.00000405")
    tokens = 120 + number * 97 % 700
    to_openai = {"provider": "openai", "modelUsed": "gpt-4o-mini"}
    if number == 24:
        return request(
            number, at=at, status="pending", cost=0, tokens=0, latency=None, provider=None, modelUsed=None, attempts=[]
        )
    if number in (22, 15):
        return request(
            number,
            at=at,
            tokens=tokens,
            cost=cost,
            **to_openai,
            attempts=[
                attempt(outcome="rate_limited", latency=Decimal("0.081")),
                attempt("openai", latency=Decimal("0.9")),
            ],
        )
    if number == 19:
        tries = [
            attempt(outcome="server_error"),
            attempt(outcome="server_error", latency=Decimal("0.311")),
            attempt("openai", "timeout", latency=Decimal(10)),
        ]
        return request(
            number,
            at=at,
            status="failed",
            error="all_providers_failed",
            tokens=0,
            cost=None,
            costBasis="unknown",
            latency=Decimal("10.604"),
            attempts=tries,
        )
    if number == 17:
        return request(
            number, at=at, tokens=tokens, cost=cost, costBasis="estimated", **to_openai, attempts=[attempt("openai")]
        )
    return request(number, at=at, tokens=tokens, cost=cost, latency=Decimal(280 + number * 53 % 700) / 1000)


def answer(**changes: object) -> dict[str, object]:
    """What `POST /generate` answers, here after a failover."""
    return {
        "provider": "openai",
        "modelUsed": "gpt-4o-mini",
        "tokens": 15,
        "cost": Decimal("0.00000075"),
        "latency": Decimal("1.2"),
        "response": "It sends each prompt to the cheapest provider that works.",
        "status": "success",
        "requestId": "01KAQ000000000000000000001",
        "promptTokens": 9,
        "completionTokens": 6,
        "costBasis": "exact",
        "warnings": [],
        "attempts": [attempt(outcome="server_error"), attempt("openai")],
    } | changes


def hostile(text: str) -> dict[str, object]:
    """A document that has `text` wherever a text can stand that somebody else chose."""
    tries = [{"provider": text, "model": text, "outcome": text, "latency": Decimal("0.2")}]
    return document(
        stage=text,
        providers={text: {**model(), "models": {text: model(), f"{text}2": model()}}},
        recent=[
            request(
                1,
                requestId=text,
                route=text,
                provider=text,
                modelUsed=text,
                costBasis=text,
                attempts=tries,
                warnings=[text],
            ),
            request(2, status=text, error=text, attempts=tries),
        ],
        warnings=[{"at": text, "kind": text, "message": text}, {"at": AS_OF, "kind": text, "message": None}],
    )
