"""The same sums from five places: the journal walked by hand, the rollups, `GET /stats`, `stats.json`, the providers.

The walk reads the items as they lie in the table and shares no code with what it is held against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm_router.checkpoints import Checkpoints
from llm_router.rollups import ALL, Counters, Kind, Period
from llm_router.spans import Segment

TOKENS = ("prompt_tokens", "cached_prompt_tokens", "completion_tokens")
NAMES = ("requests", "successes", "unsettled", *TOKENS, "cost_usd", "waste_usd")
OF_A_CANDIDATE = ("attempts", *TOKENS, "cost_usd", "waste_usd")

Sum = Mapping[str, Decimal]


@dataclass(slots=True)
class Walked:
    """What the journal adds up to."""

    whole: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    candidates: dict[str, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))

    def add(self, item: Mapping[str, Any]) -> None:
        attempts = [each["M"] for each in item["attempts"]["L"]]
        is_unsettled = item["state"]["S"] == "unsettled"
        self.whole["requests"] += 1
        self.whole["successes"] += bool(attempts and attempts[-1]["outcome"]["S"] == "success")
        self.whole["unsettled"] += is_unsettled
        for attempt in attempts:
            self._add_attempt(attempt)
        if is_unsettled and "trying" in item:
            trying = item["trying"]["M"]
            self._count(trying["candidate"]["S"], "cost_usd", Decimal(trying["upper_usd"]["N"]))
            self.candidates[trying["candidate"]["S"]]["attempts"] += 1

    def _add_attempt(self, attempt: Mapping[str, Any]) -> None:
        name, usd = f"{attempt['provider']['S']}/{attempt['model']['S']}", Decimal(attempt["cost_usd"]["N"])
        self.candidates[name]["attempts"] += 1
        for kind in TOKENS:
            self._count(name, kind, Decimal(attempt.get(kind, {"N": 0})["N"]))
        self._count(name, "cost_usd", usd)
        if attempt["outcome"]["S"] != "success":
            self._count(name, "waste_usd", usd)

    def _count(self, candidate: str, name: str, value: Decimal) -> None:
        self.whole[name] += value
        self.candidates[candidate][name] += value


def by_hand(items: Iterable[Mapping[str, Any]]) -> Walked:
    """What a correction replaces does not count, nor does what was never more than begun."""
    walked = Walked()
    for item in items:
        if item["pk"]["S"].startswith("journal#") and item["state"]["S"] not in ("corrected", "pending"):
            walked.add(item)
    return walked


def of_rollups(checkpoints: Checkpoints) -> Iterator[tuple[str, Sum]]:
    """Of all time, and of all hours and days together."""
    yield "the rollup of all time", _plain(checkpoints.total(Kind.ALL, ALL))
    for period in (Period.DAY, Period.HOUR):
        parts = [found.counters for found in checkpoints.sums(Kind.ALL, segment=Segment(period))]
        yield f"the rollups of each {period}", _added(parts)
    for kind in (Kind.ROUTE, Kind.KEY):
        yield f"the rollups by {kind}", _added(found.counters for found in checkpoints.sums(kind))


def of_document(body: Mapping[str, Any]) -> Sum:
    """Of `GET /stats` or `stats.json`."""
    return {
        "requests": body["totalRequests"],
        "successes": body["requestCounts"]["success"],
        "unsettled": body["unsettled"],
        "prompt_tokens": body["promptTokens"],
        "cached_prompt_tokens": body["cachedPromptTokens"],
        "completion_tokens": body["completionTokens"],
        "cost_usd": body["totalCost"],
        "waste_usd": body["waste"]["usd"],
    }


def differences(place: str, found: Sum, expected: Sum, *, names: Iterable[str] = NAMES) -> Iterator[str]:
    """Compared as Decimal: a digit is a digit."""
    for name in names:
        here, there = Decimal(found.get(name, 0)), Decimal(expected.get(name, 0))
        if here != there:
            yield f"{place}: {name} is {here:f}, by hand it is {there:f}"


def of_candidates(checkpoints: Checkpoints, walked: Walked) -> Iterator[str]:
    """Where the rollups by candidate differ from the walk."""
    found = {each.name: _plain(each.counters) for each in checkpoints.sums(Kind.CANDIDATE)}
    for name in found.keys() | walked.candidates.keys():
        yield from differences(name, found.get(name, {}), walked.candidates[name], names=OF_A_CANDIDATE)


def _plain(counters: Counters) -> Sum:
    return {name: Decimal(value) for name, value in counters.items()}


def _added(parts: Iterable[Counters]) -> Sum:
    whole: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        for name, value in part.items():
            whole[name] += Decimal(value)
    return whole
