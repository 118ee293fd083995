"""How long a provider asks us to wait."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import NOW
from llm_router import retry_after


def seconds(**headers):
    return retry_after.seconds({name.replace("_", "-"): value for name, value in headers.items()}, now=NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20", 20),
        ("0", 0),
        ("1.5", 1.5),
        (" 3 ", 3),
        ("86400", 86400),
        ("Mon, 23 Nov 2026 02:30:07 GMT", 7),
        ("Monday, 23-Nov-26 02:30:07 GMT", 7),
        ("Mon Nov 23 02:30:07 2026", 7),
        ("Mon, 23 Nov 2026 03:30:07 +0100", 7),
        ("Mon, 23 Nov 2026 02:29:00 GMT", 0),
        ("Mon, 01 Jan 1900 00:00:00 GMT", 0),
    ],
)
def test_seconds_and_dates_are_understood(text, expected):
    assert seconds(retry_after=text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1", "-0.5", "nan", "inf", "-inf", "1e999", "12ms", "6m0s", "[]"])
def test_what_makes_no_sense_is_nothing(text):
    assert seconds(retry_after=text) is None


@pytest.mark.parametrize("text", ["Mon, 99 Nov 2026 02:30:07 GMT", "Mon, 99999999999999999999 Nov 2026 02:30:07 GMT"])
def test_an_impossible_date_is_nothing(text):
    assert seconds(retry_after=text) is None


def test_nothing_said_is_nothing():
    assert seconds() is None


@pytest.mark.parametrize(("text", "expected"), [("1500", 1.5), ("0", 0), ("250.5", 0.2505)])
def test_milliseconds_are_more_exact_and_come_first(text, expected):
    assert seconds(retry_after_ms=text, retry_after="30") == expected


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan"])
def test_milliseconds_that_make_no_sense_leave_the_seconds(text):
    assert seconds(retry_after_ms=text, retry_after="30") == 30


def test_an_absurd_wait_is_told_as_it_is():
    assert seconds(retry_after="1e300") == 1e300


numbers = st.integers().map(str) | st.floats().map(str)
date_words = st.lists(
    st.sampled_from(["Mon,", "23", "Nov", "2026", "02:30:07", "GMT", "+0100", "-9999", ":", "99:99:99", "0"]) | numbers,
    max_size=8,
).map(" ".join)


@settings(deadline=None, max_examples=500)
@given(st.text() | numbers | date_words, st.none() | st.text() | numbers)
@example("Mon, 23 Nov 99999999999999999999 02:30:07 GMT", None)
@example("Mon, 23 Nov 2026 02:30:07 +99999999999999999999", None)
def test_no_text_is_an_error_and_a_wait_is_never_negative(text, in_ms):
    found = seconds(retry_after=text, **({} if in_ms is None else {"retry_after_ms": in_ms}))
    assert found is None or (math.isfinite(found) and found >= 0)
