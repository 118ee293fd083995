"""What tokens cost, in USD as exact decimals. Pure arithmetic over prices and token counts."""

from __future__ import annotations

from decimal import Decimal

from llm_router.candidates import Candidate, Price
from llm_router.usage import Cost, CostBasis, TokenUsage

MILLION = Decimal(1_000_000)


def usd(tokens: TokenUsage, price: Price) -> Decimal:
    """(fresh prompt * input + cached prompt * cached input + completion * output) / 1,000,000.

    A price without a rate for cached tokens charges them as fresh ones.
    """
    cached = min(tokens.cached_prompt, tokens.prompt)
    cached_rate = price.input if price.cached_input is None else price.cached_input
    fresh = tokens.prompt - cached
    return (fresh * price.input + cached * cached_rate + tokens.completion * price.output) / MILLION


def cost(tokens: TokenUsage, price: Price | None, *, basis: CostBasis) -> Cost:
    """The labelled cost: unknown where the price is, else on the basis of the token counts."""
    if price is None:
        return Cost(None, CostBasis.UNKNOWN)
    return Cost(usd(tokens, price), basis)


def upper_usd(candidate: Candidate, *, prompt_bytes: int, output_cap: int | None, choices: int = 1) -> Decimal | None:
    """The most that an attempt can cost: a prompt has no more tokens than bytes, an answer none past its cap.

    None where the price is unknown or nothing caps the answer. Cached tokens may be the dearer ones.
    """
    caps = [cap for cap in (output_cap, candidate.max_output_tokens, candidate.context_window) if cap is not None]
    if candidate.price is None or not caps:
        return None
    completion = min(caps) * choices
    fresh = TokenUsage(prompt=prompt_bytes, completion=completion)
    cached = TokenUsage(prompt=prompt_bytes, completion=completion, cached_prompt=prompt_bytes)
    return max(usd(fresh, candidate.price), usd(cached, candidate.price))
