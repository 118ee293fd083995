"""What processes of one fleet tell each other through the state table, and what each does when it is out of reach."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from aws_lambda_powertools import Logger
from botocore.exceptions import EndpointConnectionError

from integration.conftest import MovingClock
from integration.tables import STATE_TABLE
from llm_router import fleet as fleet_module
from llm_router import fleet_items
from llm_router.failover import BreakerEffect
from llm_router.fleet import CALM_CACHED_FOR_S, FACTS_CACHED_FOR_S, UNREAD_CACHED_FOR_S, Fleet
from llm_router.fleet_items import Switch
from llm_router.fleet_store import FleetStore, OvertakenError, Shared
from llm_router.health import OpenReason
from llm_router.routing import Facts

GROQ = "groq/llama"
COUNTS, CLOSES, LIMITED = BreakerEffect.COUNTS, BreakerEffect.CLOSES, BreakerEffect.RATE_LIMITED
LEASE_S = 30.0

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Fleets:
    """Several processes of one fleet, on one clock; their store can be cut off, and its calls are counted."""

    def __init__(self, client):
        self.client = client
        self.moving = MovingClock()
        self.is_cut_off = False
        self.calls = 0
        self.store = FleetStore(self._counted, table=STATE_TABLE)

    def process(self):
        return Fleet(self.store, clock=self.moving.as_clock(), logger=Logger(service="test"))

    def _counted(self):
        self.calls += 1
        if self.is_cut_off:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        return self.client


@pytest.fixture
def fleets(dynamodb):
    return Fleets(dynamodb)


async def tell(process, effect, *, times=1, name=GROQ, began_at=None, **more):
    for _ in range(times):
        telling = process.note(name, effect, began_at=began_at or process._clock.now(), **more)
        if telling:
            await telling


async def reason(process, name=GROQ):
    health = (await process.current()).health.get(name)
    return health.reason if health else None


async def test_failures_of_different_processes_open_the_breaker_for_all(fleets):
    processes = [fleets.process() for _ in range(4)]
    for process in processes[:3]:
        await process.current()
        await tell(process, COUNTS)
    fleets.moving.move(CALM_CACHED_FOR_S)
    assert [await reason(process) for process in processes] == [OpenReason.FAILING] * 4


async def test_a_success_of_another_process_breaks_the_row(fleets):
    one, other = fleets.process(), fleets.process()
    await tell(one, COUNTS, times=2)
    await other.current()
    await tell(other, CLOSES)
    await tell(one, COUNTS)
    assert await reason(one) is None


async def test_where_nothing_fails_nothing_is_written(fleets):
    process = fleets.process()
    await process.current()
    before = fleets.calls
    await tell(process, CLOSES, times=50)
    assert fleets.calls == before


async def test_successes_beside_failures_are_written_ever_more_rarely(fleets):
    process = fleets.process()
    await tell(process, COUNTS)
    before = fleets.calls
    chance = random.Random(0)  # noqa: S311  # chance, no secret
    process._clock = replace(fleets.moving.as_clock(), jitter=chance.random)
    await tell(process, CLOSES, times=400)
    assert fleets.calls - before < 200
    health = (await process.current()).health[GROQ]
    assert health.succeeded > 100


async def test_one_process_of_the_fleet_probes(fleets):
    processes = [fleets.process() for _ in range(5)]
    await tell(processes[0], COUNTS, times=3)
    fleets.moving.move(5)
    for process in processes:
        await process.current()
    admitted = [await process.admits(GROQ, lease_s=LEASE_S) for process in processes]
    assert admitted == [True, False, False, False, False]


async def test_the_lease_of_a_probe_that_never_ends_ends_by_itself(fleets):
    one, other = fleets.process(), fleets.process()
    await tell(one, COUNTS, times=3)
    fleets.moving.move(5)
    assert await one.admits(GROQ, lease_s=LEASE_S)
    await other.current()
    assert not await other.admits(GROQ, lease_s=LEASE_S)
    fleets.moving.move(LEASE_S)
    await other.current()
    assert await other.admits(GROQ, lease_s=LEASE_S)


async def test_a_clock_that_is_ahead_opens_a_breaker_for_no_longer_than_any_other(fleets):
    ahead, other = fleets.process(), fleets.process()
    right = fleets.moving.as_clock()
    ahead._clock = replace(right, now=lambda: right.now() + timedelta(hours=1))
    await tell(ahead, COUNTS, times=3)
    assert await reason(other) is OpenReason.FAILING
    assert not await other.admits(GROQ, lease_s=LEASE_S)
    fleets.moving.move(5)
    await other.current()
    assert await other.admits(GROQ, lease_s=LEASE_S)
    await tell(other, CLOSES)
    assert await reason(fleets.process()) is None


@pytest.mark.parametrize(("effect", "expected"), [(CLOSES, None), (COUNTS, OpenReason.FAILING)])
async def test_the_probe_decides_for_all(fleets, effect, expected):
    one, other = fleets.process(), fleets.process()
    await tell(one, COUNTS, times=3)
    fleets.moving.move(5)
    assert await one.admits(GROQ, lease_s=LEASE_S)
    await tell(one, effect)
    fleets.moving.move(CALM_CACHED_FOR_S)
    assert await reason(other) == expected
    assert await other.admits(GROQ, lease_s=LEASE_S) is (expected is None)


async def test_a_rate_limit_reaches_all_until_its_time(fleets):
    one, other = fleets.process(), fleets.process()
    await tell(one, LIMITED, retry_after_s=7.0)
    health = (await other.current()).health[GROQ]
    assert health.reason is OpenReason.RATE_LIMITED
    assert health.open_until == fleets.moving.at + timedelta(seconds=7)


async def test_a_closed_candidate_is_admitted_without_asking(fleets):
    process = fleets.process()
    assert await process.admits(GROQ, lease_s=LEASE_S)
    assert fleets.calls == 0


async def test_one_read_serves_many_requests_for_a_moment(fleets):
    process = fleets.process()
    await asyncio.gather(*(process.current() for _ in range(20)))
    assert fleets.calls == 1
    fleets.moving.move(CALM_CACHED_FOR_S)
    await process.current()
    assert fleets.calls == 2


async def test_a_switch_takes_a_provider_out_and_back_for_all(fleets):
    one, other = fleets.process(), fleets.process()
    assert (await other.current()).switched_off == {}
    await one.switch("groq", Switch(fleets.moving.at, "maintenance"))
    assert (await one.current()).switched_off.keys() == {"groq"}, "at once where it was switched"
    fleets.moving.move(CALM_CACHED_FOR_S)
    assert (await other.current()).switched_off["groq"].reason == "maintenance"
    await other.switch("groq", None)
    fleets.moving.move(CALM_CACHED_FOR_S)
    assert (await one.current()).switched_off == {}


async def test_facts_reach_routing_within_their_time(fleets):
    process = fleets.process()
    assert (await process.current()).facts == {}
    told = {GROQ: Facts(latency_ms=123.0, slow_ms=456.0, success_rate=0.5, completion_tokens=7)}
    fleets.store.put_facts(fleet_items.facts_text(told))
    fleets.moving.move(FACTS_CACHED_FOR_S)
    assert (await process.current()).facts == told


# DynamoDB out of reach.


async def test_a_process_alone_goes_by_what_it_learns_itself(fleets):
    process = fleets.process()
    fleets.is_cut_off = True
    await process.current()
    await tell(process, COUNTS, times=3)
    assert await reason(process) is OpenReason.FAILING
    fleets.moving.move(5)
    assert await process.admits(GROQ, lease_s=LEASE_S), "a probe of its own"
    assert not await process.admits(GROQ, lease_s=LEASE_S)
    await tell(process, CLOSES)
    assert await reason(process) is None


async def test_what_was_known_holds_while_the_table_is_out_of_reach(fleets):
    process = fleets.process()
    await process.switch("groq", Switch(fleets.moving.at))
    await process.current()
    fleets.is_cut_off = True
    fleets.moving.move(60)
    assert (await process.current()).switched_off.keys() == {"groq"}


async def test_an_outage_is_asked_about_rarely(fleets):
    process = fleets.process()
    fleets.is_cut_off = True
    for _ in range(10):
        await process.current()
    asked = fleets.calls
    assert asked == 1
    fleets.moving.move(UNREAD_CACHED_FOR_S)
    await process.current()
    assert fleets.calls == asked + 1


async def test_after_an_outage_the_fleet_agrees_again(fleets):
    one, other = fleets.process(), fleets.process()
    fleets.is_cut_off = True
    for process in (one, other):
        await process.current()
    await tell(one, COUNTS, times=3)
    fleets.is_cut_off = False
    fleets.moving.move(UNREAD_CACHED_FOR_S)
    assert await reason(one) == await reason(other)
    await tell(one, COUNTS, times=3)
    fleets.moving.move(CALM_CACHED_FOR_S)
    assert await reason(one) == await reason(other) == OpenReason.FAILING


async def test_a_table_that_hangs_is_waited_for_only_a_moment(fleets, monkeypatch):
    released = threading.Event()
    process = fleets.process()
    monkeypatch.setattr(fleet_module, "ANSWERED_WITHIN_S", 0.05)
    monkeypatch.setattr(fleets.store, "read", lambda _: released.wait(5) and {})
    try:
        assert (await process.current()).health == {}
    finally:
        released.set()


# The store.


def test_a_swap_succeeds_only_where_nobody_was_before(fleets):
    fleets.store.swap("breaker#a/b", None, "1")
    with pytest.raises(OvertakenError) as caught:
        fleets.store.swap("breaker#a/b", None, "2")
    assert caught.value.current == "1"
    fleets.store.swap("breaker#a/b", "1", "2")
    with pytest.raises(OvertakenError):
        fleets.store.swap("breaker#a/b", "1", None)
    fleets.store.swap("breaker#a/b", "2", None)
    assert fleets.store.read([Shared.FLEET])[Shared.FLEET].keys() <= {"pk"}


def test_what_is_not_there_is_read_as_nothing(fleets):
    assert fleets.store.read(list(Shared)) == {Shared.FLEET: {}, Shared.FACTS: {}}
