"""Sums over the ledger: the same whatever the order and the portions, and a correction nets to what is true."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW, UNKNOWN_COST, attempt, ended_records, record, usd
from llm_router import contributions, rollups, sketch
from llm_router.infrastructure import InfrastructurePrices
from llm_router.rollups import ALL, Increments, Kind, Period
from llm_router.usage import CostBasis, Outcome, RecordState, TokenUsage, TrimKind, Trimming, Trying

PRICES = InfrastructurePrices()
TOTAL = (Period.TOTAL, "", Kind.ALL, ALL)
UNSETTLED = (RecordState.UNSETTLED, RecordState.CORRECTED)
records = ended_records()


def summed(*several):
    """Every sum that is not nothing, by period, start, kind and name."""
    increments = Increments()
    for one in several:
        increments.merge(contributions.increments(one, PRICES))
    return without_zeros(
        {
            (key.period, key.start, key.kind, name): counters
            for key, sums in increments.by_key().items()
            for name, counters in sums.items()
        }
    )


def total_of(name, kind=Kind.CANDIDATE):
    return (Period.TOTAL, "", kind, name)


def without_zeros(by_key):
    kept = {key: {name: value for name, value in counters.items() if value} for key, counters in by_key.items()}
    return {key: counters for key, counters in kept.items() if counters}


@st.composite
def corrections(draw):
    """A record that was given up, and the real end that replaces it; both as the journal then holds them."""
    before = draw(ended_records(states=[RecordState.UNSETTLED]))
    real = draw(ended_records(states=[RecordState.SETTLED]))
    after = replace(real, opened_at=before.opened_at, replaces=before)
    return replace(before, state=RecordState.CORRECTED), after


# An independent computation of the totals.


def fraction(amount):
    return Fraction(0) if amount is None else Fraction(amount)


def known_usd(attempts):
    return sum((fraction(each.cost.usd) for each in attempts), Fraction(0))


def wasted_usd(attempts):
    return known_usd(each for each in attempts if each.outcome is not Outcome.SUCCESS)


def upper_usd(tryings):
    return sum((fraction(each.upper_usd) for each in tryings), Fraction(0))


def tryings_given_up(several):
    return [one.trying for one in several if one.state in UNSETTLED and one.trying]


def expected_savings(served):
    compared = [one for one in served if one.attempts[-1].cost.usd is not None and one.baseline_usd is not None]
    less = sum((fraction(one.baseline_usd) - fraction(one.attempts[-1].cost.usd) for one in compared), Fraction(0))
    return {"savings_usd": less, "compared": len(compared)}


def expected_trimming(served):
    trimmed = [one.trimming for one in served if one.trimming and one.trimming.before != one.trimming.after]
    return {
        "trimmed": len(trimmed),
        "trimmed_tokens": sum(each.before - each.after for each in trimmed),
        "trimmed_usd": sum((fraction(each.saved_usd) for each in trimmed), Fraction(0)),
    }


def expected_totals(several):
    tried = [each for one in several for each in one.attempts]
    counted = [each.tokens for each in tried if each.tokens]
    bases = [one.cost.basis for one in several]
    served = [one for one in several if one.attempts and one.attempts[-1].outcome is Outcome.SUCCESS]
    found = {
        "requests": len(several),
        "successes": len(served),
        "failures": len(several) - len(served),
        "unsettled": sum(one.state in UNSETTLED for one in several),
        "prompt_tokens": sum(tokens.prompt for tokens in counted),
        "cached_prompt_tokens": sum(tokens.cached_prompt for tokens in counted),
        "cache_write_tokens": sum(tokens.cache_write for tokens in counted),
        "completion_tokens": sum(tokens.completion for tokens in counted),
        "reasoning_tokens": sum(tokens.reasoning for tokens in counted),
        "cost_usd": known_usd(tried) + upper_usd(tryings_given_up(several)),
        "waste_usd": wasted_usd(tried),
        **expected_savings(served),
        **expected_trimming(served),
        **{f"cost_{basis}": bases.count(basis) for basis in CostBasis},
    }
    for one in served:
        if one.latency_ms is not None:
            name = f"latency_{sketch.bucket(one.latency_ms)}"
            found[name] = found.get(name, 0) + 1
    return {name: value for name, value in found.items() if value}


SAYS_NOTHING_AGAINST_IT = {
    Outcome.SUCCESS,
    Outcome.CONTEXT_LENGTH,
    Outcome.CONTENT_FILTER,
    Outcome.BAD_REQUEST,
    Outcome.UNSUITED,
    Outcome.OUT_OF_TIME,
    Outcome.ABANDONED,
    Outcome.UNSENT,
}


def expected_of_candidate(several, name):
    tried = [each for one in several for each in one.attempts if each.candidate == name]
    given_up = [each for each in tryings_given_up(several) if each.candidate == name]
    served = [one for one in several if one.attempts and one.attempts[-1].outcome is Outcome.SUCCESS]
    mine = [one for one in served if one.attempts[-1].candidate == name and one.counted_tokens is not None]
    counted = [one for one in mine if one.attempts[-1].cost.basis is CostBasis.EXACT and one.attempts[-1].tokens]
    found = {
        "counted_tokens": sum(one.counted_tokens for one in counted),
        "reported_tokens": sum(one.attempts[-1].tokens.prompt for one in counted),
        "requests": sum(one.attempts[-1].candidate == name for one in served),
        "attempts": len(tried) + len(given_up),
        "failed_attempts": sum(each.outcome not in SAYS_NOTHING_AGAINST_IT for each in tried) + len(given_up),
        "cost_usd": known_usd(tried) + upper_usd(given_up),
        "waste_usd": wasted_usd(tried),
        "prompt_tokens": sum(each.tokens.prompt for each in tried if each.tokens),
        "completion_tokens": sum(each.tokens.completion for each in tried if each.tokens),
    }
    return {counter: value for counter, value in found.items() if value}


@settings(deadline=None)
@given(st.lists(records, max_size=3))
def test_the_total_is_what_the_records_add_up_to(several):
    assert summed(*several).get(TOTAL, {}) == expected_totals(several)


@settings(deadline=None)
@given(st.lists(records, max_size=3))
def test_a_candidates_sums_are_those_of_its_own_attempts(several):
    sums = summed(*several)
    for name in {name for _, _, kind, name in sums if kind is Kind.CANDIDATE}:
        found = sums[total_of(name)]
        expected = expected_of_candidate(several, name)
        assert {counter: found[counter] for counter in expected} == expected


@settings(deadline=None)
@given(st.lists(records, max_size=3), st.randoms())
def test_the_order_of_records_changes_nothing(several, chance):
    shuffled = list(several)
    chance.shuffle(shuffled)
    assert summed(*shuffled) == summed(*several)


@settings(deadline=None)
@given(st.lists(records, max_size=3), st.integers(0, 3))
def test_the_portions_in_which_records_come_change_nothing(several, place):
    first, second = summed(*several[:place]), summed(*several[place:])
    together = {key: rollups.summed([first.get(key, {}), second.get(key, {})]) for key in first.keys() | second.keys()}
    assert without_zeros(together) == summed(*several)


@settings(deadline=None)
@given(corrections())
def test_a_correction_leaves_the_sums_as_if_the_real_end_had_come_in_time(correction):
    before, after = correction
    assert summed(before, after) == summed(replace(after, replaces=None))


@settings(deadline=None)
@given(corrections())
def test_a_correction_counts_the_same_whether_the_estimate_was_counted_before_or_after_it_was_marked(correction):
    before, after = correction
    assert summed(replace(before, state=RecordState.UNSETTLED), after) == summed(before, after)


@settings(deadline=None)
@given(st.lists(records, max_size=3))
def test_the_hours_and_the_days_add_up_to_the_total(several):
    sums = summed(*several)
    for whose in {key[2:] for key in sums}:
        total = sums.get((Period.TOTAL, "", *whose), {})
        for period in (Period.HOUR, Period.DAY):
            parts = [counters for key, counters in sums.items() if (key[0], key[2:]) == (period, whose)]
            assert {name: value for name, value in rollups.summed(parts).items() if value} == total


@settings(deadline=None)
@given(st.lists(records, max_size=3), records | corrections().map(lambda pair: pair[1]))
def test_how_many_rollups_a_record_will_touch_is_known_before(several, one):
    increments = Increments()
    for other in several:
        increments.merge(contributions.increments(other, PRICES))
    more = contributions.increments(one, PRICES)
    expected = increments.keys_with(more)
    increments.merge(more)
    assert len(increments.by_key()) == expected


def test_hours_and_days_are_those_of_opening_in_utc():
    late = record(at=datetime(2026, 11, 23, 23, 59, 59, 999999, tzinfo=UTC))
    touched = {key[:2] for key in summed(late) if key[2] is Kind.ALL}
    assert touched == {("total", ""), ("day", "2026-11-23"), ("hour", "2026-11-23T23")}


@pytest.mark.parametrize("outcome", Outcome)
def test_only_what_speaks_against_the_provider_is_a_failed_attempt(outcome):
    sums = summed(record(attempt("groq/llama", outcome)))[total_of("groq/llama")]
    assert sums.get("failed_attempts", 0) == (0 if outcome in SAYS_NOTHING_AGAINST_IT else 1)
    assert sums["attempts"] == 1


def test_the_known_part_of_an_unknown_cost_counts_and_the_unknown_is_counted_beside_it():
    sums = summed(record(attempt(outcome=Outcome.CUT, cost=UNKNOWN_COST), attempt("openai/gpt", cost=usd("0.25"))))[
        TOTAL
    ]
    assert (sums["cost_usd"], sums["cost_unknown"], sums.get("cost_exact", 0)) == (Decimal("0.25"), 1, 0)


def test_what_failed_attempts_cost_is_waste():
    failed = attempt(outcome=Outcome.MALFORMED, cost=usd("0.1"), tokens=TokenUsage(10, 0))
    sums = summed(record(failed, attempt("openai/gpt", cost=usd("0.2"))))
    assert sums[TOTAL]["waste_usd"] == Decimal("0.1")
    assert sums[total_of("groq/llama")]["waste_usd"] == Decimal("0.1")
    assert "waste_usd" not in sums[total_of("openai/gpt")]


def test_latency_is_counted_where_a_request_was_served():
    failed = attempt("groq/llama", Outcome.TIMEOUT, latency_ms=9000)
    served = attempt("openai/gpt", latency_ms=100)
    sums = summed(record(failed, served, latency_ms=9100))
    assert rollups.latency_counts(sums[TOTAL]) == {sketch.bucket(9100): 1}
    assert rollups.latency_counts(sums[total_of("openai/gpt")]) == {sketch.bucket(100): 1}
    assert rollups.latency_counts(sums[total_of("groq/llama")]) == {}


def test_a_request_that_died_counts_at_its_upper_estimate():
    died = record(
        attempt(outcome=Outcome.TIMEOUT),
        state=RecordState.UNSETTLED,
        trying=Trying("openai/gpt", Decimal("0.4")),
        latency_ms=None,
    )
    sums = summed(died)
    assert sums[TOTAL]["cost_usd"] == Decimal("0.4")
    assert sums[TOTAL]["unsettled"] == sums[TOTAL]["failures"] == 1
    assert sums[total_of("openai/gpt")]["failed_attempts"] == 1


def test_what_nets_to_nothing_is_no_latency():
    assert rollups.latency_counts({"latency_46": 0, "latency_47": Decimal(2), "requests": 2}) == {47: 2}


@pytest.mark.parametrize("at", [NOW, datetime(2030, 1, 1, tzinfo=UTC)])
def test_an_answer_is_one_request_one_success_and_its_tokens(at):
    sums = summed(record(at=at))[TOTAL]
    assert sums == expected_totals([record(at=at)])
    assert sums["requests"] == sums["successes"] == 1
    assert (sums["prompt_tokens"], sums["completion_tokens"]) == (10, 5)


def test_a_requests_route_key_and_tags_have_its_sums_and_its_key_has_its_candidates():
    sums = summed(record(route="fast", key_id="abc", metadata={"team": "search", "env": "prod"}))
    whole, part = sums[TOTAL], sums[total_of("groq/llama")]
    assert {key[2:] for key in sums if sums[key] == whole} == {
        (Kind.ALL, ALL),
        (Kind.ROUTE, "fast"),
        (Kind.KEY, "abc"),
        (Kind.TAG, "team=search"),
        (Kind.TAG, "env=prod"),
    }
    assert {key[2:] for key in sums if sums[key] == part} == {
        (Kind.CANDIDATE, "groq/llama"),
        (Kind.KEY_CANDIDATE, "abc/groq/llama"),
    }


def test_of_many_tags_the_first_by_name_are_summed_and_long_values_by_their_beginning():
    metadata = {f"t{number}": "x" * 100 for number in range(9)}
    assert contributions.tags(metadata) == [f"t{number}={'x' * 64}" for number in range(contributions.TAGS_AT_MOST)]


def test_savings_are_what_the_baseline_would_have_cost_less_what_was_paid():
    cheaper = record(attempt(cost=usd("0.2")), baseline_usd=Decimal("0.5"))
    dearer = record(attempt(cost=usd("0.2")), baseline_usd=Decimal("0.1"))
    without = record(attempt(cost=usd("0.2")))
    sums = summed(cheaper, dearer, without)[TOTAL]
    assert (sums["savings_usd"], sums["compared"]) == (Decimal("0.2"), 2)


@pytest.mark.parametrize(
    "one",
    [
        record(attempt(outcome=Outcome.CUT), baseline_usd=Decimal(1)),
        record(attempt(cost=UNKNOWN_COST), baseline_usd=Decimal(1)),
    ],
    ids=["failed", "of unknown cost"],
)
def test_what_cannot_be_compared_saves_nothing(one):
    assert "savings_usd" not in summed(one)[TOTAL]


def test_what_a_request_costs_beside_its_tokens_is_summed_apart():
    sums = summed(record(latency_ms=1000, memory_mb=512))[TOTAL]
    expected = PRICES.gb_second / 2 + PRICES.lambda_request + PRICES.gateway_request + 2 * PRICES.table_write
    assert (sums["infrastructure_usd"], sums["on_lambda"]) == (expected, 1)
    assert sums["cost_usd"] == record().cost.usd


def test_where_no_lambda_function_served_nothing_is_counted_for_one():
    assert "infrastructure_usd" not in summed(record())[TOTAL]


TRIMMED = Trimming(TrimKind.TRIM, before=9000, after=6000, limit=6000, saved_usd=Decimal("0.0015"))


def test_what_was_left_out_of_prompts_is_summed_with_what_it_would_have_cost():
    unpriced = replace(TRIMMED, saved_usd=None)
    sums = summed(record(trimming=TRIMMED), record(trimming=unpriced), record())[TOTAL]
    assert (sums["trimmed"], sums["trimmed_tokens"], sums["trimmed_usd"]) == (2, 6000, Decimal("0.0015"))


@pytest.mark.parametrize(
    "one",
    [
        record(attempt(outcome=Outcome.CUT), trimming=TRIMMED),
        record(trimming=replace(TRIMMED, kind=TrimKind.KEPT, after=9000)),
    ],
    ids=["failed", "kept as it was"],
)
def test_a_trim_that_saved_nothing_is_not_counted(one):
    assert "trimmed" not in summed(one)[TOTAL]


def test_the_routers_own_count_is_summed_beside_the_providers():
    served = attempt(tokens=TokenUsage(prompt=1200, completion=5))
    sums = summed(record(served, counted_tokens=1000), record(served))[total_of("groq/llama")]
    assert (sums["counted_tokens"], sums["reported_tokens"]) == (1000, 1200)


def test_a_count_that_is_itself_an_estimate_teaches_nothing():
    estimated = attempt(cost=usd(basis=CostBasis.ESTIMATED))
    assert "counted_tokens" not in summed(record(estimated, counted_tokens=1000))[total_of("groq/llama")]
