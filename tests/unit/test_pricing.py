"""What tokens cost, against an independent computation in fractions."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW, candidate, price, usd
from llm_router import pricing
from llm_router.candidates import Price
from llm_router.configuration_fields import DECIMAL_PLACES_AT_MOST
from llm_router.configuration_models import USD_AT_MOST
from llm_router.pricing import Bounds
from llm_router.usage import Cost, CostBasis, TokenUsage

rates = st.decimals(min_value=0, max_value=USD_AT_MOST, places=DECIMAL_PLACES_AT_MOST)
prices = st.builds(Price, rates, rates, st.none() | rates)
counts = st.integers(0, 10**7)
token_usages = st.builds(TokenUsage, prompt=counts, completion=counts, cached_prompt=counts)
caps = st.none() | st.integers(1, 10**6)


def exact_usd(tokens, rate):
    """Each token by itself would cost its rate divided by a million."""
    cached = min(tokens.cached_prompt, tokens.prompt)
    cached_rate = rate.input if rate.cached_input is None else rate.cached_input
    shares = [(tokens.prompt - cached, rate.input), (cached, cached_rate), (tokens.completion, rate.output)]
    return sum((Fraction(count) * Fraction(of) / 10**6 for count, of in shares), Fraction(0))


@pytest.mark.parametrize(
    ("tokens", "rate", "expected"),
    [
        (TokenUsage(0, 0), price("5", "15"), "0"),
        (TokenUsage(1_000_000, 0), price("0.05", "0.08"), "0.05"),
        (TokenUsage(0, 1_000_000), price("0.05", "0.08"), "0.08"),
        (TokenUsage(10, 5), price("0.15", "0.6"), "0.0000045"),
        (TokenUsage(100, 0, cached_prompt=40), price("1", "1", "0.1"), "0.000064"),
        (TokenUsage(100, 0, cached_prompt=40), price("1", "1"), "0.0001"),
        (TokenUsage(100, 0, cached_prompt=400), price("1", "1", "0"), "0"),
        (TokenUsage(1, 0), price("0.000000000001", "0"), "0.000000000000000001"),
    ],
)
def test_costs_are_tokens_times_price(tokens, rate, expected):
    assert pricing.usd(tokens, rate, at=NOW) == Decimal(expected)


@settings(deadline=None)
@given(token_usages, prices)
def test_costs_are_exact_for_every_price_that_a_configuration_may_hold(tokens, rate):
    assert Fraction(pricing.usd(tokens, rate, at=NOW)) == exact_usd(tokens, rate)


@settings(deadline=None)
@given(token_usages, prices, st.sampled_from([CostBasis.EXACT, CostBasis.ESTIMATED]))
def test_a_cost_has_the_basis_of_its_token_counts(tokens, rate, basis):
    assert pricing.cost(tokens, rate, at=NOW, basis=basis) == Cost(pricing.usd(tokens, rate, at=NOW), basis)


@pytest.mark.parametrize("basis", CostBasis)
def test_a_cost_without_a_price_is_unknown_and_not_nothing(basis):
    assert pricing.cost(TokenUsage(1, 1), None, at=NOW, basis=basis) == Cost(None, CostBasis.UNKNOWN)


def capped(output_cap, max_output_tokens, context_window):
    return min(cap for cap in (output_cap, max_output_tokens, context_window) if cap is not None)


@settings(deadline=None)
@given(prices, st.data(), st.tuples(caps, caps, caps).filter(any))
def test_the_upper_estimate_is_never_below_the_cost_of_a_usage_within_the_cap(rate, data, limits):
    output_cap, max_output_tokens, context_window = limits
    prompt_bytes = data.draw(st.integers(0, 10**6))
    prompt = data.draw(st.integers(0, prompt_bytes))
    tokens = TokenUsage(
        prompt=prompt,
        completion=data.draw(st.integers(0, capped(*limits))),
        cached_prompt=data.draw(st.integers(0, prompt)),
    )
    served = candidate(usd=rate, max_output_tokens=max_output_tokens, context_window=context_window)
    upper = pricing.upper_usd(served, Bounds(prompt_bytes, output_cap))
    assert upper >= pricing.usd(tokens, rate, at=NOW)


def test_the_upper_estimate_is_no_more_than_the_dearest_usage_costs():
    served = candidate(usd=price("1", "10"), max_output_tokens=100, context_window=8000)
    assert pricing.upper_usd(served, Bounds(1000, None)) == usd("0.002").usd
    assert pricing.upper_usd(served, Bounds(1000, 10)) == usd("0.0011").usd


@pytest.mark.parametrize(
    "served",
    [
        candidate(usd=None, max_output_tokens=100, context_window=8000),
        candidate(max_output_tokens=None, context_window=None),
    ],
    ids=["no price", "no cap"],
)
def test_there_is_no_upper_estimate_without_a_price_or_without_a_cap(served):
    assert pricing.upper_usd(served, Bounds(1000, None)) is None
