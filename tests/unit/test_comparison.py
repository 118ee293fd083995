"""Two counts of the same usage: where they differ, by how much, and which side is missing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.reconciliation import comparison
from infra.reconciliation.amounts import Amounts, Place
from infra.reconciliation.comparison import Tolerance

PLACE = Place(date(2026, 11, 23), "small")
COUNTED = Amounts(requests=3, input_tokens=100, output_tokens=20, usd=Decimal("0.05"))
EXACT = Tolerance(usd=Decimal(0))


def lines(theirs, ours, tolerance=EXACT, unknown=0):
    provider = {} if theirs is None else {PLACE: theirs}
    ledger = {} if ours is None else {PLACE: (ours, unknown)}
    return comparison.compared(provider, ledger, tolerance)


def test_equal_counts_agree():
    (line,) = lines(COUNTED, COUNTED)
    assert (line.differs, line.missing) == (False, None)
    assert [line.difference(kind) for kind in comparison.COMPARED] == [0, 0, 0]


@pytest.mark.parametrize("kind", comparison.COMPARED)
@pytest.mark.parametrize("by", [-1, 1])
def test_one_token_or_dollar_more_or_less_differs(kind, by):
    other = Amounts(**{each: COUNTED.of(each) + (by if each == kind else 0) for each in comparison.COMPARED})
    (line,) = lines(COUNTED, other)
    assert line.differs
    assert line.difference(kind) == by
    assert not lines(COUNTED, other, Tolerance(tokens=1, usd=Decimal(1)))[0].differs


@pytest.mark.parametrize(("theirs", "ours", "missing"), [(None, COUNTED, "provider"), (COUNTED, None, "ledger")])
def test_a_side_without_a_line_is_named_and_differs(theirs, ours, missing):
    (line,) = lines(theirs, ours)
    assert (line.missing, line.differs) == (missing, True)


def test_a_side_with_next_to_nothing_may_miss_the_line():
    (line,) = lines(Amounts(usd=Decimal("0.004")), None, Tolerance())
    assert (line.missing, line.differs) == ("ledger", False)


def test_nothing_on_both_sides_is_no_line():
    assert lines(Amounts(input_tokens=0), None) == []


def test_what_one_side_does_not_say_is_not_compared():
    (line,) = lines(Amounts(usd=Decimal("0.05")), COUNTED)
    assert not line.differs
    assert line.difference("input_tokens") is None


def test_requests_are_not_compared():
    assert not lines(COUNTED, Amounts(requests=9, input_tokens=100, output_tokens=20, usd=Decimal("0.05")))[0].differs


@given(st.decimals(-1, 1, places=6))
def test_money_may_be_a_cent_apart_and_no_more(apart):
    (line,) = lines(COUNTED, Amounts(usd=COUNTED.usd + apart), Tolerance())
    assert line.differs == (abs(apart) > Decimal("0.01"))


@pytest.mark.parametrize(
    ("theirs", "ours", "same", "becomes"),
    [
        ("gpt-4o-mini-2024-07-18", {"gpt-4o-mini"}, {}, "gpt-4o-mini"),
        ("claude-haiku-4-5-20251001", {"claude-haiku-4-5"}, {}, "claude-haiku-4-5"),
        ("gpt-4o-mini-2024-07-18", {"gpt-4o-mini", "gpt-4o-mini-2024-07-18"}, {}, "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini-2024-07-18", {"gpt-4o"}, {}, "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini-2024-07-18", {"gpt-4o-mini"}, {"gpt-4o-mini-2024-07-18": "mine"}, "mine"),
        ("Claude Haiku 4.5", {"claude-haiku-4-5"}, {"Claude Haiku 4.5": "claude-haiku-4-5"}, "claude-haiku-4-5"),
    ],
)
def test_a_model_has_the_ledgers_name(theirs, ours, same, becomes):
    found = comparison.under_our_names({PLACE._replace(model=theirs): COUNTED}, ours, same)
    assert found == {PLACE._replace(model=becomes): COUNTED}


def test_two_names_of_one_model_are_added_up():
    given = {PLACE._replace(model=name): COUNTED for name in ("small", "small-20260101")}
    assert comparison.under_our_names(given, {"small"}, {})[PLACE].input_tokens == 200
