"""What an attempt used and cost, as far as it can be known. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from llm_router import completions, fees, pricing, routing
from llm_router.candidates import Candidate, Feature
from llm_router.prompts import Prompt, estimated_tokens
from llm_router.routing import Facts
from llm_router.upstream import Reading
from llm_router.usage import NOTHING, Attempt, Cost, CostBasis, Outcome, TokenUsage, Trimming


@dataclass(frozen=True, slots=True)
class Span:
    """When an attempt began and how long it took."""

    began_at: datetime
    latency_ms: int


def attempt(reading: Reading, candidate: Candidate, *, prompt: Prompt, facts: Facts, span: Span) -> Attempt:
    """The ledger's row for one try, at the prices of when it began."""
    tokens, cost = _bill(reading, candidate, prompt, facts, span.began_at)
    return Attempt(
        provider=candidate.provider.name,
        model=candidate.model,
        outcome=reading.outcome,
        latency_ms=span.latency_ms,
        cost=cost,
        tokens=tokens,
        retry_after_s=reading.retry_after_s,
        param=reading.param,
    )


def output_cap(prompt: Prompt, candidate: Candidate, facts: Facts = routing.UNKNOWN_FACTS) -> int | None:
    """The limit on the answer's tokens that is sent upstream: the caller's, the model's, or what its window leaves
    beside a prompt that was counted, whichever is smallest. None where the caller has none.
    """
    if prompt.max_tokens is None:
        return None
    caps = [prompt.max_tokens, candidate.max_output_tokens or prompt.max_tokens]
    if candidate.context_window is not None and prompt.counted_tokens is not None:
        caps.append(max(1, candidate.context_window - routing.prompt_tokens(prompt, facts)))
    return min(caps)


def upper_usd(prompt: Prompt, candidate: Candidate) -> Decimal | None:
    """The most that an attempt can cost; None where no bound is known."""
    if fees.may_arise(prompt, candidate.model) or not prompt.is_bounded:
        return None
    tier = prompt.fields.get("service_tier")
    bounds = pricing.Bounds(
        prompt_bytes=prompt.size_bytes,
        output_cap=output_cap(prompt, candidate),
        choices=prompt.choices,
        service_tier=tier if isinstance(tier, str) else None,
        with_audio=Feature.AUDIO in prompt.needs,
    )
    return pricing.upper_usd(candidate, bounds)


def baseline_usd(served: Attempt | None, baseline: Candidate | None, *, at: datetime) -> Decimal | None:
    """What the served tokens would have cost on another candidate; None where that is not known."""
    if served is None or baseline is None or served.tokens is None:
        return None
    return pricing.cost(served.tokens, baseline.price, at=at, basis=CostBasis.ESTIMATED).usd


def priced(trimming: Trimming | None, served: Candidate | None, *, at: datetime) -> Trimming | None:
    """With what the tokens that were left out would have cost at the input price of the candidate that served."""
    if trimming is None or served is None or served.price is None:
        return trimming
    rate = pricing.rates_at(served.price, prompt_tokens=trimming.after, at=at).input
    return replace(trimming, saved_usd=trimming.tokens_gone * rate / pricing.MILLION, usd_per_mtok=rate)


def _bill(
    reading: Reading, candidate: Candidate, prompt: Prompt, facts: Facts, at: datetime
) -> tuple[TokenUsage | None, Cost]:
    """As the provider reported it, else as estimated where it may have billed, else nothing."""
    if reading.usd_reported is not None and candidate.provider.reports_cost and reading.is_counted_whole:
        return reading.tokens or reading.counted, Cost(reading.usd_reported, CostBasis.EXACT)
    tokens = _tokens(reading, candidate, prompt, facts)
    if tokens is None:
        return None, NOTHING
    if _is_past_counting(reading, tokens, candidate, prompt):
        return tokens, Cost(None, CostBasis.UNKNOWN)
    basis = CostBasis.EXACT if reading.tokens and reading.is_counted_whole else CostBasis.ESTIMATED
    tier = _service_tier(reading, prompt)
    return tokens, pricing.cost(tokens, candidate.price, at=at, basis=basis, service_tier=tier)


def _tokens(reading: Reading, candidate: Candidate, prompt: Prompt, facts: Facts) -> TokenUsage | None:
    """Those of a cut answer are what was reported or what arrived, whichever is more."""
    arrived = TokenUsage(prompt=prompt.estimated_tokens, completion=estimated_tokens(reading.arrived_bytes))
    if reading.tokens and not reading.is_counted_whole:
        return replace(reading.tokens, completion=max(reading.tokens.completion, arrived.completion))
    if reading.tokens:
        return reading.tokens
    if reading.counted:
        return reading.counted
    if reading.outcome is Outcome.SUCCESS:
        completion = estimated_tokens(completions.size_bytes(reading.completion))
        return TokenUsage(prompt=prompt.estimated_tokens, completion=completion)
    if not reading.may_be_billed:
        return None
    return arrived if reading.arrived_bytes else routing.expected_tokens(candidate, prompt, facts)


def _is_past_counting(reading: Reading, tokens: TokenUsage, candidate: Candidate, prompt: Prompt) -> bool:
    """Whether something was or may have been charged that the counts don't show."""
    if reading.fees or (reading.fees is None and fees.may_arise(prompt, candidate.model)):
        return True
    rates = candidate.price
    audio_apart = rates is not None and (rates.audio_input is not None or rates.audio_output is not None)
    return audio_apart and Feature.AUDIO in prompt.needs and not (tokens.audio_prompt or tokens.audio_completion)


def _service_tier(reading: Reading, prompt: Prompt) -> str | None:
    """How it was served, else how it was to be."""
    asked = prompt.fields.get("service_tier")
    said = asked if isinstance(asked, str) and asked not in pricing.EITHER_SERVICE else None
    return reading.service_tier or said
