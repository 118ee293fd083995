"""`POST /estimate`: the plan without the call."""

from __future__ import annotations

import boto3
import pytest

import handlers
from integration.tables import STATE_TABLE
from llm_router import fleet_items
from llm_router.fleet_store import FleetStore
from llm_router.routing import Facts

BODIES = [
    {"prompt": "Hello", "max_tokens": 100},
    {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100},
]


@pytest.mark.parametrize("body", BODIES, ids=["generate", "chat"])
def test_the_plan_is_told_in_order_with_costs_and_reasons_and_nobody_is_called(router, body):
    status, _, told = router.start().call(handlers.post("/estimate", body))
    assert status == 200
    assert [place["provider"] for place in told["candidates"]] == ["cheap", "dear"]
    assert told["candidates"][0]["expectedCost"] < told["candidates"][1]["expectedCost"]
    assert told["candidates"][0]["reason"].startswith("cheapest")
    assert router.cheap.calls == router.dear.calls == router.records() == []


def test_what_is_left_out_is_told_with_its_reason(router):
    body = BODIES[1] | {"provider": {"ignore": ["cheap"], "max_price": {"prompt": 1}}}
    _, _, told = router.start().call(handlers.post("/estimate", body))
    assert told["candidates"] == []
    assert {item["provider"]: item["reason"] for item in told["excluded"]} == {
        "cheap": "not_wanted",
        "dear": "max_price",
    }


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"messages": []}, "messages"),
        ({"prompt": "a", "model": "nobody"}, "model"),
        ("{", None),
        ([], None),
    ],
)
def test_a_bad_body_is_refused_as_it_would_be_at_the_door_itself(router, body, param):
    status, _, told = router.start().call(handlers.post("/estimate", body))
    assert (status, told["error"]["param"]) == (400, param)


@pytest.mark.parametrize(("body", "first"), [(BODIES[0], "dear"), (BODIES[1], "cheap")], ids=["generate", "chat"])
def test_a_chat_is_reckoned_with_the_time_of_its_own_door(router, body, first):
    """A minute is too much behind the gateway, not where answers are streamed."""
    facts = fleet_items.facts_text({"cheap/small": Facts(latency_ms=60_000)})
    FleetStore(lambda: boto3.client("dynamodb"), table=STATE_TABLE).put_facts(facts)
    _, _, told = router.start().call(handlers.post("/estimate", body))
    assert told["candidates"][0]["provider"] == first


def test_a_chat_is_reckoned_with_the_time_that_its_caller_gives_it(router):
    facts = fleet_items.facts_text({"cheap/small": Facts(latency_ms=60_000)})
    FleetStore(lambda: boto3.client("dynamodb"), table=STATE_TABLE).put_facts(facts)
    _, _, told = router.start().call(handlers.post("/estimate", BODIES[1], **{"x-router-timeout-s": "30"}))
    assert told["candidates"][0]["provider"] == "dear"
