"""What may be asked of the figures, and in which words it is refused."""

from datetime import UTC, datetime

import pytest

from llm_router import stats_requests
from llm_router.client_keys import ClientKey, Role
from llm_router.errors import InvalidRequestError, OperatorOnlyError
from llm_router.spans import Span
from llm_router.statistics import EVERYTHING, Grouping, Question

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
OPERATOR = ClientKey("op", Role.OPERATOR)
CALLER = ClientKey("abc", Role.CALLER)


def asked(key=OPERATOR, **parameters):
    named = {name.rstrip("_"): value for name, value in parameters.items()}
    return stats_requests.question(named, key=key, now=NOW)


def at(day, hour=0):
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def test_nothing_asked_is_everything():
    assert asked() == EVERYTHING


def test_a_caller_sees_its_own():
    assert asked(CALLER) == Question(owner="abc")
    assert asked(CALLER, group_by="model") == Question(group_by=Grouping.MODEL, owner="abc")


@pytest.mark.parametrize("by", ["route", "key", "tag"])
def test_what_tells_of_others_is_for_operators(by):
    with pytest.raises(OperatorOnlyError):
        asked(CALLER, group_by=by)
    assert asked(group_by=by).group_by == by


@pytest.mark.parametrize(
    ("from_", "to", "span"),
    [
        ("2026-11-01", "2026-11-23", Span(at(1), at(23))),
        ("2026-11-01T05:00", "2026-11-01T07:00Z", Span(at(1, 5), at(1, 7))),
        ("2026-11-01T05:00:00+02:00", "2026-11-02", Span(at(1, 3), at(2))),
        ("20261101", "20261102", Span(at(1), at(2))),
    ],
)
def test_times_are_days_or_hours_and_in_utc_unless_they_say_otherwise(from_, to, span):
    assert asked(from_=from_, to=to).span == span


def test_a_side_that_is_left_open_reaches_as_far_as_there_are_requests():
    assert asked(from_="2026-11-20").span == Span(at(20), at(23, 15))
    assert asked(to="2026-11-20").span == Span(stats_requests.EARLIEST, at(20))


def test_by_hour_and_by_day_without_a_time_are_the_last_day_and_the_last_month():
    assert asked(group_by="hour").span == Span(at(22, 15), at(23, 15))
    assert asked(group_by="day").span == Span(datetime(2026, 10, 23, 15, tzinfo=UTC), at(23, 15))


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"from_": "yesterday"}, "from"),
        ({"from_": ""}, "from"),
        ({"to": "2026-11-23T14:30"}, "to"),
        ({"to": "2026-13-01"}, "to"),
        ({"from_": "0001-01-01T00:00+14:00"}, "from"),
        ({"from_": "2026-11-23", "to": "2026-11-23"}, "from"),
        ({"from_": "2026-11-24", "to": "2026-11-23"}, "from"),
        ({"to": "2019-01-01"}, "from"),
        ({"from_": "2026-01-01", "group_by": "hour"}, "from"),
        ({"to": "9999-01-01"}, "from"),
        ({"group_by": "weekday"}, "group_by"),
        ({"group_by": ""}, "group_by"),
        ({"since": "2026-11-01"}, "since"),
    ],
)
def test_what_makes_no_sense_is_told_with_the_parameter(parameters, param):
    with pytest.raises(InvalidRequestError) as caught:
        asked(**parameters)
    assert caught.value.param == param
