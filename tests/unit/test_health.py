"""The breaker: how outcomes open and close it."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW
from llm_router.failover import BreakerEffect
from llm_router.health import (
    HEALTHY,
    LONGEST_LEASE_S,
    LONGEST_RATE_LIMIT_S,
    RATE_LIMIT_COOL_DOWN_S,
    REFUSED_COOL_DOWN_S,
    Health,
    OpenReason,
)

COUNTS, CLOSES, ANSWERS = BreakerEffect.COUNTS, BreakerEffect.CLOSES, BreakerEffect.ANSWERS
LIMITED, REFUSED = BreakerEffect.RATE_LIMITED, BreakerEffect.REFUSED
INSTANT = timedelta(microseconds=1)


def open_for_s(health, now=NOW):
    """Seconds from `now` in which the breaker is open; None where it is closed."""
    return None if health.open_until is None else (health.open_until - now).total_seconds()


def after(*effects, health=HEALTHY, now=NOW, began_at=None, retry_after_s=None):
    for effect in effects:
        health = health.after(effect, began_at=began_at or now, now=now, retry_after_s=retry_after_s)
    return health


def test_a_new_candidate_is_healthy_and_closed():
    assert Health() == HEALTHY
    assert not HEALTHY.is_open(NOW)


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_fewer_than_three_failures_leave_it_closed(failures):
    assert not after(*[COUNTS] * failures).is_open(NOW)


def test_three_failures_in_a_row_open_it_for_five_seconds():
    health = after(COUNTS, COUNTS, COUNTS)
    assert health.is_open(NOW)
    assert health.reason is OpenReason.FAILING
    assert open_for_s(health) == 5


def test_an_answer_between_failures_starts_the_count_again():
    assert not after(COUNTS, COUNTS, CLOSES, COUNTS, COUNTS).is_open(NOW)


@pytest.mark.parametrize("effect", [BreakerEffect.NONE])
def test_what_says_nothing_about_the_provider_changes_nothing(effect):
    failing = after(COUNTS, COUNTS)
    assert after(effect, health=failing) == failing
    assert after(effect, COUNTS, health=failing).is_open(NOW)


def test_it_is_open_until_its_time_and_not_at_it():
    health = after(COUNTS, COUNTS, COUNTS)
    assert health.is_open(health.open_until - INSTANT)
    assert not health.is_open(health.open_until)


def test_each_failed_probe_doubles_the_cool_down_up_to_twenty_seconds():
    health, now, waits = after(COUNTS, COUNTS, COUNTS), NOW, []
    for _ in range(5):
        waits.append(open_for_s(health, now))
        now = health.open_until
        health = after(COUNTS, health=health, now=now)
    assert waits == [5, 10, 20, 20, 20]


def test_a_probe_that_succeeds_closes_it_and_forgets_what_was():
    health = after(COUNTS, COUNTS, COUNTS)
    assert after(CLOSES, health=health, now=health.open_until) == HEALTHY


@pytest.mark.parametrize(
    ("effect", "retry_after_s", "reason", "wait_s"),
    [
        (LIMITED, 7.5, OpenReason.RATE_LIMITED, 7.5),
        (LIMITED, None, OpenReason.RATE_LIMITED, RATE_LIMIT_COOL_DOWN_S),
        (LIMITED, 0.0, OpenReason.RATE_LIMITED, 0),
        (LIMITED, 1e300, OpenReason.RATE_LIMITED, LONGEST_RATE_LIMIT_S),
        (REFUSED, None, OpenReason.REFUSED, REFUSED_COOL_DOWN_S),
        (REFUSED, 1.0, OpenReason.REFUSED, REFUSED_COOL_DOWN_S),
    ],
)
def test_one_rate_limit_or_refusal_opens_it_at_once(effect, retry_after_s, reason, wait_s):
    health = after(effect, retry_after_s=retry_after_s)
    assert (health.reason, open_for_s(health)) == (reason, wait_s)


def test_a_refused_candidate_is_tried_again_only_after_its_long_time():
    assert REFUSED_COOL_DOWN_S >= 10 * 20


@pytest.mark.parametrize("opened", [LIMITED, REFUSED])
@pytest.mark.parametrize("late", [[COUNTS], [COUNTS] * 3])
def test_a_failure_that_comes_late_does_not_close_what_is_open_for_longer(opened, late):
    """Requests that were under way when the breaker opened still end; the first to fail must not let others in."""
    health = after(opened, retry_after_s=30.0)
    then = after(*late, health=health, now=NOW + INSTANT)
    assert then.open_until == health.open_until
    assert then.reason is health.reason


@pytest.mark.parametrize(("longer", "shorter"), [([REFUSED], LIMITED), ([COUNTS] * 3, LIMITED)])
def test_a_shorter_time_does_not_cut_a_longer_one(longer, shorter):
    health = after(*longer)
    assert after(shorter, health=health, retry_after_s=1.0).open_until == health.open_until


effects = st.sampled_from(BreakerEffect)
waits = st.none() | st.floats(0, 1e6)


@settings(deadline=None)
@given(st.lists(st.tuples(effects, waits, st.floats(0, 400)), max_size=20))
def test_it_is_never_open_for_longer_than_a_refusal_is(steps):
    health, now = HEALTHY, NOW
    for effect, wait_s, pause_s in steps:
        health = health.after(effect, began_at=now, now=now, retry_after_s=wait_s)
        assert not health.is_open(now + timedelta(seconds=REFUSED_COOL_DOWN_S))
        now += timedelta(seconds=pause_s)


@settings(deadline=None)
@given(st.lists(effects, max_size=20))
def test_whatever_came_before_an_answer_closes_it(steps):
    closed = after(*steps, CLOSES)
    assert (closed.reason, closed.closed_until(NOW), closed.failures) == (None, None, 0)


# The rate of failures.


def test_half_of_ten_within_a_minute_open_it_although_never_three_in_a_row():
    health = after(*[COUNTS, CLOSES] * 4, COUNTS)
    assert not health.is_open(NOW)
    assert after(CLOSES, COUNTS, health=health).reason is OpenReason.FAILING


def test_fewer_than_half_do_not():
    assert not after(*[COUNTS, CLOSES, CLOSES] * 30).is_open(NOW)


def test_what_lies_a_minute_back_no_longer_counts():
    health = after(*[COUNTS, CLOSES] * 4)
    assert not after(COUNTS, health=health, now=NOW + timedelta(minutes=1)).is_open(NOW + timedelta(minutes=1))
    assert after(CLOSES, health=health, now=NOW + timedelta(minutes=1)) == HEALTHY


def test_a_success_may_stand_for_many():
    health = after(*[COUNTS, CLOSES] * 4, COUNTS).after(CLOSES, began_at=NOW, now=NOW, weight=10)
    assert not after(COUNTS, health=health).is_open(NOW)


def test_successes_are_not_counted_where_nothing_fails():
    assert after(*[CLOSES] * 100) == HEALTHY


# Probes, and attempts that began before.


def test_past_its_time_it_needs_a_probe_and_one_at_a_time():
    health = after(COUNTS, COUNTS, COUNTS)
    later = health.open_until
    assert not health.needs_probe(NOW)
    assert health.needs_probe(later)
    assert health.closed_until(later) is None
    probed = health.probed(now=later, lease_s=3)
    assert probed.closed_until(later) == later + timedelta(seconds=3)
    assert probed.closed_until(later + timedelta(seconds=3)) is None


@pytest.mark.parametrize("effect", [COUNTS, CLOSES, LIMITED, BreakerEffect.NONE])
def test_the_end_of_a_probe_ends_its_lease(effect):
    health = after(COUNTS, COUNTS, COUNTS)
    later = health.open_until
    ended = after(effect, health=health.probed(now=later, lease_s=60), now=later + INSTANT)
    assert ended.probing_until is None


def test_a_probe_that_begins_to_answer_lets_all_others_in_at_once():
    """An answer may take minutes; a provider that speaks is not kept from others meanwhile."""
    health = after(COUNTS, COUNTS, COUNTS)
    later = health.open_until
    answering = after(ANSWERS, health=health.probed(now=later, lease_s=60), now=later + INSTANT)
    assert answering.closed_until(later + INSTANT) is None
    assert not answering.needs_probe(later + INSTANT)
    assert after(CLOSES, health=answering, now=later + INSTANT) == HEALTHY


def test_one_that_only_begins_to_answer_is_opened_again_by_its_next_failure_and_for_longer():
    health = after(COUNTS, COUNTS, COUNTS)
    later = health.open_until
    answering = after(ANSWERS, health=health.probed(now=later, lease_s=60), now=later + INSTANT)
    again = after(COUNTS, health=answering, began_at=later, now=later + INSTANT)
    assert again.reason is OpenReason.FAILING
    assert again.open_until - (later + INSTANT) == 2 * (health.open_until - NOW)


def test_an_answer_that_begins_where_nothing_is_open_changes_nothing():
    for health in (HEALTHY, after(COUNTS)):
        assert after(ANSWERS, health=health) == health
    opened = after(COUNTS, COUNTS, COUNTS)
    assert after(ANSWERS, health=opened, began_at=NOW - INSTANT, now=opened.open_until) == opened


def test_what_was_under_way_when_it_opened_decides_nothing():
    health = after(COUNTS, COUNTS, COUNTS)
    for effect in (COUNTS, CLOSES, BreakerEffect.NONE):
        assert after(effect, health=health, began_at=NOW - INSTANT, now=health.open_until) == health


def test_a_forced_try_that_fails_is_no_probe_and_one_that_succeeds_closes():
    health = after(COUNTS, COUNTS, COUNTS)
    forced_at = NOW + timedelta(seconds=1)
    assert after(COUNTS, health=health, began_at=forced_at, now=health.open_until) == health
    assert after(CLOSES, health=health, began_at=forced_at, now=forced_at) == HEALTHY


# Clocks that do not agree.

moments = st.integers(-7200, 7200).map(lambda seconds: NOW + timedelta(seconds=seconds))
told = st.builds(
    Health,
    minute=st.integers(0, 2**31),
    reason=st.sampled_from(OpenReason),
    opened_at=moments,
    open_until=moments,
    probing_until=st.none() | moments,
)


@given(told)
def test_no_clock_that_is_ahead_keeps_a_candidate_out_for_longer_than_its_reason_does(health):
    longest_s = {OpenReason.FAILING: 20, OpenReason.RATE_LIMITED: 60, OpenReason.REFUSED: 300}[health.reason]
    seen = health.seen(NOW)
    assert open_for_s(seen) <= longest_s
    assert seen.probing_until is None or seen.probing_until <= NOW + timedelta(seconds=LONGEST_LEASE_S)


@given(told)
def test_what_begins_after_it_was_seen_may_close_it(health):
    assert health.seen(NOW).after(CLOSES, began_at=NOW, now=NOW) == HEALTHY


@given(st.lists(st.sampled_from(BreakerEffect), max_size=12), st.integers(0, 400), st.integers(0, 900))
def test_what_a_clock_that_agrees_has_written_is_seen_as_it_is(effects, later_s, lease_s):
    health = after(*effects).probed(now=NOW, lease_s=lease_s)
    assert health.seen(NOW + timedelta(seconds=later_s)) == health


@given(st.integers(0, 7200), st.sampled_from([COUNTS, LIMITED, REFUSED]))
def test_who_is_ahead_opens_it_for_as_long_as_others_would(ahead_s, effect):
    ahead = after(effect, effect, effect, now=NOW + timedelta(seconds=ahead_s))
    assert ahead.seen(NOW) == after(effect, effect, effect)
