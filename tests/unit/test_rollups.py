"""Sums by name: how they are added and bounded, and how a rollup is an item."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import rollup_items, rollups
from llm_router.rollups import NAMES_AT_MOST, OTHERS, Kind, Period, RollupKey
from llm_router.spans import Segment

COUNTERS = st.dictionaries(
    st.sampled_from(["requests", "cost_usd", "latency_46", "latency_47"]),
    st.integers(-5, 5) | st.decimals(-5, 5, places=12),
)
SUMS = st.dictionaries(st.sampled_from([*"abcdefg", OTHERS, "a/b", "team=\N{SNOWMAN}"]), COUNTERS, max_size=9)
ITEM_BYTES_AT_MOST = 400_000
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""


def without_zeros(sums):
    kept = {name: {key: value for key, value in counters.items() if value} for name, counters in sums.items()}
    return {name: counters for name, counters in kept.items() if counters}


def in_all(sums):
    return without_zeros({"": rollups.summed(sums.values())})


@given(SUMS, SUMS, SUMS)
def test_sums_may_be_added_in_any_order_and_any_portions(first, second, third):
    together = rollups.added(first, second, third)
    assert without_zeros(rollups.added(third, rollups.added(second, first))) == without_zeros(together)


@given(SUMS, SUMS)
def test_what_is_added_and_taken_back_leaves_no_counter_and_keeps_the_names(sums, more):
    taken_back = {name: {key: -value for key, value in counters.items()} for name, counters in more.items()}
    left = rollups.added(sums, more, taken_back)
    assert without_zeros(left) == without_zeros(sums)
    assert left.keys() == sums.keys() | more.keys()
    assert all(value for counters in left.values() for value in counters.values())


@given(SUMS, st.lists(SUMS, max_size=4))
def test_with_too_many_names_the_sum_over_all_stays_right_and_a_name_stays_where_it_went(known, portions):
    most = rollups.NAMES_AT_MOST
    rollups.NAMES_AT_MOST = 4
    try:
        for more in portions:
            expected = in_all(rollups.added(known, more))
            before, known = known, rollups.added(known, rollups.bounded(known, more))
            assert in_all(known) == expected
            assert before.keys() <= known.keys()
            assert len(known) <= max(4, len(before)) + 1
    finally:
        rollups.NAMES_AT_MOST = most


def test_the_fullest_rollup_fits_into_an_item():
    """Every counter and half the buckets of latency there are, all different, under the longest names."""
    counters = {f"latency_{number}": 10**6 + number for number in range(80)}
    counters |= {f"{name}_tokens": 10**12 for name in ("prompt", "cached_prompt", "cache_write", "completion")}
    full = {
        f"{number:064}={number:064}": {
            name: value * (number + 7919) for name, value in {**counters, "cost_usd": Decimal("1234.123456789")}.items()
        }
        for number in range(NAMES_AT_MOST + 1)
    }
    assert len(rollup_items.packed(full)["B"]) < ITEM_BYTES_AT_MOST


@given(SUMS)
def test_a_rollup_is_read_back_as_it_was_written(sums):
    assert rollup_items.sums({"sums": rollup_items.packed(sums)}) == sums


def test_a_rollup_that_is_not_there_holds_nothing():
    assert rollup_items.sums({}) == {}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (RollupKey(Period.TOTAL, Kind.ALL), ("rollups#total#all", "-")),
        (RollupKey(Period.DAY, Kind.CANDIDATE, "2026-11-23"), ("rollups#day#candidate", "2026-11-23")),
        (RollupKey(Period.HOUR, Kind.KEY_CANDIDATE, "2026-11-23T02"), ("rollups#hour#key-candidate", "2026-11-23T02")),
    ],
)
def test_a_rollups_key_is_the_documented_one(key, expected):
    assert tuple(rollup_items.key(key).values()) == expected
    assert rollup_items.start({"sk": {"S": expected[1]}}) == key.start


def test_a_segment_holds_its_starts_and_not_its_end():
    low, high = rollup_items.bounds(Segment(Period.DAY, "2026-11-01", "2026-12-01"))
    assert [start for start in ("2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01") if low <= start < high] == [
        "2026-11-01",
        "2026-11-30",
    ]
    assert rollup_items.bounds(Segment(Period.TOTAL)) == ("-", "~")
