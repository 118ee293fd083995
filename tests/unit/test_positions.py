"""Ids that sort by time and say where their record lies."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import MOMENTS, NOW
from llm_router import positions

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
shards = st.integers(0, positions.SHARDS_AT_MOST - 1)
random_bits = st.integers(0, (1 << positions.RANDOM_BITS) - 1)
tails = st.fixed_dictionaries({"shard": shards, "random_bits": random_bits})


def milliseconds(at):
    return (at - EPOCH) // timedelta(milliseconds=1)


def at_millisecond(number):
    return EPOCH + timedelta(milliseconds=number)


whole_milliseconds = st.integers(milliseconds(NOW), milliseconds(NOW) + 10**11).map(at_millisecond)


@settings(deadline=None)
@given(MOMENTS, shards, random_bits)
def test_an_id_has_26_characters_of_crockfords_base_32(at, shard, bits):
    made = positions.position(at, shard=shard, random_bits=bits)
    assert len(made) == 26
    assert set(made) <= set(ALPHABET)


@settings(deadline=None)
@given(whole_milliseconds, st.integers(1, 10**6), tails, tails)
def test_ids_sort_by_their_millisecond_whatever_the_shard_and_the_chance(at, later_by_ms, tail, other):
    later = at + timedelta(milliseconds=later_by_ms)
    assert positions.position(at, **tail) < positions.position(later, **other)


@settings(deadline=None)
@given(MOMENTS, MOMENTS, shards, random_bits)
def test_ids_never_sort_against_the_time(at, other, shard, bits):
    earlier, later = sorted([at, other])
    assert positions.lower_bound(earlier) <= positions.position(later, shard=shard, random_bits=bits)


@settings(deadline=None)
@given(whole_milliseconds, shards, random_bits)
def test_a_lower_bound_lies_between_its_millisecond_and_the_one_before(at, shard, bits):
    bound = positions.lower_bound(at)
    assert bound <= positions.position(at, shard=shard, random_bits=bits)
    assert positions.position(at - timedelta(milliseconds=1), shard=shard, random_bits=bits) < bound


@settings(deadline=None)
@given(MOMENTS, shards, random_bits)
def test_the_shard_is_found_in_the_id(at, shard, bits):
    assert positions.shard_of(positions.position(at, shard=shard, random_bits=bits)) == shard


@settings(deadline=None)
@given(whole_milliseconds, shards, random_bits)
def test_the_millisecond_is_found_in_the_id(at, shard, bits):
    assert positions.time_of(positions.position(at, shard=shard, random_bits=bits)) == at


@settings(deadline=None)
@given(MOMENTS, shards, random_bits, random_bits)
def test_ids_of_one_moment_differ_where_the_chance_does(at, shard, bits, more):
    made = positions.position(at, shard=shard, random_bits=bits)
    assert (made == positions.position(at, shard=shard, random_bits=more)) == (bits == more)


@pytest.mark.parametrize("text", ["", "0", "0" * 25, "0" * 27, "0" * 10 + "U" + "0" * 15, "0" * 10 + "a" + "0" * 15])
def test_what_is_no_id_has_no_shard(text):
    with pytest.raises(ValueError):  # noqa: PT011  # the words are the text itself, or Python's own
        positions.shard_of(text)


def test_the_form_is_the_ulids():
    """The example of https://github.com/ulid/javascript: ulid(1469918176385) begins with this."""
    assert positions.lower_bound(at_millisecond(1469918176385)) == "01ARYZ6S41"
