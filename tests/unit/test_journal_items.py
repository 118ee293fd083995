"""Usage records as DynamoDB items and back."""

from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW, attempt, ended_records, record
from llm_router import journal_items, positions
from llm_router.usage import NOTHING, Outcome, RecordState, Trying

any_records = ended_records(states=list(RecordState))


def item(one):
    """As the ledger writes it."""
    return journal_items.to_item({**journal_items.journal_key(one.position), **journal_items.record_values(one)})


@st.composite
def corrections(draw):
    after = draw(ended_records(states=[RecordState.SETTLED]))
    before = draw(ended_records(states=[RecordState.UNSETTLED]))
    return replace(after, replaces=before)


@settings(deadline=None)
@given(any_records | corrections())
def test_a_record_is_read_back_as_it_was_written(one):
    assert journal_items.record_of(item(one)) == one


@settings(deadline=None)
@given(any_records | corrections())
def test_a_record_is_read_back_from_the_log_as_it_was_written(one):
    assert journal_items.logged_record(journal_items.log_text(one)) == one


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"position": 1}', '{"position": "x", "state": "settled"}', "{"]
)
def test_what_is_no_record_is_told_by_one_error(text):
    with pytest.raises(ValueError, match=r".+"):
        journal_items.logged_record(text)


@settings(deadline=None)
@given(any_records)
def test_costs_are_read_back_to_the_last_digit(one):
    found = journal_items.record_of(item(one))
    assert found.cost == one.cost
    assert [str(each.cost.usd) for each in found.attempts if each.cost.usd] == [
        str(each.cost.usd) for each in one.attempts if each.cost.usd
    ]


@settings(deadline=None)
@given(any_records)
def test_what_is_absent_has_no_attribute(one):
    assert {"NULL": True} not in item(one).values()


def test_a_pending_record_keeps_what_is_being_tried():
    pending = record(
        attempt(outcome=Outcome.TIMEOUT),
        state=RecordState.PENDING,
        trying=Trying("openai/gpt", Decimal("0.0012")),
        settled_at=None,
        latency_ms=None,
        error=None,
    )
    found = journal_items.record_of(item(pending))
    assert found == pending
    assert found.trying.upper_usd == Decimal("0.0012")


def test_an_upper_estimate_that_nobody_knows_stays_unknown():
    pending = record(state=RecordState.PENDING, trying=Trying("openai/gpt", None))
    assert journal_items.record_of(item(pending)).trying == Trying("openai/gpt", None)


def test_times_are_read_back_in_utc_whatever_zone_they_were_written_in():
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = journal_items.record_of(item(record(opened_at=elsewhere)))
    assert found.opened_at == NOW
    assert found.opened_at.utcoffset() == timedelta(0)


def test_what_only_the_walk_through_a_plan_needs_is_not_kept():
    limited = attempt(outcome=Outcome.RATE_LIMITED, retry_after_s=7.5, param="model", cost=NOTHING)
    (found,) = journal_items.record_of(item(record(limited))).attempts
    assert found == replace(limited, retry_after_s=None, param=None)


@pytest.mark.parametrize("shard", [0, 7, 31])
def test_an_id_is_the_whole_key(shard):
    position = positions.position(NOW, shard=shard, random_bits=1)
    assert journal_items.journal_key(position) == {"pk": f"journal#{shard:02}", "sk": position}
