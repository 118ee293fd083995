"""Several router processes that share one DynamoDB, while a provider or the DynamoDB itself goes down.

What is counted is counted while nothing is under way, and how long anything takes says nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from infra.bench.fleet import load, members, provider, scenarios
from infra.bench.fleet.members import CANDIDATE, CHEAP, DEAR
from infra.bench.fleet.provider import State
from infra.bench.fleet.scenarios import Stage, until
from infra.bench.fleet.watch import Watch

ROUTERS = 3
PATIENCE_S = 30.0
"""A busy machine is no DynamoDB that is out of reach."""

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@asynccontextmanager
async def fleet(folder, **settings):
    async with provider.serving() as cheap, provider.serving() as dear:
        urls = {"cheap_url": cheap.base_url, "dear_url": dear.base_url}
        with members.running(folder, routers=ROUTERS, **urls, **settings) as running:
            async with load.callers(running.urls) as asking:
                yield Stage(running, cheap, asking, Watch(running.store, CANDIDATE))


async def ask_all(stage, *, times=1):
    """Every process, `times` at once. Returns who served."""
    asked = await asyncio.gather(*(stage.load.ask(number) for number in [*range(ROUTERS)] * times))
    return [one.provider for one in asked]


async def is_known_by_all(stage):
    """Every process says the same of the breaker, and that it is not closed."""
    states = await scenarios.states(stage)
    return states[0]["state"] != "closed" and all(state == states[0] for state in states)


async def breaker(stage):
    while (health := await stage.watch.look()) is None:
        pass
    return health


@pytest.mark.parametrize("fault", [State.RESETTING, State.OVERLOADED])
async def test_a_dead_provider_is_tried_once_for_each_cool_down_by_the_whole_fleet(tmp_path, fault):
    async with fleet(tmp_path, patience_s=PATIENCE_S) as stage:
        assert await ask_all(stage) == [CHEAP] * ROUTERS
        stage.provider.turn(fault)

        async def has_opened():
            await stage.load.ask(0)
            return (await breaker(stage)).reason is not None

        await until(has_opened)
        await until(lambda: is_known_by_all(stage))
        opened, tried = (await breaker(stage)).openings, len(stage.provider.down_hits())

        async def has_opened_again():
            await ask_all(stage, times=4)
            return (await breaker(stage)).openings > opened

        await until(has_opened_again)
        assert len(stage.provider.down_hits()) - tried == (await breaker(stage)).openings - opened

        stage.provider.turn(State.UP)

        async def is_used_by_all():
            return set(await ask_all(stage)) == {CHEAP}

        await until(is_used_by_all)
        assert all(one.is_answered for one in stage.load.asked)


async def test_without_dynamodb_answers_go_on_and_with_it_the_fleet_agrees_again(tmp_path):
    async with fleet(tmp_path) as stage:
        stage.members.emulator.kill()
        assert await ask_all(stage) == [CHEAP] * ROUTERS
        stage.provider.turn(State.OVERLOADED)
        assert await ask_all(stage, times=2) == [DEAR] * ROUTERS * 2
        await asyncio.to_thread(stage.members.emulator.start)

        async def is_agreed_on():
            await ask_all(stage)
            return (await breaker(stage)).reason is not None and await is_known_by_all(stage)

        await until(is_agreed_on)
        assert all(one.is_answered for one in stage.load.asked)
