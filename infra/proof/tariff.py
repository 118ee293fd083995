"""What the proof's providers offer and charge, and what they have billed: books and arithmetic of their own.

Nothing here comes from `llm_router`: two sides that share code would share its mistakes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

MOST_TOKENS = 24
"""That any of them answers with; the configuration says so too, or an upper estimate would be far off."""

TIMEOUT_S = 8.0
FIRST_TOKEN_S = 2.5
IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Offer:
    """USD per million tokens. One that is not `streams` refuses to be streamed."""

    provider: str
    model: str
    input: Decimal
    cached_input: Decimal
    output: Decimal
    streams: bool = True

    @property
    def candidate(self) -> str:
        return f"{self.provider}/{self.model}"

    def usd(self, *, prompt: int, cached: int, completion: int) -> Decimal:
        fresh = prompt - cached
        return (fresh * self.input + cached * self.cached_input + completion * self.output) / Decimal(1_000_000)


OFFERS = (
    Offer("north", "small", Decimal("0.05"), Decimal("0.0125"), Decimal("0.08")),
    Offer("east", "small", Decimal("0.07"), Decimal("0.007"), Decimal("0.31")),
    Offer("south", "whole", Decimal("0.11"), Decimal("0.055"), Decimal("0.37"), streams=False),
    Offer("west", "large", Decimal("1.25"), Decimal("0.125"), Decimal("10.01")),
)
BY_CANDIDATE = {offer.candidate: offer for offer in OFFERS}


@dataclass(frozen=True, slots=True)
class Bill:
    """One call as the provider charges it. `number` is the provider's own; `says_usage` whether the answer, where it
    comes to its end, reports the tokens; `is_whole` whether it was meant to come to its end.
    """

    number: int
    nonce: str
    candidate: str
    prompt: int
    cached: int
    completion: int
    usd: Decimal
    script: str
    says_usage: bool
    is_whole: bool


class Books:
    """The provider's own account: a line for each call, with the operating system before the answer begins.

    It is written by `os.write` to a file opened for appending, so a bill outlives its provider's death, though not a
    power cut.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.count = 0

    def write(self, bill: Bill) -> None:
        line = {name: getattr(bill, name) for name in Bill.__slots__} | {"usd": f"{bill.usd:f}"}
        os.write(self._file, json.dumps(line).encode() + b"\n")
        self.count += 1

    def close(self) -> None:
        os.close(self._file)


def read(path: Path) -> Iterator[Bill]:
    """All that was billed so far; a line that is being written is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                found = json.loads(line)
                yield Bill(**{**found, "usd": Decimal(found["usd"])})


def configuration(base_url: str) -> dict[str, object]:
    """A `providers.yaml`, prices as Decimal, for routers that may ask for each offer by itself or for any of them."""

    def model(offer: Offer) -> dict[str, object]:
        rates = {"input": offer.input, "cached_input": offer.cached_input, "output": offer.output}
        return {
            "name": offer.model,
            "price": rates,
            "max_output_tokens": MOST_TOKENS,
            "first_token_timeout_s": FIRST_TOKEN_S,
            "idle_timeout_s": IDLE_S,
        }

    providers = [
        {
            "name": offer.provider,
            "base_url": f"{base_url}/{offer.provider}/v1",
            "auth": "none",
            "timeout_s": TIMEOUT_S / 2,
            "models": [model(offer)],
        }
        for offer in OFFERS
    ]
    names = [offer.candidate for offer in OFFERS]
    auto = {"strategy": "cheapest", "candidates": names, "timeout_s": TIMEOUT_S, "baseline": OFFERS[-1].candidate}
    return {"providers": providers, "routes": {"auto": auto}}
