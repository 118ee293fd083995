"""What follows from an attempt: the failover table, row by row, and the walk through a plan."""

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from builders import OUTCOMES, attempt, candidate, route
from llm_router import failover
from llm_router.failover import (
    ATTEMPTS_A_CANDIDATE,
    ATTEMPTS_A_REQUEST,
    RETRY_PAUSE_S,
    RULES,
    SHORTEST_ATTEMPT_S,
    BreakerEffect,
    Step,
)
from llm_router.usage import Outcome

FIRST = candidate("groq/small", context_window=8_000)
SIBLING = candidate("groq/large", context_window=32_000)
OTHER = candidate("openai/gpt", context_window=4_000)
PLAN = (FIRST, SIBLING, OTHER)
LONG_S = 60.0

AGAIN_AT_ONCE = Step(FIRST, fresh=True)
AGAIN_AFTER_A_PAUSE = Step(FIRST, RETRY_PAUSE_S)
ON_TO_NEXT = Step(SIBLING)
ON_TO_ANOTHER_PROVIDER = Step(OTHER)

# What the first candidate's first failure, and then its second, or the next candidate's first of the same kind, lead
# to; and what it does to the breaker.
TABLE = {
    Outcome.CONNECTION_LOST: (AGAIN_AT_ONCE, ON_TO_NEXT, BreakerEffect.NONE),
    Outcome.UNREACHABLE: (AGAIN_AT_ONCE, ON_TO_NEXT, BreakerEffect.COUNTS),
    Outcome.SERVER_ERROR: (AGAIN_AFTER_A_PAUSE, ON_TO_NEXT, BreakerEffect.COUNTS),
    Outcome.OVERLOADED: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.COUNTS),
    Outcome.RATE_LIMITED: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.RATE_LIMITED),
    Outcome.TIMEOUT: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.COUNTS),
    Outcome.OUT_OF_TIME: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.NONE),
    Outcome.CUT: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.COUNTS),
    Outcome.MALFORMED: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.COUNTS),
    Outcome.REFUSED: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.REFUSED),
    Outcome.CONTEXT_LENGTH: (ON_TO_NEXT, None, BreakerEffect.NONE),
    Outcome.CONTENT_FILTER: (None, None, BreakerEffect.NONE),
    Outcome.BAD_REQUEST: (ON_TO_ANOTHER_PROVIDER, None, BreakerEffect.NONE),
    Outcome.UNSUITED: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.NONE),
    Outcome.STREAM_REFUSED: (AGAIN_AT_ONCE, ON_TO_NEXT, BreakerEffect.NONE),
    Outcome.ABANDONED: (None, None, BreakerEffect.NONE),
    Outcome.UNSENT: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.NONE),
    Outcome.UNKNOWN: (ON_TO_NEXT, ON_TO_ANOTHER_PROVIDER, BreakerEffect.NONE),
}


def step(*attempts, plan=PLAN, remaining_s=LONG_S, is_open=False, **of_route):
    found = route(*plan, **of_route)
    return failover.next_step(plan, route=found, attempts=attempts, remaining_s=remaining_s, is_open=is_open)


def failed(tried, outcome, **changes):
    return attempt(tried.name, outcome, **changes)


def test_every_failure_has_a_row():
    assert TABLE.keys() == set(Outcome) - {Outcome.SUCCESS}
    assert RULES.keys() == set(Outcome)


@pytest.mark.parametrize("outcome", TABLE)
def test_the_first_failure_leads_where_its_row_says(outcome):
    first_step, _, _ = TABLE[outcome]
    assert step(failed(FIRST, outcome)) == first_step


@pytest.mark.parametrize("outcome", TABLE)
def test_the_second_failure_leads_where_its_row_says(outcome):
    first_step, second_step, _ = TABLE[outcome]
    if first_step is not None:
        assert step(failed(FIRST, outcome), failed(first_step.candidate, outcome)) == second_step


@pytest.mark.parametrize("outcome", TABLE)
def test_a_candidate_whose_breaker_has_opened_is_tried_again_only_where_nobody_else_is_left(outcome):
    first_step, second_step, _ = TABLE[outcome]
    is_repeated = first_step is not None and first_step.candidate is FIRST
    assert step(failed(FIRST, outcome), is_open=True) == (second_step if is_repeated else first_step)
    assert step(failed(FIRST, outcome), plan=(FIRST,), is_open=True) == step(failed(FIRST, outcome), plan=(FIRST,))


@pytest.mark.parametrize("outcome", TABLE)
def test_the_breaker_learns_what_the_row_says(outcome):
    assert RULES[outcome].breaker is TABLE[outcome][2]


def test_an_answer_closes_the_breaker():
    assert RULES[Outcome.SUCCESS].breaker is BreakerEffect.CLOSES


@pytest.mark.parametrize("before", [(), (failed(FIRST, Outcome.TIMEOUT),)])
def test_nothing_follows_an_answer(before):
    served = SIBLING if before else FIRST
    assert step(*before, attempt(served.name)) is None


def test_the_plans_first_candidate_is_tried_first():
    assert step() == Step(FIRST)


def test_an_empty_plan_leads_nowhere():
    assert step(plan=()) is None


# Rate limits.


def limited(wait_s, tried=FIRST):
    return failed(tried, Outcome.RATE_LIMITED, retry_after_s=wait_s)


@pytest.mark.parametrize(
    ("wait_s", "max_wait_s", "expected"),
    [
        (2.0, 0.0, ON_TO_NEXT),
        (2.0, 1.9, ON_TO_NEXT),
        (2.0, 2.0, Step(FIRST, 2.0)),
        (None, 0.0, ON_TO_NEXT),
        (None, 1.0, Step(FIRST, RETRY_PAUSE_S)),
    ],
)
def test_a_rate_limited_candidate_is_waited_for_only_as_long_as_the_route_says(wait_s, max_wait_s, expected):
    assert step(limited(wait_s), max_wait_s=max_wait_s) == expected


@pytest.mark.parametrize(("wait_s", "expected"), [(20.0, Step(FIRST, 20.0)), (None, Step(FIRST, RETRY_PAUSE_S))])
def test_a_rate_limited_candidate_is_waited_for_when_no_other_is_able(wait_s, expected):
    assert step(limited(wait_s), plan=(FIRST,)) == expected
    assert step(limited(wait_s), limited(wait_s), plan=(FIRST,)) is None


@pytest.mark.parametrize("wait_s", [10.0, 30.0, 1e300])
def test_nobody_waits_past_the_deadline(wait_s):
    assert step(limited(wait_s), plan=(FIRST,), remaining_s=10.0) is None
    assert step(limited(wait_s), max_wait_s=1e301, remaining_s=10.0) == ON_TO_NEXT


# Context length, content filter, bad requests.


@pytest.mark.parametrize(
    ("refusing", "window", "is_tried"),
    [(8_000, 8_001, True), (8_000, 8_000, False), (8_000, 4_000, False), (8_000, None, True), (None, 8_000, False)],
)
def test_a_prompt_that_is_too_long_goes_only_to_a_larger_window(refusing, window, is_tried):
    plan = (candidate("groq/a", context_window=refusing), candidate("openai/b", context_window=window))
    found = step(failed(plan[0], Outcome.CONTEXT_LENGTH), plan=plan)
    assert found == (Step(plan[1]) if is_tried else None)


def test_a_route_may_move_on_after_a_content_filter():
    filtered = failed(FIRST, Outcome.CONTENT_FILTER)
    assert step(filtered, moves_on_after_content_filter=True) == ON_TO_NEXT


def test_a_content_filter_ends_the_walk_whatever_came_before():
    assert step(failed(FIRST, Outcome.TIMEOUT), failed(SIBLING, Outcome.CONTENT_FILTER)) is None


def test_a_bad_request_is_not_offered_to_a_third_provider():
    plan = (FIRST, OTHER, candidate("mistral/c"))
    assert step(failed(FIRST, Outcome.BAD_REQUEST), failed(OTHER, Outcome.BAD_REQUEST), plan=plan) is None


def test_a_bad_request_leaves_every_candidate_of_its_provider_out():
    plan = (FIRST, SIBLING, candidate("groq/third"))
    assert step(failed(FIRST, Outcome.BAD_REQUEST), plan=plan) is None


# Time.


@pytest.mark.parametrize("history", [(), (failed(FIRST, Outcome.TIMEOUT),), (failed(FIRST, Outcome.UNREACHABLE),)])
def test_no_attempt_starts_that_cannot_finish(history):
    assert step(*history, remaining_s=SHORTEST_ATTEMPT_S - 0.01) is None
    assert step(*history, remaining_s=SHORTEST_ATTEMPT_S) is not None


def test_where_there_is_no_time_for_a_pause_the_next_candidate_is_tried():
    tight_s = RETRY_PAUSE_S + SHORTEST_ATTEMPT_S
    assert step(failed(FIRST, Outcome.SERVER_ERROR), remaining_s=tight_s) == ON_TO_NEXT
    assert step(failed(FIRST, Outcome.SERVER_ERROR), plan=(FIRST,), remaining_s=tight_s) is None


@pytest.mark.parametrize(
    ("remaining_s", "others_left", "turn_s"),
    [(28.0, False, 28.0), (28.0, True, 18.0), (8.0, True, 4.0)],
)
def test_an_attempt_leaves_the_next_candidate_enough_time(remaining_s, others_left, turn_s):
    assert failover.turn_s(remaining_s=remaining_s, others_left=others_left) == turn_s


@settings(deadline=None)
@given(st.floats(0.5, 900), st.booleans())
def test_a_turn_never_passes_the_deadline(remaining_s, others_left):
    turn_s = failover.turn_s(remaining_s=remaining_s, others_left=others_left)
    assert 0 < turn_s <= remaining_s
    if others_left:
        assert remaining_s - turn_s >= min(failover.RESERVED_FOR_NEXT_S, remaining_s / 2) * (1 - 1e-9)


# The whole walk, over plans and outcomes of any kind.

windows = st.none() | st.sampled_from([4_000, 8_000, 32_000])
pairs = st.lists(
    st.tuples(st.sampled_from(["groq", "openai", "mistral"]), st.integers(0, 3)), min_size=1, max_size=8, unique=True
)
FAILURES = OUTCOMES.filter(lambda outcome: outcome is not Outcome.SUCCESS)


@st.composite
def walks(draw, outcomes=FAILURES):
    """A plan, a route, and all attempts until nothing follows, each step with its outcome drawn from `outcomes`."""
    plan = tuple(candidate(f"{host}/{number}", context_window=draw(windows)) for host, number in draw(pairs))
    found = route(
        *plan,
        max_wait_s=draw(st.sampled_from([0.0, 5.0])),
        moves_on_after_content_filter=draw(st.booleans()),
    )
    remaining_s = draw(st.floats(0, 60))
    history = []
    while following := failover.next_step(plan, route=found, attempts=history, remaining_s=remaining_s):
        assert len(history) < ATTEMPTS_A_REQUEST
        remaining_s -= following.pause_s
        wait_s = draw(st.none() | st.floats(0, 20))
        history.append(failed(following.candidate, draw(outcomes), retry_after_s=wait_s))
        remaining_s -= draw(st.floats(0, 10))
    return found, history


@settings(deadline=None)
@given(walks())
def test_a_walk_ends_within_six_attempts_and_two_a_candidate(walk):
    _, history = walk
    tried = [one.candidate for one in history]
    assert len(tried) <= ATTEMPTS_A_REQUEST == 6
    assert all(tried.count(name) <= ATTEMPTS_A_CANDIDATE == 2 for name in tried)


@settings(deadline=None)
@given(walks())
def test_a_candidate_is_left_for_good(walk):
    """Both tries of a candidate follow each other; nobody goes back."""
    _, history = walk
    names = [one.candidate for one in history]
    changes = [name for name, following in pairwise([*names, None]) if name != following]
    assert len(changes) == len(set(changes))


@settings(deadline=None)
@given(walks())
def test_candidates_are_tried_in_the_plans_order(walk):
    found, history = walk
    order = [one.name for one in found.candidates]
    places = [order.index(one.candidate) for one in history]
    assert places == sorted(places)


@settings(deadline=None)
@given(walks())
def test_only_what_may_pass_by_itself_is_tried_again(walk):
    _, history = walk
    for one, following in pairwise(history):
        if one.candidate == following.candidate:
            assert one.outcome in {
                Outcome.CONNECTION_LOST,
                Outcome.UNREACHABLE,
                Outcome.SERVER_ERROR,
                Outcome.RATE_LIMITED,
                Outcome.STREAM_REFUSED,
            }


@settings(deadline=None)
@given(walks())
def test_nothing_follows_a_content_filter_unless_the_route_says_so(walk):
    found, history = walk
    assume(not found.moves_on_after_content_filter)
    assert all(one.outcome is not Outcome.CONTENT_FILTER for one in history[:-1])


@settings(deadline=None)
@given(walks())
def test_nothing_smaller_follows_a_prompt_that_is_too_long(walk):
    found, history = walk
    window = {one.name: one.context_window for one in found.candidates}
    for place, one in enumerate(history):
        if one.outcome is Outcome.CONTEXT_LENGTH:
            refused = window[one.candidate]
            assert all(
                window[later.candidate] is None or window[later.candidate] > refused for later in history[place + 1 :]
            )


@settings(deadline=None)
@given(walks())
def test_two_providers_at_most_call_a_request_bad(walk):
    _, history = walk
    refusing = [one.provider for one in history if one.outcome is Outcome.BAD_REQUEST]
    assert len(refusing) <= 2
    assert len(set(refusing)) == len(refusing)


@settings(deadline=None)
@given(walks(st.sampled_from([Outcome.TIMEOUT, Outcome.OVERLOADED, Outcome.MALFORMED, Outcome.REFUSED])))
def test_while_time_is_left_no_able_candidate_is_passed_over(walk):
    """But where the attempts run out, a provider that was not asked yet comes before another model of one that was."""
    found, history = walk
    order = [one.name for one in found.candidates]
    if len(order) <= failover.ATTEMPTS_A_REQUEST:
        assert [one.candidate for one in history] == order[: len(history)]


@pytest.mark.parametrize(
    "outcome", [Outcome.SERVER_ERROR, Outcome.UNREACHABLE, Outcome.CONNECTION_LOST, Outcome.REFUSED]
)
@pytest.mark.parametrize("models", range(1, 9))
def test_a_provider_with_many_models_never_uses_up_the_attempts_of_the_others(outcome, models):
    plan = (*(candidate(f"groq/m{number}") for number in range(models)), candidate("openai/gpt"))
    history = []
    while (found := step(*history, plan=plan)) is not None and found.candidate.name != "openai/gpt":
        history.append(failed(found.candidate, outcome))
    assert found is not None
    assert len(history) < failover.ATTEMPTS_A_REQUEST
