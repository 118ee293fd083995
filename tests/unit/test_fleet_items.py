"""What the fleet shares reads back as it was written, and what can't be read harms nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NOW
from llm_router import figures, fleet_items
from llm_router.failover import BreakerEffect
from llm_router.fleet_items import Switch
from llm_router.health import HEALTHY, Health
from llm_router.routing import Facts

steps = st.lists(st.tuples(st.sampled_from(BreakerEffect), st.integers(0, 30_000)), max_size=12)
facts = st.builds(
    Facts,
    latency_ms=st.none() | st.floats(0, 1e6),
    slow_ms=st.none() | st.floats(0, 1e6),
    success_rate=st.floats(0, 1),
    completion_tokens=st.integers(0, 10**6),
)


@given(steps, st.booleans())
def test_a_breaker_reads_back_as_it_was_written(steps, is_probed):
    health, now = HEALTHY, NOW
    for effect, pause_ms in steps:
        health = health.after(effect, began_at=now, now=now)
        now += timedelta(milliseconds=pause_ms)
    if is_probed:
        health = health.probed(now=now, lease_s=5)
    text = fleet_items.breaker_text(health)
    assert fleet_items.health(text) == health
    assert fleet_items.breaker_text(fleet_items.health(text)) == text


def test_a_healthy_candidate_takes_no_place():
    assert fleet_items.breaker_text(HEALTHY) is None
    assert fleet_items.health(None) == HEALTHY


@given(st.dictionaries(st.text(), facts, max_size=5))
def test_facts_read_back_as_they_were_written(found):
    assert fleet_items.facts(fleet_items.facts_text(found)) == found


@given(st.text())
def test_a_switch_reads_back_as_it_was_written(reason):
    switch = Switch(NOW, reason)
    assert fleet_items.switch(fleet_items.switch_text(switch)) == switch


BROKEN = ["", "{", "[]", "1", "null", '{"reason":"unheard of"}', '{"open_until":"soon"}', '{"failures":{}}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_breaker_that_cannot_be_read_is_closed(text):
    assert fleet_items.health(text) == HEALTHY


@pytest.mark.parametrize("text", [*BROKEN, '{"groq/llama":{}}', '{"groq/llama":7}'])
def test_facts_that_cannot_be_read_are_none(text):
    assert {name: known for name, known in fleet_items.facts(text).items() if isinstance(known, Facts)} == {}


@pytest.mark.parametrize("text", BROKEN)
def test_a_switch_that_cannot_be_read_still_keeps_its_provider_out(text):
    assert fleet_items.switch(text) == Switch(datetime.fromtimestamp(0, UTC))


def test_a_time_out_of_range_is_no_time():
    assert fleet_items.health('{"reason":"failing","open_until":1e300}') == Health()


def test_a_switch_is_told_with_the_same_time_before_and_after_it_was_stored():
    """Rounded on one way and cut off on the other, it was a millisecond later every second time."""
    at = datetime(2026, 11, 24, 5, 52, 17, 87_900, tzinfo=UTC)
    stored = fleet_items.switch(fleet_items.switch_text(Switch(at, "maintenance")))
    assert figures.timestamp(stored.since) == figures.timestamp(at)
