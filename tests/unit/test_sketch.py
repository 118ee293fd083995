"""Latency as counts: quantiles are right to within 5%, and the sum of two sketches is the sketch of both."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_router import sketch

latencies = st.lists(st.floats(1, 1e6), min_size=1, max_size=200)
shares = st.floats(0, 1)


def counts(values):
    return Counter(sketch.bucket(value) for value in values)


def exact_quantile(values, q):
    """By nearest rank: the smallest value with at least a share `q` of all at or below it."""
    return next(value for value in sorted(values) if sum(other <= value for other in values) >= q * len(values))


@settings(deadline=None)
@given(latencies, shares)
def test_a_quantile_is_right_to_within_five_percent(values, q):
    assert sketch.quantile_ms(counts(values), q) == pytest.approx(exact_quantile(values, q), rel=0.05 + 1e-9)


@pytest.mark.parametrize(("q", "value"), [(0.33, 420), (0.5, 700), (0.66, 700), (0.67, 870), (0.95, 870), (1, 870)])
def test_the_slowest_of_three_is_their_95th_percentile(q, value):
    assert sketch.quantile_ms(counts([700, 420, 870]), q) == pytest.approx(value, rel=0.05)


@settings(deadline=None)
@given(latencies, latencies, shares)
def test_the_sum_of_sketches_is_the_sketch_of_the_sum(some, others, q):
    merged = counts(some) + counts(others)
    assert merged == counts(some + others)
    assert sketch.quantile_ms(merged, q) == sketch.quantile_ms(counts(others + some), q)


@settings(deadline=None)
@given(st.floats(1, 1e6))
def test_a_bucket_holds_what_its_bounds_say(value):
    number = sketch.bucket(value)
    assert sketch.GAMMA ** (number - 1) * (1 - 1e-9) <= value <= sketch.GAMMA**number * (1 + 1e-9)


@settings(deadline=None)
@given(latencies)
def test_higher_shares_are_never_faster(values):
    found = [sketch.quantile_ms(counts(values), q) for q in (0, 0.25, 0.5, 0.95, 1)]
    assert found == sorted(found)


@pytest.mark.parametrize("value", [0, 0.2, 1, -3])
def test_what_took_no_time_counts_as_a_millisecond(value):
    assert sketch.bucket(value) == 0
    assert sketch.quantile_ms(counts([value]), 0.5) == pytest.approx(1, rel=0.05 + 1e-9)


@pytest.mark.parametrize("q", [0, 0.5, 1])
def test_an_empty_sketch_has_no_quantile(q):
    assert sketch.quantile_ms({}, q) is None
