"""Which one error a caller gets when no candidate could serve."""

from datetime import timedelta

import pytest

from builders import NOW, attempt, candidate
from llm_router import verdicts
from llm_router.health import OpenReason
from llm_router.routing import Excluded, Exclusion, Place, Plan
from llm_router.usage import Outcome

FIRST, SECOND = candidate("groq/small"), candidate("openai/gpt")
LIMITED, FAILED, REFUSED = Outcome.RATE_LIMITED, Outcome.SERVER_ERROR, Outcome.BAD_REQUEST
UNSUITED = Outcome.UNSUITED


def verdict(*outcomes, excluded=(), in_time=True, **of_attempts):
    places = tuple(Place(one, None, "") for one in (FIRST, SECOND))
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
    ],
)
def test_the_attempts_decide_on_the_error(outcomes, code):
    assert verdict(*outcomes).code == code


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
