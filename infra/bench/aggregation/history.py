"""Makes ended usage records as routers would have left them: of the last day, over several routes, keys and tags."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llm_router import journal_items, positions
from llm_router.usage import NOTHING, Attempt, Cost, CostBasis, Outcome, RecordState, TokenUsage, UsageRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SHARDS = 8
"""The emulator sorts a whole partition for each page of it; short ones keep it below the client's patience."""
CANDIDATES = ("groq/llama-3.1-8b-instant", "groq/openai/gpt-oss-20b", "openai/gpt-4o-mini", "openai/gpt-4.1-nano")
ROUTES = ("auto", "strong", "mini")
KEYS = tuple(f"key{number:05}" for number in range(20))
TEAMS = tuple(f"team-{number}" for number in range(10))
A_BATCH = 25


def records(count: int, *, since: datetime, until: datetime, seed: int) -> Iterator[UsageRecord]:
    """In order of opening, evenly over the time; one in ten failed over, one in fifty failed."""
    chance = random.Random(seed)  # noqa: S311  # a history that can be made again, not a secret
    step = (until - since) / count
    for number in range(count):
        yield _record(since + number * step, shard=number % SHARDS, chance=chance)


def write(client: DynamoDBClient, table: str, ended: Iterator[UsageRecord]) -> int:
    """How many were written."""
    written = 0
    batch: list[Any] = []
    for record in ended:
        values = {**journal_items.journal_key(record.position), **journal_items.record_values(record)}
        batch.append({"PutRequest": {"Item": journal_items.to_item(values)}})
        if len(batch) == A_BATCH:
            _put(client, table, batch)
            written += len(batch)
            batch = []
    if batch:
        _put(client, table, batch)
    return written + len(batch)


def _put(client: DynamoDBClient, table: str, batch: list[Any]) -> None:
    left = client.batch_write_item(RequestItems={table: batch})["UnprocessedItems"]
    if left:
        raise RuntimeError(f"{len(left)} of {len(batch)} records were not written")


def _record(at: datetime, *, shard: int, chance: random.Random) -> UsageRecord:
    position = positions.position(at, shard=shard, random_bits=chance.getrandbits(positions.RANDOM_BITS))
    served = _attempt(chance.choice(CANDIDATES), chance)
    failed = replace(served, outcome=Outcome.OVERLOADED, cost=NOTHING, tokens=None)
    draw = chance.random()
    attempts = (failed, failed) if draw < 0.02 else (failed, served) if draw < 0.12 else (served,)
    return UsageRecord(
        position=position,
        request_id=position,
        state=RecordState.SETTLED,
        route=chance.choice(ROUTES),
        key_id=chance.choice(KEYS),
        opened_at=at,
        deadline_at=at + timedelta(seconds=28),
        attempts=attempts,
        error=None if attempts[-1] is served else "all_providers_failed",
        latency_ms=sum(attempt.latency_ms for attempt in attempts),
        settled_at=at + timedelta(seconds=1),
        metadata={"team": chance.choice(TEAMS)},
        baseline_usd=Decimal(chance.randrange(1000)).scaleb(-6),
        memory_mb=512,
    )


def _attempt(candidate: str, chance: random.Random) -> Attempt:
    provider, _, model = candidate.partition("/")
    return Attempt(
        provider=provider,
        model=model,
        outcome=Outcome.SUCCESS,
        latency_ms=round(chance.lognormvariate(6.5, 0.6)),
        cost=Cost(Decimal(chance.randrange(1, 10**6)).scaleb(-9), CostBasis.EXACT),
        tokens=TokenUsage(prompt=chance.randrange(10, 4000), completion=chance.randrange(1, 800)),
    )
