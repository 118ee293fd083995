"""`POST /estimate`: the plan without the call."""

from __future__ import annotations

import pytest

import handlers

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
