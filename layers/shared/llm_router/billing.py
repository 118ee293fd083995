"""What an attempt used and cost, as far as it can be known. Pure."""

from __future__ import annotations

from llm_router import completions, pricing, routing
from llm_router.candidates import Candidate
from llm_router.prompts import Prompt, estimated_tokens
from llm_router.routing import Facts
from llm_router.upstream import Reading
from llm_router.usage import NOTHING, Attempt, Cost, CostBasis, Outcome, TokenUsage


def attempt(reading: Reading, candidate: Candidate, *, prompt: Prompt, facts: Facts, latency_ms: int) -> Attempt:
    """The ledger's row for one try."""
    tokens, cost = _bill(reading, candidate, prompt, facts)
    return Attempt(
        provider=candidate.provider.name,
        model=candidate.model,
        outcome=reading.outcome,
        latency_ms=latency_ms,
        cost=cost,
        tokens=tokens,
        retry_after_s=reading.retry_after_s,
        param=reading.param,
    )


def output_cap(prompt: Prompt, candidate: Candidate) -> int | None:
    """The limit on the answer's tokens that is sent upstream: the caller's, or the model's where that is smaller."""
    if prompt.max_tokens is None or candidate.max_output_tokens is None:
        return prompt.max_tokens
    return min(prompt.max_tokens, candidate.max_output_tokens)


def _bill(reading: Reading, candidate: Candidate, prompt: Prompt, facts: Facts) -> tuple[TokenUsage | None, Cost]:
    """As the provider reported it, else as estimated where it may have billed, else nothing."""
    if reading.tokens:
        return reading.tokens, pricing.cost(reading.tokens, candidate.price, basis=CostBasis.EXACT)
    if reading.outcome is Outcome.SUCCESS:
        completion = estimated_tokens(completions.size_bytes(reading.completion))
        tokens = TokenUsage(prompt=prompt.estimated_tokens, completion=completion)
    elif reading.may_be_billed and reading.arrived_bytes:
        tokens = TokenUsage(prompt=prompt.estimated_tokens, completion=estimated_tokens(reading.arrived_bytes))
    elif reading.may_be_billed:
        tokens = routing.expected_tokens(candidate, prompt, facts)
    else:
        return None, NOTHING
    return tokens, pricing.cost(tokens, candidate.price, basis=CostBasis.ESTIMATED)
