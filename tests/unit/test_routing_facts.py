"""What routing goes by, from a candidate's sums: how it counts tokens, and what it has in its cache."""

from __future__ import annotations

import pytest

from llm_router import fleet_items, routing_facts
from llm_router.routing import Facts
from llm_router.routing_facts import ENOUGH_COUNTED, FACTOR_AT_MOST


@pytest.mark.parametrize(
    ("counted", "reported", "factor"),
    [
        (0, 0, 1.0),
        (ENOUGH_COUNTED - 1, 2 * ENOUGH_COUNTED, 1.0),
        (ENOUGH_COUNTED, ENOUGH_COUNTED, 1.0),
        (100_000, 117_500, 1.175),
        (100_000, 73_300, 0.733),
        (100_000, 100_000_000, FACTOR_AT_MOST),
        (100_000_000, 1, 1 / FACTOR_AT_MOST),
    ],
)
def test_how_many_tokens_a_candidate_counts_for_one_of_ours_is_learned_once_there_are_enough(counted, reported, factor):
    ever = {"counted_tokens": counted, "reported_tokens": reported}
    assert routing_facts.facts(ever, recent={}).token_factor == factor


def test_the_share_of_what_was_cached_is_that_of_the_recent_hours_where_they_hold_enough():
    ever = {"requests": 1000, "prompt_tokens": 1000, "cached_prompt_tokens": 100}
    recent = {"requests": 20, "prompt_tokens": 1000, "cached_prompt_tokens": 750}
    assert routing_facts.facts(ever, recent=recent).cached_share == 0.75
    assert routing_facts.facts(ever, recent={**recent, "requests": 19}).cached_share == 0.1
    assert routing_facts.facts({}, recent={}).cached_share == 0.0


def test_the_fleet_is_told_and_reads_what_older_versions_told():
    known = {"a/b": Facts(token_factor=1.175, cached_share=0.25)}
    assert fleet_items.facts(fleet_items.facts_text(known)) == known
    before = '{"a/b": {"p50": null, "p95": null, "rate": 1.0, "tokens": 7}}'
    assert fleet_items.facts(before) == {"a/b": Facts(completion_tokens=7)}
