"""What an answer may be long at most, what an attempt can cost at most, and what is taken for its tokens."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from builders import NOW, candidate, prompt
from llm_router import billing
from llm_router.billing import Span
from llm_router.prompts import Prompt
from llm_router.routing import UNKNOWN_FACTS, Facts
from llm_router.upstream import Reading
from llm_router.usage import CostBasis, Outcome, TokenUsage

SMALL = candidate("groq/small", context_window=8_192, max_output_tokens=4_096)


@pytest.mark.parametrize(
    ("asked", "counted", "factor", "cap"),
    [
        (None, 8_000, 1.0, None),
        (4_096, None, 1.0, 4_096),
        (9_999, None, 1.0, 4_096),
        (4_096, 6_144, 1.0, 2_048),
        (4_096, 3_072, 2.0, 2_048),
        (4_096, 9_000, 1.0, 1),
        (100, 6_144, 1.0, 100),
    ],
)
def test_an_answer_is_capped_at_what_the_window_leaves_beside_a_prompt_that_was_counted(asked, counted, factor, cap):
    made = replace(prompt("x"), max_tokens=asked, counted_tokens=counted)
    assert billing.output_cap(made, SMALL, Facts(token_factor=factor)) == cap


def test_no_bound_is_told_of_what_holds_a_file_by_name():
    part = {"type": "file", "file": {"file_id": "file-1"}}
    assert billing.upper_usd(Prompt(messages=({"role": "user", "content": [part]},)), SMALL) is None
    assert billing.upper_usd(prompt("x"), SMALL) > 0


def test_running_usage_of_an_answer_that_never_ended_is_no_exact_count():
    reading = Reading(
        Outcome.TIMEOUT, tokens=TokenUsage(10, 1), may_be_billed=True, arrived_bytes=600, is_counted_whole=False
    )
    made = billing.attempt(reading, SMALL, prompt=prompt("x"), facts=UNKNOWN_FACTS, span=Span(NOW, 10))
    assert (made.cost.basis, made.tokens.completion) == (CostBasis.ESTIMATED, 150)


def test_what_was_counted_here_is_kept_where_a_provider_tells_the_cost_and_no_tokens():
    asked = candidate("openrouter/any")
    asked = replace(asked, provider=replace(asked.provider, reports_cost=True))
    reading = Reading(Outcome.SUCCESS, usd_reported=Decimal("0.01"), counted=TokenUsage(5, 7))
    made = billing.attempt(reading, asked, prompt=prompt("x"), facts=UNKNOWN_FACTS, span=Span(NOW, 10))
    assert (made.tokens, made.cost.usd, made.cost.basis) == (TokenUsage(5, 7), Decimal("0.01"), CostBasis.EXACT)
