"""`POST /v1/chat/completions` over real HTTP, answered in one piece: what providers say, and what callers get."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import pytest

import served_router
from integration import records
from integration.conftest import open_books
from integration.tables import STATE_TABLE
from llm_router import fleet_items, routing_facts
from llm_router.fleet_store import FleetStore
from llm_router.usage import CostBasis, Outcome, RecordState
from served_router import COMES_TO_BE_WITHIN_S, request, until
from streaming_provider import (
    USAGE,
    chunk,
    completion,
    delta,
    fragments,
    in_turn,
    refuses,
    refuses_stream_options,
    refuses_streams,
    says,
    streams,
    text_events,
)

FIRST, SECOND = says("First."), says("Second.")


def choice(index=0, finish="stop", logprobs=None, **message):
    said = {"role": "assistant", "content": None, **message}
    return {"index": index, "message": said, "logprobs": logprobs, "finish_reason": finish}


def call(at, name, arguments):
    return {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
TOKENS = [{"token": piece, "logprob": -0.25, "bytes": [65], "top_logprobs": []} for piece in ("Hel", "lo")]

WHOLES = {
    "text": ({}, completion("Grüße, 世界!")),
    "two calls side by side": (
        {"tools": TOOLS},
        completion(
            choices=[
                choice(
                    finish="tool_calls",
                    tool_calls=[call(0, "weather", {"city": "Zürich"}), call(1, "weather", {"city": "Oslo"})],
                )
            ]
        ),
    ),
    "text and a call": (
        {"tools": TOOLS},
        completion(
            choices=[choice(finish="tool_calls", content="Let me see.", tool_calls=[call(0, "weather", {})])],
        ),
    ),
    "a refusal": ({}, completion(choices=[choice(refusal="I can't help with that.")])),
    "reasoning": ({}, completion(choices=[choice(content="42", reasoning_content="Six times seven is …")])),
    "reasoning that used all tokens": (
        {"max_tokens": 5},
        completion(choices=[choice(finish="length", reasoning_content="Six times")]),
    ),
    "cut at the limit": ({"max_tokens": 5}, completion("Once upon a", finish="length")),
    "several choices": (
        {"n": 3},
        completion(
            choices=[choice(0, content="One."), choice(1, content="Two, longer."), choice(2, "length", content="Th")]
        ),
    ),
    "logprobs": (
        {"logprobs": True},
        completion(choices=[choice(content="Hello", logprobs={"content": TOKENS, "refusal": None})]),
    ),
    "fields that nobody knows": (
        {"x_new": {"deep": [1.5, None]}},
        completion(system_fingerprint="fp_1", service_tier="default", x_also_new=["a", "b"]),
    ),
}
"""What is asked for, and the whole answer."""


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("name", WHOLES)
def test_an_answer_put_together_from_a_stream_is_the_one_that_comes_in_one_piece(start, name, size):
    asked, whole = WHOLES[name]
    streamed = streams(*fragments(whole, size=size))
    router = start(first=streamed, second=lambda wire: wire.json(200, whole))
    from_stream = router.ask(model="first/model", **asked)
    in_one_piece = router.ask(model="second/model", **asked)
    assert from_stream.status_code == in_one_piece.status_code == 200
    told, expected = from_stream.json(), in_one_piece.json()
    for body in (told, expected):
        assert body["usage"].pop("cost") > 0
        assert body["usage"].pop("cost_basis") == "exact"
    missing = {"content": None}
    for body in (told, expected, whole := json.loads(json.dumps(whole))):
        for part in body["choices"]:
            part["message"] = missing | part["message"]
    assert told == expected == whole
    assert router.providers["first"].calls[0].is_streamed


def sent_to(router, name="first", number=0):
    return router.providers[name].calls[number].body


def test_upstream_is_asked_for_a_stream_with_its_usage(start):
    router = start(first=FIRST)
    router.ask()
    assert sent_to(router)["stream"] is True
    assert sent_to(router)["stream_options"] == {"include_usage": True}


# Usage and cost.


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(text_events("Hello."), id="in the last chunk"),
        pytest.param([*text_events("Hello.", usage=None), chunk(usage=USAGE) | {"choices": None}], id="choices null"),
        pytest.param(
            [chunk(delta(content="Hello.")), chunk(delta(finish="stop"), usage=USAGE)], id="beside the finish reason"
        ),
        pytest.param(
            [
                chunk(delta(content="Hello."), usage={"prompt_tokens": 10, "completion_tokens": 1}),
                chunk(delta(finish="stop"), usage=USAGE),
            ],
            id="growing in every chunk",
        ),
        pytest.param(
            [chunk(delta(content="Hello.")), chunk(delta(finish="stop"), x_groq={"id": "r", "usage": USAGE})],
            id="in x_groq",
        ),
    ],
)
def test_usage_is_found_wherever_a_provider_puts_it(start, events):
    router = start(first=streams(*events))
    answer = router.ask()
    usage = served_router.decoded(answer.text)["usage"]
    assert usage == {**USAGE, "cost": Decimal("0.000001"), "cost_basis": "exact"}
    assert answer.headers["x-router-cost-usd"] == "0.000001"
    assert answer.headers["x-router-cost-basis"] == "exact"
    assert router.record().cost.usd == Decimal("0.000001")


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"prompt_tokens": 10},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    ],
    ids=["missing", "half", "null", "zero"],
)
def test_usage_that_is_missing_or_cannot_be_is_estimated_and_called_so(start, usage):
    router = start(first=says("Hello, hello, hello.", usage=usage))
    told = served_router.decoded(router.ask().text)["usage"]
    record = router.record()
    assert told["cost_basis"] == "estimated"
    assert told["cost"] == record.cost.usd > 0
    assert told["prompt_tokens"] == record.tokens.prompt > 0
    assert told["completion_tokens"] == record.tokens.completion > 0
    assert told["total_tokens"] == record.tokens.total


def test_the_cost_is_an_exact_decimal(start):
    """No float could hold it: 10 * 0.05 + 5 * 0.1, a millionth of it, and a failure before it that cost nothing."""
    usage = {"prompt_tokens": 10_000_001, "completion_tokens": 3_000_007, "total_tokens": 13_000_008}
    answer = start(first=says("Hello.", usage=usage)).ask()
    assert '"cost":0.80000075' in answer.text
    assert answer.headers["x-router-cost-usd"] == "0.80000075"


def test_what_a_failed_attempt_cost_is_in_the_cost(start):
    cut = streams(chunk(delta(content="Hel"), usage=USAGE), with_done=False)
    router = start(first=cut, second=SECOND)
    usage = served_router.decoded(router.ask().text)["usage"]
    assert usage["cost"] == Decimal("0.000001") + Decimal("0.0001")
    assert usage["total_tokens"] == 15


# Failover.


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        pytest.param(refuses(503), Outcome.OVERLOADED, id="overloaded"),
        pytest.param(lambda wire: wire.reset(), Outcome.UNREACHABLE, id="reset"),
        pytest.param(streams(chunk(delta(content="Hel")), with_done=False), Outcome.CUT, id="cut"),
        pytest.param(
            streams({"error": {"message": "no", "code": 502}}), Outcome.MALFORMED, id="an error in the stream"
        ),
        pytest.param(
            streams(chunk(delta(content="Hel")), {"error": {"message": "no"}}), Outcome.MALFORMED, id="an error later"
        ),
        pytest.param(
            streams(chunk(delta(tool_calls=[{"index": 0, "id": "a", "function": {"arguments": '{"q'}}]))),
            Outcome.CUT,
            id="a call that never closes",
        ),
    ],
)
def test_what_one_provider_breaks_off_another_answers(start, script, outcome):
    router = start(first=script, second=SECOND)
    answer = router.ask(tools=TOOLS)
    assert answer.json()["choices"][0]["message"]["content"] == "Second."
    assert answer.headers["x-router-provider"] == "second"
    assert answer.headers["x-router-reason"] == f"after {outcome.value}"
    record = router.record()
    assert {attempt.outcome for attempt in record.attempts} == {outcome, Outcome.SUCCESS}
    assert answer.headers["x-router-attempts"] == str(len(record.attempts))


@pytest.mark.parametrize("limit", ["first_token_timeout_s", "idle_timeout_s"])
def test_silence_past_the_configured_limit_leads_to_the_next(start, limit):
    def script(wire):
        wire.begin()
        wire.event(chunk(delta(role="assistant")))
        if limit == "idle_timeout_s":
            wire.event(chunk(delta(content="Hel")))
        wire.wait_for_hang_up()

    router = start(first=script, second=SECOND, limits={limit: 0.3})
    assert router.ask().json()["choices"][0]["message"]["content"] == "Second."
    first, second = router.record().attempts
    assert (first.outcome, second.outcome) == (Outcome.TIMEOUT, Outcome.SUCCESS)
    assert first.cost.basis is CostBasis.ESTIMATED
    assert first.cost.usd > 0


def test_a_provider_that_refuses_streams_is_read_in_one_piece_and_that_is_remembered(start):
    router = start(first=refuses_streams(completion("Whole.")))
    for _ in range(2):
        answer = router.ask()
        assert answer.json()["choices"][0]["message"]["content"] == "Whole."
    assert [wire.is_streamed for wire in router.providers["first"].calls] == [True, False, False]
    assert all("stream_options" not in wire.body for wire in router.providers["first"].calls[1:])


def test_a_provider_that_may_not_be_asked_to_count_is_still_streamed_and_that_is_remembered(start):
    router = start(first=refuses_stream_options("Streamed."))
    for _ in range(2):
        assert router.ask().json()["choices"][0]["message"]["content"] == "Streamed."
    calls = router.providers["first"].calls
    assert [wire.is_streamed for wire in calls] == [True, True, True]
    assert ["stream_options" in wire.body for wire in calls] == [True, False, False]
    assert sorted(len(record.attempts) for record in router.records()) == [1, 2]


def test_a_fault_in_reading_costs_neither_the_answer_nor_its_shape(start):
    """Nested beyond what can be read: the next one answers."""
    deep = b'{"choices":[{"index":0,"delta":{"x":' + b'{"x":' * 2000 + b"1" + b"}" * 2000 + b"}}]}"
    router = start(first=streams(chunk(delta(content="Hel")), deep), second=SECOND)
    assert router.ask().json()["choices"][0]["message"]["content"] == "Second."
    assert router.record().attempts[0].outcome is Outcome.MALFORMED


# Who may serve.


def know_latencies(dynamodb, **latency_ms):
    """What the fleet knows, as the stats function has written it."""
    books = open_books(dynamodb)
    for name, milliseconds in latency_ms.items():
        candidate = f"{name}/model"
        opened = books.ledger.insert(records.pending(books, candidate=candidate))
        served = records.attempt(candidate, latency_ms=milliseconds)
        books.ledger.settle(records.settled(opened, served, at=books.moving.at))
    books.moving.move(120)
    assert books.aggregator.run(limit_s=10).records == len(latency_ms)
    facts = routing_facts.gathered(books.checkpoints, now=books.moving.at)
    FleetStore(lambda: dynamodb, table=STATE_TABLE).put_facts(fleet_items.facts_text(facts))


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({}, "first"),
        ({"model": "second/model"}, "second"),
        ({"model": "second/model", "models": ["first/model"]}, "second"),
        ({"model": "auto", "models": ["second/model"]}, "first"),
        ({"model": None, "models": ["second/model"]}, "second"),
        ({"model": None, "models": ["second/model", "auto"]}, "second"),
        ({"model": None}, "first"),
        ({"model": "dear"}, "second"),
        ({"model": "dear", "models": ["auto"]}, "second"),
        ({"provider": {"sort": "latency"}}, "second"),
        ({"provider": {"sort": "throughput"}}, "second"),
        ({"strategy": "fastest"}, "second"),
        ({"provider": {"sort": "latency", "only": ["first"]}}, "first"),
        ({"strategy": "cheapest", "provider": {"sort": "latency"}}, "first"),
        ({"strategy": "priority"}, "first"),
        ({"provider": {"order": ["second"]}}, "second"),
        ({"provider": {"order": ["Second"]}}, "second"),
        ({"provider": {"ignore": ["First"]}}, "second"),
        ({"model": "dear", "models": ["auto"], "provider": {"sort": "price"}}, "second"),
        ({"model": "dear", "models": ["auto"], "provider": {"sort": {"by": "price", "partition": "none"}}}, "first"),
        ({"model": "dear", "models": ["auto"], "provider": {"order": ["first"]}}, "second"),
        ({"provider": {"order": ["nobody", "second", "first"]}}, "second"),
        ({"provider": {"only": ["second"]}}, "second"),
        ({"provider": {"ignore": ["first"]}}, "second"),
        ({"provider": {"sort": "price"}}, "first"),
        ({"provider": {"max_price": {"prompt": 1, "completion": 1}}}, "first"),
        ({"provider": {"max_price": {"prompt": "1.5"}}}, "first"),
        ({"provider": {"order": ["second"], "allow_fallbacks": False}}, "second"),
    ],
)
def test_wishes_decide_who_serves(dynamodb, start, asked, served):
    """The first is cheap and was slow, the second is dear and was quick; `dear` is a route of its own."""
    router = start(first=FIRST, second=SECOND, routes={"dear": {"candidates": ["second/model"]}})
    know_latencies(dynamodb, first=900, second=90)
    answer = router.ask(**asked)
    assert answer.headers["x-router-provider"] == served
    assert "provider" not in sent_to(router, served)
    assert "models" not in sent_to(router, served)
    assert sent_to(router, served)["model"] == "model"


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ({"model": "first/model", "models": ["third/model", "second/model"]}, "third"),
        ({"provider": {"order": ["first", "third"]}}, "third"),
        ({"provider": {"order": ["first", "third"], "allow_fallbacks": False}}, "third"),
        ({"provider": {"ignore": ["second"]}}, "third"),
        ({}, "second"),
    ],
)
def test_after_a_failure_the_next_is_the_one_that_was_wished_for(start, asked, served):
    router = start(first=refuses(503), second=SECOND, third=says("Third."))
    answer = router.ask(**asked)
    assert answer.headers["x-router-provider"] == served


@pytest.mark.parametrize(
    "asked",
    [
        {"provider": {"allow_fallbacks": False}},
        {"provider": {"order": ["first"], "allow_fallbacks": False}},
        {"provider": {"only": ["first"]}},
        {"provider": {"max_price": {"prompt": 1}}},
        {"model": "first/model"},
    ],
)
def test_who_was_ruled_out_is_not_asked_though_all_others_fail(start, asked):
    router = start(first=refuses(503), second=SECOND)
    answer = router.ask(**asked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "all_providers_failed")
    assert answer.headers["x-should-retry"] == "false"
    assert [row["provider"] for row in answer.json()["attempts"]] == ["first"]
    assert router.providers["second"].calls == []


@pytest.mark.parametrize(
    "wishes",
    [{"only": ["nobody"]}, {"ignore": ["first", "second"]}, {"max_price": {"prompt": 0.01}}],
)
def test_wishes_that_leave_nobody_are_the_requests_fault(start, wishes):
    router = start(first=FIRST, second=SECOND)
    answer = router.ask(provider=wishes)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": answer.json()["error"]["message"],
        "type": "invalid_request_error",
        "param": "provider",
        "code": "invalid_request",
    }
    assert router.providers["first"].calls == router.providers["second"].calls == []


FEATURES = {
    "tools": {"tools": TOOLS},
    "json_mode": {"response_format": {"type": "json_object"}},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    "images": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ],
            }
        ]
    },
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
}


def lacking(server, **lacks):
    """A configuration in which each named provider lacks something."""
    import yaml

    found = yaml.safe_load(served_router.configuration(server))
    for provider in found["providers"]:
        if lacks.get(provider["name"]):
            provider["models"][0]["lacks"] = lacks[provider["name"]]
    return yaml.safe_dump(found)


@pytest.fixture
def start_lacking(dynamodb, tmp_path):
    """A router whose first provider, and whose second if said so, lacks a feature."""
    del dynamodb
    from contextlib import ExitStack

    import streaming_provider

    with ExitStack() as started:

        def start(*, first, second=()):
            server = started.enter_context(streaming_provider.serving())
            two = completion(choices=[choice(0, content="A"), choice(1, content="B")])
            for name in ("first", "second"):
                server.add(name, streams(*fragments(two, size=5)))
            file = tmp_path / "providers.yaml"
            file.write_text(lacking(server, first=list(first), second=list(second)))
            return started.enter_context(served_router.serving(file, server))

        yield start


@pytest.mark.parametrize("feature", FEATURES)
def test_who_lacks_what_the_request_needs_is_passed_over(start_lacking, feature):
    router = start_lacking(first=[feature])
    assert router.ask(**FEATURES[feature]).headers["x-router-provider"] == "second"
    assert router.ask().headers["x-router-provider"] == "first"


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_nobody_can_do_is_named(start_lacking, feature, is_streamed):
    router = start_lacking(first=[feature], second=[feature])
    answer = router.ask(**FEATURES[feature], stream=is_streamed)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("invalid_request", "invalid_request_error")
    assert feature in error["message"].rstrip(".").split(": ")[1].split(", ")
    assert not [wire for provider in router.providers.values() for wire in provider.calls]


# What goes upstream.


def test_fields_that_the_router_does_not_know_go_upstream_as_they_came(start):
    router = start(first=FIRST)
    unknown = {
        "temperature": 0.7,
        "top_p": 0.30000000000000004,
        "seed": 7,
        "stop": ["\n", "END"],
        "logit_bias": {"50256": -100},
        "user": "someone",
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "tools": TOOLS,
        "reasoning_effort": "low",
        "x_new": {"deep": [{"a": 1.10, "b": None}, [], {}], "stream": True},
        "response_format": {"type": "text"},
    }
    router.ask(**unknown)
    sent = sent_to(router)
    assert {name: sent[name] for name in unknown} == unknown


def test_numbers_reach_the_provider_digit_by_digit(start):
    router = start(first=FIRST)
    numbers = b'"x":0.1000000000000000055511151231257827,"y":12345678901234567890'
    body = b'{"messages":[{"role":"user","content":"Hi"}],' + numbers + b"}"
    router.client.post("/v1/chat/completions", content=body)
    assert sent_to(router)["y"] == 12345678901234567890
    assert router.record().attempts[0].outcome is Outcome.SUCCESS


def test_messages_go_upstream_as_they_came(start):
    messages = [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "file", "file": {"file_id": "f"}}]},
        {"role": "assistant", "content": None, "tool_calls": [call(0, "weather", {"city": "Oslo"})]},
        {"role": "tool", "tool_call_id": "call_0", "content": "Rain."},
        {"role": "assistant", "content": "It rains.", "refusal": None, "x_note": {"a": [1]}},
        {"role": "user", "content": ""},
        {"role": "user", "content": "And tomorrow?"},
    ]
    router = start(first=FIRST)
    assert router.ask(messages=messages).status_code == 200
    assert sent_to(router)["messages"] == messages


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_on_the_answer_is_sent_as_the_caller_spells_it_where_nobody_knows_better(start, name):
    router = start(first=FIRST, limits={"max_output_tokens": 50})
    router.ask(**{name: 20})
    router.ask(**{name: 100})
    limits = [{key: wire.body[key] for key in wire.body if "max_" in key} for wire in router.providers["first"].calls]
    assert limits == [{name: 20}, {name: 50}]


def test_metadata_stays_here_unless_the_provider_is_to_store_it(start):
    router = start(first=FIRST)
    router.ask(metadata={"team": "a"})
    assert "metadata" not in sent_to(router)
    assert router.record().metadata == {"team": "a"}
    router.ask(metadata={"team": "a"}, store=True)
    assert sent_to(router, number=1)["metadata"] == {"team": "a"}


# Errors.


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": ["Hello"]}, "messages.0"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"model": "nobody"}, "model"),
        ({"model": "first/nobody"}, "model"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"provider": {"sort": "colour"}}, "provider.sort"),
        ({"provider": {"max_price": {"prompt": -1}}}, "provider.max_price"),
        ({"strategy": "luck"}, "strategy"),
        ({"model": "first/model", "models": ["nobody"]}, "models"),
        ({"model": None, "models": ["nobody"]}, "models"),
    ],
)
def test_a_bad_request_is_refused_with_its_field(start, asked, param, is_streamed):
    answer = start(first=FIRST).ask(**{**asked, "stream": is_streamed})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (error["code"], error["type"]) == ("invalid_request", "invalid_request_error")
    assert error["param"].startswith(param)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (refuses(503), (502, "all_providers_failed", "false")),
        (refuses(400, "context_length_exceeded"), (400, "context_length_exceeded", None)),
        (refuses(400, "content_filter"), (400, "content_filter", None)),
        (refuses(400, "weird", "temperature"), (400, "invalid_request", None)),
        (streams(chunk(delta(content="x")), with_done=False), (502, "all_providers_failed", "false")),
    ],
)
@pytest.mark.parametrize("delivery", ["none", "verified"])
def test_what_no_provider_could_answer_is_an_error_in_openais_shape(start, delivery, script, expected):
    """The same before a stream has begun as without one."""
    router = start(first=script)
    verified = {"headers": {"x-router-delivery": "verified"}, "stream": True} if delivery == "verified" else {}
    answer = router.ask(**verified)
    code = answer.json()["error"]["code"]
    assert (answer.status_code, code, answer.headers.get("x-should-retry")) == expected
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == router.record().request_id
    assert "told by the provider" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_a_prompt_that_is_too_long_is_called_what_the_caller_calls_it(start):
    answer = start(first=refuses(400, "context_length_exceeded")).ask()
    assert answer.json()["error"]["param"] == "messages"


def test_while_all_are_rate_limited_the_soonest_time_is_told(start):
    router = start(first=refuses(429, "rate_limit_exceeded", retry_after="30"))
    router.ask()
    answer = router.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_provider_available")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert "x-should-retry" not in answer.headers


def test_the_routes_deadline_is_kept(start):
    def script(wire):
        wire.begin()
        wire.event(chunk(delta(content="Hel")))
        wire.wait_for_hang_up()

    router = start(first=script, route={"timeout_s": 2})
    answer = router.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert answer.headers["x-should-retry"] == "false"
    assert router.record().attempts[0].outcome is Outcome.OUT_OF_TIME


def test_an_answer_that_flows_past_the_deadline_is_not_held_against_its_provider(start):
    """Three times, which would open a breaker."""

    def script(wire):
        wire.begin()
        wire.event(chunk(delta(content="Hel")))
        wire.wait_for_hang_up()

    router = start(first=script, route={"timeout_s": 2})
    for _ in range(3):
        assert router.ask().status_code == 504
    (candidate,) = router.client.get("/providers").json()["candidates"]
    assert candidate["state"] == "closed"


def test_the_simple_door_lets_the_provider_go_when_its_caller_hangs_up(start):
    router = start(first=lambda wire: wire.wait_for_hang_up())
    with pytest.raises(httpx.ReadTimeout):
        router.client.post("/generate", json={"prompt": "Hello"}, timeout=0.5)
    (record,) = until(lambda: [found for found in router.records() if found.state is RecordState.SETTLED])
    assert record.attempts[0].outcome is Outcome.ABANDONED


def showing(size_bytes):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * size_bytes}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]


def test_a_large_image_goes_upstream_as_it_came_and_is_no_long_prompt(start):
    router = start(first=FIRST, limits={"context_window": 10_000})
    assert router.ask(messages=showing(3_000_000)).status_code == 200
    assert sent_to(router)["messages"] == showing(3_000_000)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_an_image_over_the_limit_is_refused_and_not_kept(start, is_streamed):
    router = start(first=FIRST)
    answer = router.ask(messages=showing(6_000_000), stream=is_streamed)
    assert router.providers["first"].calls == []
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert router.records() == []


def test_a_model_that_names_itself_is_named_and_one_that_does_not_is_named_all_the_same(start):
    anonymous = [{name: value for name, value in event.items() if name != "model"} for event in text_events("Hi.")]
    router = start(first=streams(*anonymous), second=SECOND)
    assert router.ask().json()["model"] == "model"
    assert router.ask(model="second/model").json()["model"] == "served-model"


def test_many_at_once_are_kept_apart(start):
    from concurrent.futures import ThreadPoolExecutor

    def echo(wire):
        streams(*text_events(*wire.body["messages"][0]["content"]))(wire)

    router = start(first=echo)
    texts = [f"Answer number {number}." for number in range(24)]
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(router.ask, messages=[{"role": "user", "content": text}]) for text in texts]
        told = [future.result(COMES_TO_BE_WITHIN_S).json()["choices"][0]["message"]["content"] for future in asked]
    assert told == texts
    assert len(router.records()) == len(texts)


def test_a_server_that_is_not_lambda_hands_over_an_answer_of_any_size(start):
    whole = completion('"' * 1_700_000)
    router = start(first=lambda wire: wire.json(200, whole))
    assert router.ask().json()["choices"] == whole["choices"]


def test_models_list_routes_and_candidates(start):
    listed = start(first=FIRST, second=SECOND).client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [(row["id"], row["object"]) for row in listed["data"]] == [
        ("auto", "model"),
        ("first/model", "model"),
        ("second/model", "model"),
    ]


def test_one_model_is_told_as_in_the_list_and_one_that_is_none_is_not_found(start):
    client = start(first=FIRST).client
    for model in client.get("/v1/models").json()["data"]:
        assert client.get(f"/v1/models/{model['id']}").json() == model
    nobody = client.get("/v1/models/first/nobody")
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (404, "not_found")


def test_a_hundred_thousand_wrong_messages_are_one_error(start):
    answer = start(first=FIRST).client.post("/v1/chat/completions", json={"messages": [1] * 100_000})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "messages.0"


def test_a_later_answer_of_a_provider_that_failed_once_is_taken(start):
    router = start(first=in_turn(refuses(503), FIRST), second=SECOND)
    assert [router.ask().headers["x-router-provider"] for _ in range(2)] == ["second", "first"]
    assert request()["model"] == "auto"
