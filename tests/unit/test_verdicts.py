"""Which one error a caller gets when no candidate could serve."""

from datetime import timedelta

import pytest

from builders import NOW, attempt, candidate
from llm_router import verdicts
from llm_router.candidates import Feature
from llm_router.health import OpenReason
from llm_router.routing import Excluded, Exclusion, Place, Plan
from llm_router.usage import Outcome

FIRST, SECOND = candidate("groq/small"), candidate("openai/gpt")
LIMITED, FAILED, REFUSED = Outcome.RATE_LIMITED, Outcome.SERVER_ERROR, Outcome.BAD_REQUEST
UNSUITED = Outcome.UNSUITED


def verdict(*outcomes, excluded=(), in_time=True, places=(FIRST, SECOND), **of_attempts):
    places = tuple(Place(one, None, "") for one in places)
    tried = [attempt(one.name, outcome, **of_attempts) for one, outcome in zip((FIRST, SECOND), outcomes, strict=False)]
    return verdicts.error(Plan(places, tuple(excluded)), tried, now=NOW, in_time=in_time)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((FAILED, FAILED), "all_providers_failed"),
        ((LIMITED, FAILED), "all_providers_failed"),
        ((LIMITED, LIMITED), "no_provider_available"),
        ((LIMITED,), "no_provider_available"),
        ((FAILED, Outcome.CONTENT_FILTER), "content_filter"),
        ((Outcome.CONTEXT_LENGTH,), "context_length_exceeded"),
        ((Outcome.CONTEXT_LENGTH, FAILED), "all_providers_failed"),
        ((REFUSED, REFUSED), "invalid_request"),
        ((REFUSED,), "invalid_request"),
        ((REFUSED, FAILED), "all_providers_failed"),
        ((UNSUITED,), "invalid_request"),
        ((UNSUITED, UNSUITED), "invalid_request"),
        ((UNSUITED, FAILED), "all_providers_failed"),
        ((UNSUITED, LIMITED), "no_provider_available"),
        ((UNSUITED, REFUSED), "invalid_request"),
        ((UNSUITED, Outcome.CONTEXT_LENGTH), "context_length_exceeded"),
        ((Outcome.UNSENT, Outcome.UNSENT), "all_providers_failed"),
        ((Outcome.UNSENT, REFUSED), "invalid_request"),
        ((Outcome.UNSENT, LIMITED), "no_provider_available"),
        ((Outcome.UNSENT, UNSUITED), "invalid_request"),
        ((Outcome.STREAM_REFUSED, REFUSED), "invalid_request"),
        ((Outcome.STREAM_REFUSED, Outcome.CONTEXT_LENGTH), "context_length_exceeded"),
        ((Outcome.STREAM_REFUSED, LIMITED), "no_provider_available"),
        ((Outcome.STREAM_REFUSED, UNSUITED), "invalid_request"),
        ((Outcome.STREAM_REFUSED, Outcome.STREAM_REFUSED), "all_providers_failed"),
    ],
)
def test_the_attempts_decide_on_the_error(outcomes, code):
    assert verdict(*outcomes).code == code


@pytest.mark.parametrize("held_in", ["prompt", "messages"])
def test_a_prompt_that_is_too_long_is_named_as_its_door_calls_it(held_in):
    tried = [attempt(FIRST.name, Outcome.CONTEXT_LENGTH)]
    told = verdicts.error(Plan((Place(FIRST, None, ""),), ()), tried, now=NOW, in_time=True, held_in=held_in)
    assert (told.code, told.param) == ("context_length_exceeded", held_in)


def test_a_parameter_that_nobody_takes_is_named():
    left_out = Excluded(FIRST, Exclusion.LACKS_FEATURE, lacking=frozenset({"logit_bias", Feature.TOOLS}))
    told = verdict(excluded=[left_out])
    assert (told.code, told.param) == ("invalid_request", "logit_bias")
    assert told.message.endswith("can do: logit_bias, tools.")


def test_a_request_that_suits_nobody_is_told_what_to_change():
    assert verdict(UNSUITED, UNSUITED, param="max_tokens").param == "max_tokens"


@pytest.mark.parametrize(
    ("outcomes", "code"), [((FAILED,), "deadline_exceeded"), ((LIMITED,), "no_provider_available")]
)
def test_where_the_time_ran_out_that_is_said_unless_coming_again_would_help(outcomes, code):
    assert verdict(*outcomes, in_time=False).code == code


@pytest.mark.parametrize(("retry_after_s", "told_s"), [(None, 5), (0.0, 1), (2.5, 3), (30.0, 30), (1e9, 60)], ids=str)
def test_who_is_limited_everywhere_is_told_when_to_come_again(retry_after_s, told_s):
    assert verdict(LIMITED, retry_after_s=retry_after_s).retry_after_s == told_s


def test_the_soonest_counts_also_of_those_who_were_left_alone():
    left_alone = Excluded(
        SECOND,
        Exclusion.BREAKER_OPEN,
        open_reason=OpenReason.RATE_LIMITED,
        open_until=NOW + timedelta(seconds=7),
    )
    assert verdict(LIMITED, excluded=[left_alone], retry_after_s=30.0).retry_after_s == 7


def left_out(one, exclusion, *, open_for_s=None):
    until = None if open_for_s is None else NOW + timedelta(seconds=open_for_s)
    return Excluded(one, exclusion, open_until=until)


@pytest.mark.parametrize("exclusion", [Exclusion.NO_KEY, Exclusion.SWITCHED_OFF])
def test_who_must_wait_for_an_operator_is_told_not_to_try_again_by_himself(exclusion):
    error = verdict(excluded=[left_out(FIRST, exclusion)], places=())
    assert (error.code, error.retry_after_s, error.should_retry) == ("no_provider_available", None, False)


@pytest.mark.parametrize("beside", [Exclusion.NO_KEY, Exclusion.SWITCHED_OFF])
def test_who_is_told_when_to_come_again_may_try_by_himself(beside):
    cooling = left_out(SECOND, Exclusion.BREAKER_OPEN, open_for_s=7)
    error = verdict(excluded=[left_out(FIRST, beside), cooling], places=())
    assert (error.code, error.retry_after_s, error.should_retry) == ("no_provider_available", 7, None)


def test_where_nobody_was_asked_for_want_of_time_that_is_said():
    error = verdict(in_time=False)
    assert (error.code, error.message) == ("deadline_exceeded", "No time was left to ask a provider.")


@pytest.mark.parametrize(
    ("outcome", "in_time", "code"),
    [
        (Outcome.CUT, True, "stream_broken"),
        (Outcome.CUT, False, "stream_broken"),
        (Outcome.TIMEOUT, True, "stream_broken"),
        (Outcome.TIMEOUT, False, "deadline_exceeded"),
        (Outcome.CONTENT_FILTER, True, "content_filter"),
    ],
)
def test_who_has_seen_the_beginning_is_told_why_there_is_no_end(outcome, in_time, code):
    assert verdicts.broken(attempt(FIRST.name, outcome), in_time=in_time).code == code
