"""A day's log of a made-up shop, always the same: a few lines that matter among very many that do not."""

from __future__ import annotations

import random
from collections.abc import Sequence

LINES = 900

SERVICES = (
    "checkout",
    "payments",
    "catalog",
    "search",
    "mailer",
    "stock",
    "images",
    "sessions",
    "gateway",
    "invoices",
    "backup",
    "scheduler",
)

ROUTINE = (
    "INFO  {service}[{pid}] GET /v1/items/{number} 200 {ms} ms",
    "INFO  {service}[{pid}] POST /v1/orders 201 {ms} ms order={number}",
    "DEBUG {service}[{pid}] cache hit ratio {share}% over {number} keys",
    "INFO  {service}[{pid}] worker {small} picked job {number}",
    "INFO  {service}[{pid}] job {number} done in {ms} ms",
    "DEBUG {service}[{pid}] heartbeat ok, load {share}",
    "INFO  {service}[{pid}] rotated log, {number} bytes",
    "WARN  {service}[{pid}] slow query took {ms} ms (table {service}_{small})",
    "INFO  {service}[{pid}] connection from 10.0.{small}.{share} accepted",
    "INFO  {service}[{pid}] config reloaded, revision {number}",
    "DEBUG {service}[{pid}] gc pause {small} ms, heap {share}%",
    "WARN  {service}[{pid}] retry {small} of 5 after timeout of {ms} ms",
)

CASES = (
    (
        "Why did payments turn customers away in the forenoon?",
        "payments[2207] connection pool exhausted: 64 of 64 in use, new work is refused",
    ),
    (
        "Which certificate ran out at the gateway?",
        "gateway[118] TLS handshake failed: peer chain for api.partner.example expired on 2026-03-13",
    ),
    (
        "What made the search return nothing?",
        "search[907] index shard 3 is read-only: flood-stage watermark of 95% exceeded",
    ),
    (
        "Who deleted pictures from images?",
        "images[5120] purge by user 'nightly-cleanup' removed 18231 objects older than 30 d",
    ),
    (
        "Why were invoices numbered twice?",
        "invoices[77] sequence jumped back from 40417 to 40112 after failover to replica b",
    ),
    (
        "What happened to the backup of the night?",
        "backup[3] snapshot 2026-03-14 aborted: target volume has 0 bytes free",
    ),
    (
        "How did the mailer lose its letters?",
        "mailer[640] dropped 2114 messages: relay answered 550 sender domain has no SPF record",
    ),
    (
        "Why did stock go below zero?",
        "stock[58] reservation 99120 committed after its lock had lapsed; quantity is now -7",
    ),
    (
        "What logged everyone out of their sessions?",
        "sessions[31] signing key rotated without overlap, 8800 cookies became invalid",
    ),
    (
        "Why was a task of the scheduler run two times?",
        "scheduler[9] lease of leader node-2 was taken over while it still held cron 'reprice'",
    ),
    (
        "Which field broke the catalog import?",
        "catalog[443] feed rejected at row 7712: 'weight_g' holds text where an integer must be",
    ),
    (
        "What did checkout charge wrongly?",
        "checkout[1500] VAT table 2025 used for 312 baskets, because revision 88 was not loaded",
    ),
)
"""Each question with the part of a line that answers it."""


def text() -> str:
    chance = random.Random(20260314)  # noqa: S311  # always the same
    planted = dict(zip(chance.sample(range(LINES), len(CASES)), (line for _, line in CASES), strict=True))
    return "\n".join(_stamp(at) + " " + _line(planted.get(at), chance) for at in range(LINES)) + "\n"


def cases() -> Sequence[tuple[str, str]]:
    return CASES


def _stamp(at: int) -> str:
    second = at * 86_400 // LINES
    return f"2026-03-14T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def _line(planted: str | None, chance: random.Random) -> str:
    if planted is not None:
        return f"ERROR {planted}"
    return chance.choice(ROUTINE).format(
        service=chance.choice(SERVICES),
        pid=chance.randint(1, 9999),
        number=chance.randint(1000, 99999),
        ms=chance.randint(2, 4000),
        share=chance.randint(1, 99),
        small=chance.randint(0, 9),
    )
