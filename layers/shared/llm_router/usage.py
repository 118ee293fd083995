"""What a request used and did: tokens, attempts, and the usage record that the ledger keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens as the provider counts them.

    Parts of `prompt`: `cached_prompt`, `cache_write` (of which `cache_write_1h` for an hour) and `audio_prompt` (of
    which `cached_audio_prompt`, that is part of `cached_prompt` too). Parts of `completion`: `reasoning` and
    `audio_completion`.
    """

    prompt: int
    completion: int
    cached_prompt: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    audio_prompt: int = 0
    cached_audio_prompt: int = 0
    reasoning: int = 0
    audio_completion: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.completion


def summed(counted: Iterable[TokenUsage]) -> TokenUsage:
    """Kind by kind."""
    found = list(counted)
    return TokenUsage(**{kind.name: sum(getattr(tokens, kind.name) for tokens in found) for kind in fields(TokenUsage)})


class CostBasis(StrEnum):
    """How far a cost can be trusted, from best to worst."""

    EXACT = "exact"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cost:
    """`usd` is None exactly where the basis is unknown."""

    usd: Decimal | None
    basis: CostBasis


NOTHING = Cost(Decimal(0), CostBasis.EXACT)


def total(costs: list[Cost]) -> Cost:
    """The sum, as trustworthy as its worst part; unknown as soon as one part is."""
    known = [cost.usd for cost in costs if cost.usd is not None]
    if len(known) < len(costs):
        return Cost(None, CostBasis.UNKNOWN)
    estimated = any(cost.basis is CostBasis.ESTIMATED for cost in costs)
    return Cost(sum(known, Decimal(0)), CostBasis.ESTIMATED if estimated else CostBasis.EXACT)


class Outcome(StrEnum):
    """How an attempt ended. What follows from each stands in `failover`.

    A `timeout` is the candidate's: it had all the time of its own limits. `out_of_time` is the request's, whose
    deadline left it less. `unsuited` is what a candidate cannot do for this one request, healthy as it is. `unsent` is
    ours: the request could not be put into the provider's format. `unknown` is read
    where a newer version has written an outcome that this one does not know.
    """

    SUCCESS = "success"
    CONNECTION_LOST = "connection_lost"
    UNREACHABLE = "unreachable"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    OUT_OF_TIME = "out_of_time"
    CUT = "cut"
    MALFORMED = "malformed"
    REFUSED = "refused"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    BAD_REQUEST = "bad_request"
    UNSUITED = "unsuited"
    STREAM_REFUSED = "stream_refused"
    ABANDONED = "abandoned"
    UNSENT = "unsent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one candidate. `tokens` is what the provider reported, or was estimated where it may have billed."""

    provider: str
    model: str
    outcome: Outcome
    latency_ms: int
    cost: Cost
    tokens: TokenUsage | None = None
    retry_after_s: float | None = None
    param: str | None = None

    @property
    def candidate(self) -> str:
        return f"{self.provider}/{self.model}"


class TrimKind(StrEnum):
    """What prompt optimization did: took out what means nothing, made the prompt fit, or kept a cached beginning."""

    SAFE = "safe"
    TRIM = "trim"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Trimming:
    """What became of a request's prompt before it was sent, in tokens of o200k_base; estimated from bytes where they
    were not counted. `limit` is what it was made to fit.

    `saved_usd` is what the tokens that were left out would have cost at `usd_per_mtok`, the input price of the
    candidate that served; None where none did or its price is not known.
    """

    kind: TrimKind
    before: int
    after: int
    messages_gone: int = 0
    passages_gone: int = 0
    limit: int | None = None
    is_estimated: bool = False
    saved_usd: Decimal | None = None
    usd_per_mtok: Decimal | None = None

    @property
    def tokens_gone(self) -> int:
        return self.before - self.after


class RecordState(StrEnum):
    """`corrected` is an unsettled record that another one replaces; it counts as it did, and the other nets it."""

    PENDING = "pending"
    SETTLED = "settled"
    UNSETTLED = "unsettled"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Trying:
    """The attempt under way: which candidate, and the most that it can cost (None: no bound is known)."""

    candidate: str
    upper_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """The ledger's row for one request.

    `position` is its place in the journal and `request_id` the id that the caller saw; they differ only for a record
    that had to be inserted late. `error` is the code the caller got, None for an answer. `replaces` is the record as it
    was counted before, where this one is a correction of an `unsettled` one; `corrected_at` is the position of that
    correction, where this one is what it replaces. `baseline_usd` is what the served tokens
    would have cost on the route's baseline, None where it has none or that is unknown. `memory_mb` is that of the
    Lambda function that served, None where none did. `trimming` is what was done to the prompt, None where nothing was;
    `counted_tokens` what the prompt that was sent has by the router's own count, None where it did not count.
    """

    position: str
    request_id: str
    state: RecordState
    route: str
    key_id: str
    opened_at: datetime
    deadline_at: datetime
    attempts: tuple[Attempt, ...] = ()
    trying: Trying | None = None
    error: str | None = None
    latency_ms: int | None = None
    settled_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    baseline_usd: Decimal | None = None
    memory_mb: int | None = None
    trimming: Trimming | None = None
    counted_tokens: int | None = None
    replaces: UsageRecord | None = None
    corrected_at: str | None = None

    @property
    def served(self) -> Attempt | None:
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.outcome is Outcome.SUCCESS else None

    @property
    def cost(self) -> Cost:
        """What all attempts cost; for an unsettled record with the upper estimate of the one under way."""
        costs = [attempt.cost for attempt in self.attempts]
        if self.state in (RecordState.UNSETTLED, RecordState.CORRECTED) and self.trying:
            upper = self.trying.upper_usd
            basis = CostBasis.UNKNOWN if upper is None else CostBasis.ESTIMATED
            costs.append(Cost(upper, basis))
        return total(costs)

    @property
    def tokens(self) -> TokenUsage:
        return summed(attempt.tokens for attempt in self.attempts if attempt.tokens)
