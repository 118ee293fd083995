"""Within how many tokens a prompt has to be, and when a cached beginning is cheaper than a trimmed prompt."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from builders import NOW, candidate, price, prompt, route
from llm_router import fitting_limits
from llm_router.candidates import Optimize, Price, Rates, Tier
from llm_router.health import Health, OpenReason
from llm_router.prompts import Prompt, Wishes, message
from llm_router.routing import Facts, Surroundings

SMALL = candidate("groq/small", context_window=8_000)
LARGE = candidate("openai/large", context_window=100_000)
ANY = candidate("mistral/any")
TWO = route(SMALL, LARGE)


def surroundings(**facts):
    by_name = {name.replace("_", "/"): Facts(**known) for name, known in facts.items()}
    return Surroundings(now=NOW, providers_with_key={"groq", "openai", "mistral"}, facts=by_name)


def counted(tokens, **changes):
    return replace(prompt("x"), counted_tokens=tokens, **changes)


def limit(tokens, of, around=None, **changes):
    found = fitting_limits.limit(counted(tokens, **changes), of, around or surroundings())
    return found.tokens if found else None


@pytest.mark.parametrize(
    ("of", "mode", "expected"),
    [
        (TWO, Optimize.OFF, 8_000),
        (TWO, Optimize.TRIM, 8_000),
        (replace(TWO, max_prompt_tokens=6_000), Optimize.TRIM, 6_000),
        (replace(TWO, max_prompt_tokens=6_000), Optimize.SAFE, 8_000),
        (route(ANY), Optimize.TRIM, math.inf),
        (replace(route(ANY), max_prompt_tokens=10), Optimize.TRIM, 10),
    ],
)
def test_a_prompt_of_fewer_bytes_than_any_limit_has_tokens_need_not_be_counted(of, mode, expected):
    assert fitting_limits.tokens_that_may_matter(of, mode, surroundings()) == expected


def test_a_candidate_that_counts_more_makes_counting_matter_sooner():
    around = surroundings(groq_small={"token_factor": 2.0})
    assert fitting_limits.tokens_that_may_matter(TWO, Optimize.OFF, around) == 4_000


@pytest.mark.parametrize(
    ("tokens", "of", "expected"),
    [
        (9_000, TWO, None),  # the larger takes it
        (150_000, TWO, 100_000 - fitting_limits.ANSWER_TOKENS),  # nobody does: to the largest, beside its answer
        (9_000, replace(TWO, max_prompt_tokens=6_000), 6_000),
        (150_000, replace(TWO, max_prompt_tokens=200_000), 100_000 - fitting_limits.ANSWER_TOKENS),
        (150_000, route(ANY), None),
        (150_000, replace(route(SMALL, ANY), max_prompt_tokens=50_000), 50_000),
        (150_000, route(candidate("other/no-key", context_window=10)), None),  # nobody is able at all
    ],
)
def test_the_limit_is_the_routes_own_and_what_the_models_take(tokens, of, expected):
    assert limit(tokens, of) == expected


def test_the_answer_has_its_place_in_the_window_but_not_more_than_a_quarter():
    assert limit(9_000, route(SMALL), max_tokens=500) == 7_500
    assert limit(9_000, route(SMALL), max_tokens=7_999) == 6_000


def test_the_limit_holds_by_the_count_of_whoever_counts_most():
    around = surroundings(groq_small={"token_factor": 1.25}, openai_large={"token_factor": 0.8})
    assert limit(9_000, replace(TWO, max_prompt_tokens=6_000), around) == 4_800
    assert limit(9_000, replace(route(LARGE), max_prompt_tokens=6_000), around) == 6_000


CACHING = candidate("groq/caching", usd=price("1", "2", cached_usd="0.1"), context_window=100_000)
CONVERSATION = (
    message("system", "s" * 40),
    message("user", "u" * 7_000),
    message("assistant", "a" * 100),
    message("user", "And now?"),
)


def is_kept(messages, *, share, most=6_000, by=CACHING):
    asked = replace(Prompt(messages=messages), counted_tokens=sum(len(m["content"]) for m in messages))
    around = surroundings(groq_caching={"cached_share": share})
    found = fitting_limits.limit(asked, replace(route(by), max_prompt_tokens=most), around)
    return fitting_limits.is_cheaper_kept(asked, found, len)


def test_a_beginning_that_is_read_from_the_cache_is_kept_where_that_is_cheaper():
    """7,000 of 7,148 tokens at a tenth of the price cost less than 6,000 at the whole."""
    assert is_kept(CONVERSATION, share=0.9)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"share": 0.0}, "the candidate has had nothing in its cache"),
        ({"share": 0.9, "most": 500}, "trimming saves more than the cache"),
        (
            {"share": 0.9, "by": candidate("groq/caching", usd=price("1", "2"))},
            "no price of its own for what is cached",
        ),
        ({"share": 0.9, "by": candidate("groq/caching", usd=None)}, "no price is known"),
        ({"share": 0.9, "by": candidate("groq/caching", usd=price("1", "2", cached_usd="1"))}, "it is no cheaper"),
    ],
)
def test_else_it_is_trimmed(changed, why):
    assert not is_kept(CONVERSATION, **changed), why


def test_a_prompt_that_goes_out_for_the_first_time_is_in_no_cache():
    assert not is_kept((message("user", "u" * 7_000),), share=1.0)
    assert not is_kept((message("user", "u" * 7_000), message("user", "And now?")), share=1.0)


def test_a_prompt_is_made_to_fit_who_can_be_asked_now():
    """The larger window is no use while its candidate limits us: the smaller one is well."""
    closed = {LARGE.name: Health(reason=OpenReason.RATE_LIMITED, opened_at=NOW, open_until=NOW + timedelta(seconds=9))}
    around = replace(surroundings(), health=closed)
    assert limit(150_000, TWO, around) == 8_000 - fitting_limits.ANSWER_TOKENS
    assert limit(150_000, route(LARGE), around) == 100_000 - fitting_limits.ANSWER_TOKENS


def test_who_is_too_dear_for_a_long_prompt_alone_may_be_sent_a_short_one():
    long = Tier(above=200_000, rates=Rates(Decimal("2.5"), Decimal(10)))
    tiered = candidate("openai/tiered", usd=Price(Decimal("1.25"), Decimal(5), tiers=(long,)))
    of = replace(route(tiered), max_prompt_tokens=6_000)
    wishes = Wishes(max_input=Decimal("1.25"))
    assert limit(250_000, of, wishes=wishes) == 6_000
    assert limit(250_000, of, wishes=replace(wishes, max_input=Decimal(1))) is None


def test_who_is_too_dear_at_any_length_makes_no_prompt_longer():
    dear = candidate("openai/dear", usd=price("9", "9"), context_window=100_000)
    assert limit(50_000, route(SMALL, dear), wishes=Wishes(max_input=Decimal(1))) < 8_000
