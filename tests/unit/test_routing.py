"""Which candidates could serve a request, in which order, and why."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import KEYLESS, NOW, candidate, price, prompt, route
from llm_router import routing
from llm_router.candidates import Feature, Price, Rates, Strategy, Tier, combined
from llm_router.health import Health, OpenReason
from llm_router.prompts import Wishes
from llm_router.routing import TYPICAL_COMPLETION_TOKENS, Exclusion, Facts, Surroundings

LATER = NOW + timedelta(seconds=10)
CHEAP = candidate("groq/llama", usd=price("0.05", "0.08"))
MIDDLING = candidate("openai/mini", usd=price("0.15", "0.60"))
DEAR = candidate("openai/gpt", usd=price("5", "15"))
UNPRICED = candidate("mine/model", usd=None)


def opened(reason, until=LATER):
    return Health(openings=1, reason=reason, opened_at=NOW - timedelta(seconds=30), open_until=until)


FAILING, LIMITED, REFUSED = (opened(reason) for reason in OpenReason)


def plan(
    *candidates,
    asked=None,
    keys=None,
    health=None,
    facts=None,
    time_s=None,
    switched_off=(),
    found_lacking=None,
    **of_route,
):
    found = route(*candidates, **of_route)
    surroundings = Surroundings(
        now=NOW,
        providers_with_key={one.provider.name for one in candidates} if keys is None else keys,
        switched_off=switched_off,
        health=health or {},
        facts=facts or {},
        time_s=time_s,
        found_lacking=found_lacking or {},
    )
    return routing.plan(asked or prompt(), found, surroundings)


def names(made):
    return [one.name for one in made.candidates]


def reasons(made):
    return {item.candidate.name: item.exclusion for item in made.excluded}


# Fallback routes.

STRONG = route(candidate("strong/dear", usd=price("9", "9")), candidate("strong/cheap", usd=price("2", "2")))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (prompt(), ["strong/cheap", "strong/dear", "groq/llama", "openai/gpt"]),
        (prompt(strategy=Strategy.PRIORITY), ["strong/dear", "strong/cheap", "openai/gpt", "groq/llama"]),
        (prompt(wishes=Wishes(order=("groq",))), ["strong/cheap", "strong/dear", "groq/llama", "openai/gpt"]),
        (prompt(wishes=Wishes(order=("openai",))), ["strong/cheap", "strong/dear", "openai/gpt", "groq/llama"]),
        (prompt(wishes=Wishes(across_models=True)), ["groq/llama", "strong/cheap", "strong/dear", "openai/gpt"]),
        (prompt(wishes=Wishes(ignore=("strong",))), ["groq/llama", "openai/gpt"]),
    ],
)
def test_a_fallback_stays_one_and_each_route_keeps_its_order(asked, expected):
    weak = route(DEAR, CHEAP)
    found = combined([STRONG, weak])
    keys = {one.provider.name for one in found.candidates}
    assert names(routing.plan(asked, found, Surroundings(now=NOW, providers_with_key=keys))) == expected


def test_each_fallback_route_has_its_own_strategy():
    in_order = replace(STRONG, strategy=Strategy.PRIORITY)
    found = combined([in_order, route(DEAR, CHEAP)])
    keys = {one.provider.name for one in found.candidates}
    made = routing.plan(prompt(), found, Surroundings(now=NOW, providers_with_key=keys))
    assert names(made) == ["strong/dear", "strong/cheap", "groq/llama", "openai/gpt"]


def test_a_candidate_of_two_routes_stands_in_the_first():
    found = combined([route(DEAR), route(CHEAP, DEAR)])
    made = routing.plan(prompt(), found, Surroundings(now=NOW, providers_with_key={"groq", "openai"}))
    assert names(made) == ["openai/gpt", "groq/llama"]


def test_the_best_of_the_first_route_is_tried_where_all_are_failing():
    found = combined([route(DEAR), route(CHEAP)])
    health = {one.name: opened(OpenReason.FAILING) for one in (DEAR, CHEAP)}
    surroundings = Surroundings(now=NOW, providers_with_key={"groq", "openai"}, health=health)
    assert names(routing.plan(prompt(), found, surroundings)) == ["openai/gpt"]


# Wishes.


def test_a_highest_price_is_held_against_what_a_prompt_of_its_length_pays():
    long = Tier(above=1000, rates=Rates(Decimal(2), Decimal(4)))
    tiered = candidate("openai/tiered", usd=Price(Decimal("0.5"), Decimal(1), tiers=(long,)))
    wishes = Wishes(max_input=Decimal(1))
    assert names(plan(tiered, asked=prompt(wishes=wishes))) == ["openai/tiered"]
    made = plan(tiered, asked=prompt("x" * 8000, wishes=wishes))
    assert reasons(made) == {"openai/tiered": Exclusion.MAX_PRICE}


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (Wishes(), ["groq/llama", "openai/mini", "openai/gpt"]),
        (Wishes(order=("openai",)), ["openai/mini", "openai/gpt", "groq/llama"]),
        (Wishes(order=("nobody", "openai", "groq")), ["openai/mini", "openai/gpt", "groq/llama"]),
        (Wishes(only=("openai",)), ["openai/mini", "openai/gpt"]),
        (Wishes(ignore=("openai",)), ["groq/llama"]),
        (Wishes(only=("groq", "openai"), ignore=("groq",)), ["openai/mini", "openai/gpt"]),
        (Wishes(max_input=Decimal(1)), ["groq/llama", "openai/mini"]),
        (Wishes(max_input=Decimal("0.15"), max_output=Decimal("0.60")), ["groq/llama", "openai/mini"]),
        (Wishes(max_output=Decimal("0.5")), ["groq/llama"]),
        (Wishes(allows_fallbacks=False), ["groq/llama"]),
        (Wishes(order=("openai",), allows_fallbacks=False), ["openai/mini", "openai/gpt"]),
        (Wishes(order=("openai", "groq"), allows_fallbacks=False), ["openai/mini", "openai/gpt", "groq/llama"]),
        (Wishes(order=("nobody",), allows_fallbacks=False), []),
    ],
)
def test_a_callers_wishes_choose_and_order_the_candidates(wishes, expected):
    """Without fallbacks the first serves or nobody; an order says who the fallbacks are."""
    made = plan(DEAR, MIDDLING, CHEAP, asked=prompt(wishes=wishes))
    assert names(made) == expected
    assert reasons(made).keys() == {"groq/llama", "openai/mini", "openai/gpt"} - set(expected)


def test_an_unknown_price_is_over_any_maximum():
    made = plan(UNPRICED, CHEAP, asked=prompt(wishes=Wishes(max_output=Decimal(1000))))
    assert reasons(made) == {"mine/model": Exclusion.MAX_PRICE}


def test_nobody_is_forced_whom_the_caller_ruled_out():
    wishes = Wishes(order=("openai",), allows_fallbacks=False)
    made = plan(CHEAP, MIDDLING, asked=prompt(wishes=wishes), health={"groq/llama": FAILING, "openai/mini": FAILING})
    assert names(made) == ["openai/mini"]


# Cheapest.


@pytest.mark.parametrize("order", [(CHEAP, MIDDLING, DEAR), (DEAR, CHEAP, MIDDLING), (DEAR, MIDDLING, CHEAP)])
def test_the_cheapest_comes_first_whatever_the_configured_order(order):
    assert names(plan(*order)) == ["groq/llama", "openai/mini", "openai/gpt"]


def test_cheapest_is_what_this_request_will_cost_and_not_the_price():
    """One has the cheaper prompt, the other the cheaper answer; the request decides."""
    reader = candidate("a/reader", usd=price("0.1", "10"))
    writer = candidate("b/writer", usd=price("1", "1"))
    long_prompt = prompt("word " * 20_000, max_tokens=10)
    assert names(plan(reader, writer, asked=long_prompt)) == ["a/reader", "b/writer"]
    assert names(plan(reader, writer, asked=prompt("Hi", max_tokens=4000))) == ["b/writer", "a/reader"]


def test_what_a_candidate_typically_answers_with_counts():
    talker = candidate("a/talker", usd=price("1", "1"))
    terse = candidate("b/terse", usd=price("1", "2"))
    facts = {"a/talker": Facts(completion_tokens=1000), "b/terse": Facts(completion_tokens=100)}
    assert names(plan(talker, terse)) == ["a/talker", "b/terse"]
    assert names(plan(talker, terse, facts=facts)) == ["b/terse", "a/talker"]


@pytest.mark.parametrize(
    ("max_tokens", "typical", "expected"),
    [(None, None, TYPICAL_COMPLETION_TOKENS), (10, None, 10), (None, 40, 40), (10, 40, 10), (100, 40, 40)],
)
def test_the_expected_answer_is_the_smaller_of_the_limit_and_the_typical(max_tokens, typical, expected):
    facts = routing.UNKNOWN_FACTS if typical is None else Facts(completion_tokens=typical)
    found = routing.expected_tokens(candidate(), prompt(max_tokens=max_tokens), facts)
    assert found.completion == expected
    short = routing.expected_tokens(candidate(max_output_tokens=7), prompt(max_tokens=max_tokens), facts)
    assert short.completion == 7
    assert found.prompt == prompt().estimated_tokens


def test_an_unknown_price_comes_last_and_costs_no_known_sum():
    made = plan(UNPRICED, DEAR)
    assert names(made) == ["openai/gpt", "mine/model"]
    assert made.places[-1].expected_usd is None
    assert made.places[-1].reason == "cheapest: price unknown"


def test_the_reason_names_the_expected_cost_in_plain_digits():
    made = plan(candidate(usd=price("0.000001", "0")), asked=prompt(max_tokens=1))
    assert made.places[0].reason == f"cheapest: {made.places[0].expected_usd:f} USD expected"
    assert "E" not in made.places[0].reason.removesuffix("USD expected")


@pytest.mark.parametrize("strategy", Strategy)
def test_ties_go_to_the_healthier_then_to_the_configured_order(strategy):
    one, other, third = (candidate(f"{host}/same") for host in "abc")
    facts = {"a/same": Facts(success_rate=0.5), "b/same": Facts(success_rate=0.9), "c/same": Facts(success_rate=0.9)}
    expected = ["a/same", "b/same", "c/same"] if strategy is Strategy.PRIORITY else ["b/same", "c/same", "a/same"]
    assert names(plan(one, other, third, facts=facts, strategy=strategy)) == expected
    assert names(plan(third, other, one, strategy=strategy)) == ["c/same", "b/same", "a/same"]


# The other strategies.


def test_fastest_orders_by_recent_latency_and_the_unknown_stand_in_the_middle():
    """Last, they would be asked only when all others fail, and stay unknown."""
    facts = {"openai/gpt": Facts(latency_ms=200.0), "groq/llama": Facts(latency_ms=900.0)}
    made = plan(CHEAP, MIDDLING, DEAR, facts=facts, strategy=Strategy.FASTEST)
    assert names(made) == ["openai/gpt", "openai/mini", "groq/llama"]
    assert {place.reason for place in made.places} == {"fastest"}


def test_priority_keeps_the_configured_order():
    made = plan(DEAR, UNPRICED, CHEAP, strategy=Strategy.PRIORITY)
    assert names(made) == ["openai/gpt", "mine/model", "groq/llama"]
    assert {place.reason for place in made.places} == {"priority"}


def test_the_callers_strategy_comes_before_the_routes():
    asked = prompt(strategy=Strategy.PRIORITY)
    assert names(plan(DEAR, CHEAP, asked=asked, strategy=Strategy.CHEAPEST)) == ["openai/gpt", "groq/llama"]


# Who is left out.


@pytest.mark.parametrize(
    ("left_out", "changes", "expected"),
    [
        (CHEAP, {"keys": {"openai"}}, Exclusion.NO_KEY),
        (CHEAP, {"health": {"groq/llama": FAILING}}, Exclusion.BREAKER_OPEN),
        (CHEAP, {"health": {"groq/llama": LIMITED}}, Exclusion.BREAKER_OPEN),
        (CHEAP, {"health": {"groq/llama": REFUSED}}, Exclusion.BREAKER_OPEN),
        (replace(CHEAP, context_window=8), {}, Exclusion.CONTEXT_WINDOW),
        (replace(CHEAP, context_window=8), {"keys": {"openai"}}, Exclusion.NO_KEY),
    ],
)
def test_a_candidate_is_left_out_with_its_reason(left_out, changes, expected):
    made = plan(left_out, DEAR, **changes)
    assert names(made) == ["openai/gpt"]
    assert reasons(made) == {"groq/llama": expected}


REFUSED_PARAMETERS = frozenset(
    {
        "function_call",
        "logit_bias",
        "logprobs",
        "modalities",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "top_logprobs",
        "user",
        "verbosity",
        "web_search_options",
    }
)
PICKY = replace(
    candidate("groq/llama"),
    provider=replace(candidate("groq/llama").provider, refused_parameters=REFUSED_PARAMETERS),
)


@pytest.mark.parametrize(
    ("asked", "lacking"),
    [
        (prompt(fields={"logit_bias": {"1": -100}}), {"logit_bias"}),
        (prompt(stream_options={"include_obfuscation": True}), {"stream_options"}),
        (prompt(fields={"logit_bias": {}}), None),
        (prompt(fields={"web_search_options": {}}), {"web_search_options"}),
        (prompt(fields={"top_logprobs": 0, "logprobs": False}), None),
        (prompt(fields={"top_logprobs": 1}), {"top_logprobs"}),
        (prompt(fields={"modalities": ["text"], "service_tier": "auto", "verbosity": "medium", "user": ""}), None),
        (prompt(fields={"modalities": ["text", "audio"]}), {"modalities"}),
        (prompt(fields={"service_tier": "flex"}), {"service_tier"}),
        (prompt(fields={"function_call": "auto", "safety_identifier": "", "store": False}), None),
        (prompt(fields={"logit_bias": None, "seed": 0}), None),
        (prompt(stream_options={"include_obfuscation": False}), None),
    ],
)
def test_who_refuses_a_parameter_that_asks_for_something_is_left_out(asked, lacking):
    made = plan(PICKY, candidate("openai/gpt"), asked=asked)
    assert [item.lacking for item in made.excluded] == ([lacking] if lacking else [])
    assert all(item.exclusion is Exclusion.LACKS_FEATURE for item in made.excluded)


TOGETHER = frozenset({Feature.TOOLS, Feature.JSON_SCHEMA})


@pytest.mark.parametrize(
    ("needs", "lacking"),
    [
        (TOGETHER, TOGETHER),
        (TOGETHER | {Feature.IMAGES}, TOGETHER),
        ({Feature.TOOLS}, None),
        ({Feature.JSON_SCHEMA, Feature.IMAGES}, None),
    ],
)
def test_who_does_two_things_but_not_together_is_left_out_where_both_are_needed(needs, lacking):
    one = candidate("groq/llama")
    one = replace(one, provider=replace(one.provider, apart=(TOGETHER,)))
    made = plan(one, candidate("openai/gpt"), asked=prompt(needs=frozenset(needs)))
    assert [item.lacking for item in made.excluded] == ([lacking] if lacking else [])


@pytest.mark.parametrize("needs", [{Feature.SEVERAL_CHOICES}, {Feature.TOOLS}, set()])
def test_what_a_candidate_turned_out_to_lack_leaves_it_out_where_it_is_needed(needs):
    found = {"groq/llama": frozenset({Feature.SEVERAL_CHOICES})}
    made = plan(CHEAP, DEAR, asked=prompt(needs=frozenset(needs)), found_lacking=found)
    assert ("groq/llama" in names(made)) is (Feature.SEVERAL_CHOICES not in needs)


def test_a_candidate_that_needs_no_key_is_not_left_out_for_having_none():
    assert names(plan(candidate("ollama/qwen", auth=KEYLESS), keys=set())) == ["ollama/qwen"]


@pytest.mark.parametrize(("until", "is_able"), [(LATER, False), (NOW, True), (NOW - timedelta(seconds=1), True)])
def test_an_open_breaker_is_skipped_until_its_time(until, is_able):
    made = plan(CHEAP, DEAR, health={"groq/llama": opened(OpenReason.FAILING, until)})
    assert ("groq/llama" in names(made)) is is_able


def test_a_prompt_that_just_fits_is_not_too_long():
    asked = prompt("x" * 4000)
    fits = replace(CHEAP, context_window=asked.estimated_tokens)
    assert names(plan(fits, asked=asked)) == ["groq/llama"]
    assert reasons(plan(replace(fits, context_window=asked.estimated_tokens - 1), asked=asked)) == {
        "groq/llama": Exclusion.CONTEXT_WINDOW
    }


def test_what_is_left_out_says_until_when_and_why():
    (excluded,) = plan(CHEAP, DEAR, health={"groq/llama": LIMITED}).excluded
    assert (excluded.open_reason, excluded.open_until) == (OpenReason.RATE_LIMITED, LATER)


def test_a_provider_that_is_switched_off_is_left_out_with_all_its_models():
    made = plan(CHEAP, MIDDLING, DEAR, switched_off={"openai"})
    assert names(made) == ["groq/llama"]
    assert reasons(made) == {"openai/mini": Exclusion.SWITCHED_OFF, "openai/gpt": Exclusion.SWITCHED_OFF}


def test_who_is_being_probed_by_another_is_left_out_until_that_probe_ends():
    health = {"groq/llama": opened(OpenReason.FAILING, NOW).probed(now=NOW, lease_s=10)}
    (excluded,) = plan(CHEAP, DEAR, health=health).excluded
    assert (excluded.exclusion, excluded.open_until) == (Exclusion.BREAKER_OPEN, LATER)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.CHEAPEST, ["openai/mini", "openai/gpt", "groq/llama"]),
        (Strategy.FASTEST, ["openai/gpt", "openai/mini", "groq/llama"]),
        (Strategy.PRIORITY, ["groq/llama", "openai/mini", "openai/gpt"]),
    ],
)
def test_who_usually_takes_longer_than_there_is_time_comes_last_unless_the_order_is_given(strategy, expected):
    facts = {
        "groq/llama": Facts(latency_ms=20_000),
        "openai/mini": Facts(latency_ms=9_000),
        "openai/gpt": Facts(latency_ms=900),
    }
    assert names(plan(CHEAP, MIDDLING, DEAR, facts=facts, time_s=10, strategy=strategy)) == expected
    assert names(plan(CHEAP, MIDDLING, facts=facts, time_s=20)) == ["groq/llama", "openai/mini"]


# Nobody is able.


def test_when_all_are_failing_the_best_one_is_tried_all_the_same():
    made = plan(DEAR, CHEAP, health={"groq/llama": FAILING, "openai/gpt": FAILING})
    assert names(made) == ["groq/llama"]
    assert made.is_forced
    assert reasons(made) == {"openai/gpt": Exclusion.BREAKER_OPEN}


def test_the_one_that_is_forced_is_failing_and_neither_rate_limited_nor_refused():
    health = {"groq/llama": LIMITED, "openai/mini": REFUSED, "openai/gpt": FAILING}
    made = plan(CHEAP, MIDDLING, DEAR, health=health)
    assert names(made) == ["openai/gpt"]


@pytest.mark.parametrize("closed_for", [LIMITED, REFUSED])
def test_nobody_is_forced_to_try_the_rate_limited_or_the_refused(closed_for):
    made = plan(CHEAP, DEAR, health={"groq/llama": closed_for, "openai/gpt": closed_for})
    assert made.places == ()
    assert {item.open_until for item in made.excluded} == {LATER}


def test_one_that_has_limited_us_for_long_enough_is_tried_beside_its_probe_where_there_is_nobody_else():
    probed = Health(reason=OpenReason.RATE_LIMITED, opened_at=NOW, open_until=NOW, probing_until=LATER)
    assert names(plan(CHEAP, health={"groq/llama": probed})) == ["groq/llama"]
    assert names(plan(CHEAP, DEAR, health={"groq/llama": probed})) == ["openai/gpt"]
    refused = replace(probed, reason=OpenReason.REFUSED)
    assert plan(CHEAP, health={"groq/llama": refused}).places == ()


def test_nobody_is_forced_without_a_key_or_a_window():
    made = plan(CHEAP, replace(DEAR, context_window=1), keys={"openai"}, health={"groq/llama": FAILING})
    assert made.places == ()
    assert reasons(made) == {"groq/llama": Exclusion.NO_KEY, "openai/gpt": Exclusion.CONTEXT_WINDOW}


# Plans of any kind.

rates = st.decimals(min_value=0, max_value=100, places=6)
prices = st.none() | st.builds(Price, rates, rates)
healths = st.sampled_from([Health(), FAILING, LIMITED, REFUSED, opened(OpenReason.FAILING, NOW)])
known = st.builds(
    Facts,
    latency_ms=st.none() | st.floats(1, 1e5),
    success_rate=st.sampled_from([0.5, 0.9, 1.0]),
    completion_tokens=st.integers(0, 5000),
)


@st.composite
def situations(draw):
    pairs = st.tuples(st.sampled_from(["groq", "openai", "mistral"]), st.integers(0, 2))
    chosen = [f"{host}/{number}" for host, number in draw(st.lists(pairs, min_size=1, max_size=6, unique=True))]
    windows = st.sampled_from([None, 5, 100_000])
    candidates = [candidate(name, usd=draw(prices), context_window=draw(windows)) for name in chosen]
    strategy = draw(st.sampled_from(Strategy))
    surroundings = Surroundings(
        now=NOW,
        providers_with_key=draw(st.sets(st.sampled_from(["groq", "openai", "mistral"]))),
        switched_off=draw(st.sets(st.sampled_from(["groq", "openai", "mistral"]))),
        health=draw(st.dictionaries(st.sampled_from(chosen), healths)),
        facts=draw(st.dictionaries(st.sampled_from(chosen), known)),
    )
    asked = prompt("x" * draw(st.integers(0, 400)), max_tokens=draw(st.none() | st.integers(1, 3000)))
    return asked, route(*candidates, strategy=strategy), surroundings


@settings(deadline=None)
@given(situations())
def test_every_candidate_is_in_the_plan_or_left_out_exactly_once(situation):
    asked, found, surroundings = situation
    made = routing.plan(asked, found, surroundings)
    told = [place.candidate for place in made.places] + [item.candidate for item in made.excluded]
    assert sorted(one.name for one in told) == sorted(one.name for one in found.candidates)


@settings(deadline=None)
@given(situations(), st.randoms())
def test_no_cheaper_candidate_stands_behind_a_dearer_one(situation, chance):
    asked, found, surroundings = situation
    shuffled = list(found.candidates)
    chance.shuffle(shuffled)
    asked = replace(asked, strategy=Strategy.CHEAPEST)
    made = routing.plan(asked, replace(found, candidates=tuple(shuffled)), surroundings)
    costs = [fraction_of_usd(one, asked, surroundings) for one in made.candidates]
    assert costs == sorted(costs)


def fraction_of_usd(one, asked, surroundings):
    if one.price is None:
        return float("inf")
    facts = surroundings.facts.get(one.name, Facts())
    completion = min(facts.completion_tokens, facts.completion_tokens if asked.max_tokens is None else asked.max_tokens)
    prompt_usd = asked.estimated_tokens * Fraction(one.price.input)
    return (prompt_usd + completion * Fraction(one.price.output)) / 10**6


@settings(deadline=None)
@given(situations())
def test_who_is_able_is_never_left_out(situation):
    asked, found, surroundings = situation
    made = routing.plan(asked, found, surroundings)
    able = {
        one.name
        for one in found.candidates
        if one.provider.name in surroundings.providers_with_key
        and one.provider.name not in surroundings.switched_off
        and surroundings.health.get(one.name, Health()).closed_until(NOW) is None
        and (one.context_window is None or asked.estimated_tokens <= one.context_window)
    }
    assert able <= set(names(made))
    assert not able or able == set(names(made))
    assert able or len(made.places) <= 1


@settings(deadline=None)
@given(situations())
def test_the_same_situation_gives_the_same_plan(situation):
    assert routing.plan(*situation) == routing.plan(*situation)


def test_expected_costs_are_exact():
    found = routing.expected_usd(DEAR, prompt("x" * 368, max_tokens=10), at=NOW)
    assert found == Decimal(100 * 5 + 10 * 15) / 10**6
