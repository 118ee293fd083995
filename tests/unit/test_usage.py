"""What attempts and records add up to, and how far a sum can be trusted."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AMOUNTS, COSTS, UNKNOWN_COST, attempt, record, usd
from llm_router import usage
from llm_router.usage import NOTHING, Cost, CostBasis, Outcome, RecordState, TokenUsage, Trying

ESTIMATE = usd("0.5", CostBasis.ESTIMATED)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([], NOTHING),
        ([usd("0.1"), usd("0.2")], usd("0.3")),
        ([usd("0.1"), ESTIMATE], usd("0.6", CostBasis.ESTIMATED)),
        ([ESTIMATE, usd("0.1")], usd("0.6", CostBasis.ESTIMATED)),
        ([UNKNOWN_COST], UNKNOWN_COST),
        ([usd("0.1"), UNKNOWN_COST, ESTIMATE], UNKNOWN_COST),
    ],
)
def test_a_sum_is_as_trustworthy_as_its_worst_part(costs, expected):
    assert usage.total(costs) == expected


@settings(deadline=None)
@given(st.lists(COSTS, max_size=8), st.randoms())
def test_a_sum_is_exact_in_any_order(costs, chance):
    found = usage.total(costs)
    shuffled = list(costs)
    chance.shuffle(shuffled)
    assert usage.total(shuffled) == found
    if all(cost.usd is not None for cost in costs):
        assert Fraction(found.usd) == sum(Fraction(cost.usd) for cost in costs)


@settings(deadline=None)
@given(st.lists(COSTS, max_size=8))
def test_there_is_no_amount_exactly_where_the_basis_is_unknown(costs):
    found = usage.total(costs)
    assert (found.usd is None) == (found.basis is CostBasis.UNKNOWN) == (UNKNOWN_COST in costs)


@pytest.mark.parametrize(
    ("state", "trying", "expected"),
    [
        (RecordState.SETTLED, None, usd("0.1")),
        (RecordState.UNSETTLED, None, usd("0.1")),
        (RecordState.UNSETTLED, Trying("groq/llama", Decimal("0.4")), usd("0.5", CostBasis.ESTIMATED)),
        (RecordState.CORRECTED, Trying("groq/llama", Decimal("0.4")), usd("0.5", CostBasis.ESTIMATED)),
        (RecordState.UNSETTLED, Trying("groq/llama", None), UNKNOWN_COST),
        (RecordState.PENDING, Trying("groq/llama", Decimal("0.4")), usd("0.1")),
    ],
)
def test_what_may_still_be_billed_counts_once_a_record_is_given_up(state, trying, expected):
    assert record(attempt(cost=usd("0.1")), state=state, trying=trying).cost == expected


def test_failed_attempts_cost_too():
    failed = attempt(outcome=Outcome.CUT, cost=ESTIMATE)
    assert record(failed, attempt(cost=usd("0.1"))).cost == usd("0.6", CostBasis.ESTIMATED)


@settings(deadline=None)
@given(st.lists(st.none() | AMOUNTS, min_size=1, max_size=6))
def test_unknown_is_never_shown_as_nothing(amounts):
    costs = [UNKNOWN_COST if amount is None else Cost(amount, CostBasis.EXACT) for amount in amounts]
    made = record(*(attempt(cost=cost) for cost in costs))
    assert (made.cost.usd is None) == (None in amounts)


def test_tokens_are_those_of_all_attempts_that_reported_any():
    made = record(
        attempt(outcome=Outcome.MALFORMED, tokens=TokenUsage(7, 3, cached_prompt=2)),
        attempt(outcome=Outcome.TIMEOUT),
        attempt(tokens=TokenUsage(10, 5, cached_prompt=4)),
    )
    assert made.tokens == TokenUsage(17, 8, cached_prompt=6)
    assert made.tokens.total == 25


@pytest.mark.parametrize("outcome", Outcome)
def test_a_request_was_served_where_its_last_attempt_succeeded(outcome):
    last = attempt("openai/gpt", outcome)
    assert record(attempt(outcome=Outcome.TIMEOUT), last).served == (last if outcome is Outcome.SUCCESS else None)


def test_a_request_without_attempts_was_not_served():
    assert record(attempt(), attempts=()).served is None


def test_a_candidate_is_named_by_provider_and_model():
    assert attempt("ollama/library/qwen:7b").candidate == "ollama/library/qwen:7b"
