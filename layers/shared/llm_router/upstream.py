"""What goes to a provider and what comes back, as values: the border between adapters and the transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto

from llm_router.usage import Outcome, TokenUsage


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streamed(Enum):
    """How an answer is asked for: in one piece, as a stream, or as one that ends with its usage."""

    NO = auto()
    YES = auto()
    COUNTED = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer must have to be whole: so many choices; calls are an answer where something could be called.

    `dialect` is that of whom was asked, empty where errors are told by status and code. `is_streamed` says that the
    answer was asked for as a stream.
    """

    choices: int = 1
    with_calls: bool = False
    dialect: str = ""
    is_streamed: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What an adapter made of a response.

    `text`, `model` and `completion` (the whole answer in OpenAI's format) belong to a success. `tokens` stands wherever
    the provider reported them, also beside a failure: what was reported was billed. `may_be_billed` is true where the
    provider took the request without refusing it; `arrived_bytes` is how much text had come by then. `is_counted_whole`
    is false for tokens reported before the answer's end. `usd_reported` is what the provider says it charged, all fees
    included; `fees` whether it reports the use of what is charged beside tokens, None where it says nothing of it;
    `service_tier` how it says it served. `counted` are the router's own counts for an answer without any.
    """

    outcome: Outcome
    text: str = ""
    model: str | None = None
    completion: Mapping[str, object] = field(default_factory=dict, compare=False)
    tokens: TokenUsage | None = None
    counted: TokenUsage | None = None
    may_be_billed: bool = False
    arrived_bytes: int = 0
    is_counted_whole: bool = True
    usd_reported: Decimal | None = None
    fees: bool | None = None
    service_tier: str | None = None
    retry_after_s: float | None = None
    param: str | None = None
