"""`stream: true` over real HTTP: what a caller sees and when, and what the ledger says of one who leaves early."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from integration.tables import STATE_TABLE
from llm_router import fleet_items, live
from llm_router.fitting import Fitter
from llm_router.fleet_store import FleetStore
from llm_router.health import Health, OpenReason
from llm_router.usage import CostBasis, Outcome
from served_router import COMES_TO_BE_WITHIN_S, request, until
from streaming_provider import (
    USAGE,
    Gate,
    as_event,
    chunk,
    completion,
    delta,
    fragments,
    in_turn,
    refuses,
    refuses_streams,
    says,
    streams,
    text_events,
)

SECOND = says("Second.")
WITH_USAGE = {"stream_options": {"include_usage": True}}
VERIFIED = {"x-router-delivery": "verified"}
WORD = chunk(delta(content="Hel"))
EXACT_USD = Decimal("0.000001")
"""Of `USAGE` at the first provider's prices."""


@pytest.fixture
def gate():
    """A gate that is open at the end, whatever became of the test: no script waits for one that failed."""
    found = Gate()
    yield found
    found.set()


# How an answer comes.


def test_each_chunk_arrives_before_the_provider_has_said_the_next(start):
    with ExitStack() as opened:
        gates = [Gate() for _ in range(4)]
        opened.callback(lambda: [found.set() for found in gates])

        def script(wire):
            events = text_events("one ", "two ", "three ")
            for found, event in zip(gates, events[1:4], strict=False):
                found.pass_through()
                wire.event(event)
            gates[3].pass_through()
            streams(*events[4:])(wire)

        router = start(first=script)
        gates[0].set()
        with router.open() as stream:
            for at, word in enumerate(("one ", "two ", "three ")):
                assert stream.next_chunk()["choices"][0]["delta"]["content"] == word
                gates[at + 1].set()
            assert stream.rest().is_done


def test_a_provider_that_begins_to_answer_its_probe_serves_others_before_it_has_ended(start, dynamodb, gate):
    """An answer may take minutes."""

    def script(wire):
        if wire.number == 1:
            wire.event(text_events("A long ")[1])
            gate.pass_through()
            streams(*text_events("answer.")[1:])(wire)
        else:
            says("Hello.")(wire)

    router = start(first=script, second=SECOND)
    past = datetime(2026, 11, 1, tzinfo=UTC)
    opened = Health(openings=1, reason=OpenReason.FAILING, opened_at=past, open_until=past)
    store = FleetStore(lambda: dynamodb, table=STATE_TABLE)
    store.put("breaker#first/model", fleet_items.breaker_text(opened))
    with router.open() as probe:
        assert probe.next_chunk()["choices"][0]["delta"]["content"] == "A long "
        until(lambda: router.client.get("/providers").json()["candidates"][0]["state"] == "closed")
        assert router.ask().json()["choices"][0]["message"]["content"] == "Hello."
        gate.set()
        assert probe.rest().is_done


def test_what_is_known_at_the_first_byte_is_in_the_headers_and_the_rest_in_the_last_chunk(start):
    router = start(first=refuses(503), second=SECOND)
    found = router.stream(**WITH_USAGE)
    record = router.record()
    assert found.status == 200
    assert found.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert found.headers["cache-control"] == "no-cache"
    assert found.headers["x-request-id"] == record.request_id
    assert found.headers["x-router-provider"] == "second"
    assert found.headers["x-router-model"] == "model"
    assert found.headers["x-router-attempts"] == "2"
    assert found.headers["x-router-reason"] == "after overloaded"
    *_, last = found.chunks
    assert last["choices"] == []
    assert last["usage"] == {**USAGE, "cost": record.cost.usd, "cost_basis": "exact"}
    assert list(last["x_router"]) == ["overhead_ms"]
    assert not any("x_router" in part for part in found.chunks[:-1])


@pytest.mark.parametrize("asked", [{}, WITH_USAGE], ids=["plain", "with usage"])
def test_a_verified_stream_has_all_in_its_headers(start, asked):
    found = start(first=says("Hello.")).stream(headers=VERIFIED, **asked)
    assert found.headers["x-router-overhead-ms"].isdigit()
    assert not any("x_router" in part for part in found.chunks)


@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_usage_and_cost_come_once_in_the_last_chunk(start, headers):
    """Where the caller did not ask for a chunk of usage, beside the finish reason: one without choices breaks many."""
    router = start(first=says("Hel", "lo."))
    told = {**USAGE, "cost": EXACT_USD, "cost_basis": "exact"}
    plain, asked = router.stream(headers=headers), router.stream(headers=headers, **WITH_USAGE)
    for found in (plain, asked):
        assert (found.text, found.is_done, found.usages) == ("Hello.", True, [told])
    assert plain.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert asked.chunks[-1]["choices"] == []
    assert all("usage" not in part for part in plain.chunks[:-1])
    assert all(part.get("usage") is None for part in asked.chunks[:-1])


RUNNING = [
    chunk(usage=USAGE),
    chunk(delta(role="assistant", content="Hel"), usage=USAGE, x_groq={"id": "req_1"}),
    chunk(usage=USAGE),
    chunk(delta(content="lo."), usage=USAGE),
    chunk(delta(finish="stop"), usage=USAGE, x_groq={"id": "req_1", "usage": USAGE}),
    chunk(usage=USAGE),
]


def test_usage_that_the_provider_tells_as_it_goes_is_the_routers_to_tell_at_the_end(start):
    """Naive clients take `choices[0]` of each chunk, and bill by each usage."""
    router = start(first=streams(*RUNNING))
    told = {**USAGE, "cost": EXACT_USD, "cost_basis": "exact"}
    plain, asked = router.stream(), router.stream(**WITH_USAGE)
    assert all(part["choices"] for part in plain.chunks)
    assert [part["choices"] == [] for part in asked.chunks] == [*[False] * (len(asked.chunks) - 1), True]
    for found in (plain, asked):
        assert (found.text, found.is_done, found.usages) == ("Hello.", True, [told])
        assert not any("x_groq" in part for part in found.chunks)


def test_calls_that_all_have_the_number_0_reach_the_caller_as_many(start):
    def said(call_id, arguments):
        function = {"name": "weather", "arguments": arguments}
        return chunk(delta(tool_calls=[{"index": 0, "id": call_id, "type": "function", "function": function}]))

    script = streams(said("a", '{"x":1}'), said("b", '{"y":2}'), chunk(delta(finish="tool_calls")), chunk(usage=USAGE))
    router = start(first=script)
    tools = [{"type": "function", "function": {"name": "weather"}}]
    shown = [
        (call["index"], call["id"])
        for part in router.stream(tools=tools).chunks
        for call in part["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert shown == [(0, "a"), (1, "b")]
    calls = router.ask(tools=tools).json()["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"x":1}', '{"y":2}']


def test_each_chunk_is_shown_as_it_comes_though_each_says_that_it_is_the_end(start):
    with ExitStack() as opened:
        gates = [Gate() for _ in range(2)]
        opened.callback(lambda: [found.set() for found in gates])

        def script(wire):
            for word in ("one ", "two "):
                wire.event(chunk(delta(content=word, finish="stop")))
            gates[0].pass_through()
            wire.event(chunk(delta(content="three", finish="stop")))
            gates[1].pass_through()
            wire.done()

        router = start(first=script)
        with router.open() as stream:
            assert [stream.next_chunk()["choices"][0]["delta"]["content"] for _ in range(2)] == ["one ", "two "]
            gates[0].set()
            choice = stream.next_chunk()["choices"][0]
            assert (choice["delta"]["content"], choice["finish_reason"]) == ("three", None)
            gates[1].set()
            rest = stream.rest()
    assert rest.is_done
    assert [part["choices"][0]["finish_reason"] for part in rest.chunks][-1] == "stop"


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 10}, {"prompt_tokens": 0, "completion_tokens": 0}])
def test_usage_that_the_provider_does_not_tell_is_estimated_and_called_so(start, usage):
    router = start(first=says("Hello, hello, hello.", usage=usage))
    (told,) = router.stream(**WITH_USAGE).usages
    record = router.record()
    assert (told["cost_basis"], told["cost"]) == ("estimated", record.cost.usd)
    assert told["prompt_tokens"] == record.tokens.prompt > 0
    assert told["completion_tokens"] == record.tokens.completion > 0


def with_noise(wire):
    """Comments, other fields and empty events, with carriage returns."""
    wire.begin()
    wire.comment()
    wire.send(b"event: message\r\nid: 1\r\nretry: 10\r\n")
    for event in text_events("Hel", "lo."):
        wire.send(b"\r\n\r\n")
        wire.event(event, b"\r\n")
        wire.comment("still here")
    wire.done()


def byte_by_byte(wire):
    wire.begin()
    for byte in b"".join(as_event(event, b"\r\n") for event in (*text_events("Hel", "lo."), b"[DONE]")):
        wire.send(bytes([byte]))


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(streams(*text_events("Hel", "lo."), line_end=b"\r\n"), id="CRLF"),
        pytest.param(with_noise, id="comments and other fields"),
        pytest.param(byte_by_byte, id="byte by byte"),
        pytest.param(streams(*text_events("Hel", "lo."), with_done=False), id="no [DONE]"),
        pytest.param(lambda wire: wire.json(200, completion()), id="in one piece all the same"),
        pytest.param(refuses_streams(completion()), id="refuses streams"),
        pytest.param(
            streams(chunk(delta(content="Hel", finish="")), chunk(delta(content="lo.", finish="")), *text_events()[1:]),
            id="empty finish reasons",
        ),
    ],
)
@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_a_caller_sees_one_clean_stream_however_the_provider_writes(start, script, headers):
    router = start(first=script)
    found = router.stream(headers=headers)
    assert (found.text, found.is_done, found.error, found.comments) == ("Hello.", True, None, 0)
    reasons = [choice["finish_reason"] for part in found.chunks for choice in part["choices"]]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert [usage["cost"] for usage in found.usages] == [EXACT_USD]
    assert router.record().cost.usd == EXACT_USD


def test_parallel_calls_and_several_choices_reach_the_caller_as_they_were_said(start):
    call = {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    whole = completion(
        choices=[
            {
                "index": 0,
                "message": {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "call_1"}]},
                "finish_reason": "tool_calls",
            },
            {"index": 1, "message": {"role": "assistant", "content": "Oslo?"}, "finish_reason": "stop"},
        ]
    )
    said = fragments(whole, size=3)
    router = start(first=streams(*said))
    found = router.stream(n=2, tools=[{"type": "function", "function": {"name": "weather"}}], **WITH_USAGE)
    assert [part["choices"] for part in found.chunks] == [part["choices"] for part in said]


def test_many_streams_at_once_are_kept_apart(start):
    def echo(wire):
        streams(*text_events(*wire.body["messages"][0]["content"]))(wire)

    router = start(first=echo)
    texts = [f"Answer number {number}." for number in range(24)]
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(router.stream, messages=[{"role": "user", "content": text}]) for text in texts]
        found = [future.result(COMES_TO_BE_WITHIN_S) for future in asked]
    assert [stream.text for stream in found] == texts
    assert all(stream.is_done for stream in found)
    assert len(router.records()) == len(texts)


@pytest.mark.parametrize("asked", [{}, {"stream": True}, {"stream": True, "headers": VERIFIED}])
def test_the_header_names_the_candidate_however_the_answer_comes_and_whatever_the_provider_calls_itself(start, asked):
    answer = start(first=says("Hello.")).ask(**asked)
    assert (answer.headers["x-router-provider"], answer.headers["x-router-model"]) == ("first", "model")
    assert '"model":"served-model"' in answer.text


# Sizes.


def test_a_thousand_tiny_chunks_arrive_as_a_thousand(start):
    found = start(first=says(*("x" for _ in range(1000)))).stream()
    assert found.is_done
    assert [part["choices"][0]["delta"].get("content") for part in found.chunks].count("x") == 1000


@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_one_enormous_chunk_arrives_whole(start, headers):
    found = start(first=says("x" * 4_000_000)).stream(headers=headers)
    assert found.is_done
    assert found.text == "x" * 4_000_000


def texts_without_end(wire):
    while True:
        wire.event(chunk(delta(content="x" * 100_000)))


def names_without_end(wire):
    """Each of them nothing by itself."""
    wire.event(WORD)
    for at in itertools.count():
        wire.event(chunk(delta(**{f"x{at}_{number}": "" for number in range(500)})))


@pytest.mark.parametrize("script", [texts_without_end, names_without_end])
def test_an_answer_without_end_is_broken_off_and_recorded(start, script):
    """What can be kept of one answer is bounded, and with it what can be judged and billed."""
    router = start(first=script)
    found = router.stream()
    assert found.error["code"] == "stream_broken"
    assert not found.is_done
    assert len(found.text) < 9_000_000
    record = router.record()
    assert (record.error, record.attempts[0].outcome) == ("stream_broken", Outcome.MALFORMED)
    assert record.tokens.completion >= len(found.text) // 4


# What breaks.


def silence(wire):
    wire.wait_for_hang_up()


DEEP = b'{"choices":[{"index":0,"delta":{"x":' + b'{"x":' * 2000 + b"1" + b"}" * 2000 + b"}}]}"
CALL = chunk(delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "find", "arguments": '{"q'}}]))

BREAKS = {
    "cut": (lambda wire: wire.cut(), Outcome.CUT),
    "reset": (lambda wire: wire.reset(), Outcome.CUT),
    "ended without a finish reason": (lambda wire: wire.end(), Outcome.CUT),
    "[DONE] without a finish reason": (lambda wire: wire.done(), Outcome.CUT),
    "a call that never closes": (lambda wire: wire.event(CALL), Outcome.CUT),
    "an error by its name": (
        lambda wire: wire.send(b'event: error\ndata: {"message": "told by the provider"}\n\n'),
        Outcome.MALFORMED,
    ),
    "an error in Groq's own place": (
        lambda wire: wire.event(chunk(delta(finish="stop"), x_groq={"error": "told by the provider"})),
        Outcome.MALFORMED,
    ),
    "a finish reason that is none": (
        streams(chunk(delta(finish="network_error"))),
        Outcome.MALFORMED,
    ),
    "an error": (lambda wire: wire.event({"error": {"message": "told by the provider"}}), Outcome.MALFORMED),
    "broken JSON": (lambda wire: wire.event(b"{"), Outcome.MALFORMED),
    "nested beyond reading": (lambda wire: wire.event(DEEP), Outcome.MALFORMED),
    "silence": (silence, Outcome.TIMEOUT),
}


@pytest.mark.parametrize("name", [name for name in BREAKS if name != "a call that never closes"])
def test_a_break_before_the_first_content_is_invisible(start, name):
    end, outcome = BREAKS[name]

    def script(wire):
        wire.event(chunk(delta(role="assistant", content="")))
        end(wire)

    limits = {"first_token_timeout_s": 0.3} if outcome is Outcome.TIMEOUT else {}
    router = start(first=script, second=SECOND, limits=limits)
    found = router.stream()
    assert (found.text, found.is_done, found.error) == ("Second.", True, None)
    assert found.headers["x-router-provider"] == "second"
    assert router.record().attempts[0].outcome is outcome


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_after_the_first_content_is_an_error_and_no_clean_end(start, name):
    end, outcome = BREAKS[name]

    def script(wire):
        wire.event(WORD)
        end(wire)

    router = start(first=script, second=SECOND, limits={"idle_timeout_s": 0.3})
    found = router.stream()
    record = router.record()
    assert found.text == "Hel"
    assert not found.is_done
    assert found.chunks[-1]["error"]["code"] == "stream_broken"
    assert found.chunks[-1]["attempts"][0]["outcome"] == outcome.value
    assert "told by the provider" not in str(found.data)
    assert router.providers["second"].calls == [], "what the caller has seen can't be taken back"
    assert (record.error, record.attempts[0].outcome) == ("stream_broken", outcome)
    assert record.cost.basis is CostBasis.ESTIMATED
    assert record.cost.usd > 0


def test_what_was_reported_before_a_break_is_billed_as_reported_and_not_called_exact(start):
    """More may have been billed since."""

    def script(wire):
        wire.event(chunk(delta(content="Hel"), usage=USAGE))
        wire.cut()

    router = start(first=script)
    assert router.stream().error["code"] == "stream_broken"
    assert (router.record().cost.usd, router.record().cost.basis) == (EXACT_USD, CostBasis.ESTIMATED)


@pytest.mark.parametrize("name", BREAKS)
def test_verified_shows_nothing_of_what_breaks(start, name):
    end, outcome = BREAKS[name]

    def script(wire):
        wire.event(WORD)
        end(wire)

    router = start(first=script, second=SECOND, limits={"idle_timeout_s": 0.3})
    found = router.stream(headers=VERIFIED)
    assert (found.text, found.is_done, found.error) == ("Second.", True, None)
    assert router.record().attempts[0].outcome is outcome


@pytest.mark.parametrize(
    ("route", "headers", "is_live"),
    [
        ({}, {}, True),
        ({"delivery": "live"}, {}, True),
        ({"delivery": "verified"}, {}, False),
        ({"delivery": "verified"}, {"x-router-delivery": "live"}, True),
        ({"delivery": "live"}, {"x-router-delivery": "verified"}, False),
    ],
)
def test_the_header_overrides_the_route_and_the_route_the_default(start, gate, route, headers, is_live):
    """Live shows a first word before there is a second; verified has nothing to show until the end."""

    def script(wire):
        wire.event(WORD)
        if is_live:
            gate.pass_through()
        streams(*text_events("lo.")[1:])(wire)

    router = start(first=script, route=route)
    with router.open(headers=headers) as stream:
        first = stream.next_chunk()["choices"][0]["delta"]["content"]
        gate.set()
        assert first == ("Hel" if is_live else "Hello.")
        assert stream.rest().is_done


def test_an_unknown_delivery_is_refused(start):
    answer = start(first=SECOND).ask(stream=True, headers={"x-router-delivery": "soon"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


# Waiting.


@pytest.fixture
def impatient(monkeypatch):
    """A caller hears at once that the stream lives."""
    monkeypatch.setattr(live, "KEEP_ALIVE_S", 0.05)


def test_a_caller_who_waits_hears_that_the_stream_lives(start, gate, impatient):
    del impatient

    def script(wire):
        gate.pass_through()
        says("Hello.")(wire)

    router = start(first=script)
    with router.open() as stream:
        assert [stream.next_event() for _ in range(3)] == [": waiting"] * 3
        gate.set()
        found = stream.rest()
    assert (found.text, found.is_done) == ("Hello.", True)


def held(gate, script):
    def after_a_while(wire):
        gate.pass_through()
        script(wire)

    return after_a_while


@pytest.mark.parametrize("asked", [{}, WITH_USAGE], ids=["plain", "with usage"])
@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_what_headers_that_went_out_with_a_comment_could_not_tell_is_in_the_last_chunk(
    start, gate, impatient, headers, asked
):
    del impatient
    router = start(first=held(gate, refuses(503)), second=SECOND)
    with router.open(headers=headers, **asked) as stream:
        assert stream.next_event() == ": waiting"
        gate.set()
        found = stream.rest()
    assert [name for name in found.headers if name.startswith("x-router")] == []
    *others, last = found.chunks
    told = dict(last["x_router"])
    assert isinstance(told.pop("overhead_ms"), int)
    assert told == {"provider": "second", "model": "model", "attempts": 2, "reason": "after overloaded"}
    assert not any("x_router" in part for part in others)
    assert found.is_done


@pytest.mark.parametrize("script", [says("Hello."), refuses(503)], ids=["answer", "error"])
@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_a_request_has_one_id_though_its_headers_went_out_with_a_comment(
    capsys, start, gate, impatient, headers, script
):
    del impatient
    router = start(first=held(gate, script))
    with router.open(headers=headers) as stream:
        assert stream.next_event() == ": waiting"
        gate.set()
        found = stream.rest()
    record = router.record()
    assert router.comes_to_rest()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (logged,) = [line["request_id"] for line in lines if line["event"] == "request"]
    assert found.headers["x-request-id"] == logged == record.request_id == record.position


def test_an_error_event_tells_the_id_and_what_was_paid(start):
    """As the headers of an error do that has a status."""
    router = start(first=streams(WORD, with_done=False))
    found = router.stream()
    record = router.record()
    assert found.chunks[-1]["requestId"] == found.headers["x-request-id"] == record.request_id
    assert found.chunks[-1]["x_router"] == {"cost_basis": "estimated", "cost_usd": record.cost.usd}


def test_what_could_not_be_made_to_fit_in_time_is_logged_though_a_comment_went_out(
    capsys, start, impatient, monkeypatch
):
    """An error that no record tells of."""
    del impatient

    async def fitted(*_):
        await asyncio.sleep(60)

    monkeypatch.setattr(Fitter, "fitted", fitted)
    router = start(first=SECOND)
    found = router.stream(headers={"x-router-timeout-s": "2"})
    assert router.comes_to_rest()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (logged,) = [line for line in lines if line["event"] == "request"]
    assert (found.error["code"], logged["error_code"]) == ("deadline_exceeded", "deadline_exceeded")
    assert found.chunks[-1]["requestId"] == logged["request_id"] == found.headers["x-request-id"]


@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_an_error_after_a_comment_can_only_be_an_event(start, gate, impatient, headers):
    del impatient

    def script(wire):
        gate.pass_through()
        refuses(503)(wire)

    router = start(first=script)
    with router.open(headers=headers) as stream:
        assert stream.next_event() == ": waiting"
        gate.set()
        found = stream.rest()
    assert (found.status, found.is_done) == (200, False)
    assert found.error["code"] == router.record().error == "all_providers_failed"


@pytest.mark.parametrize("headers", [{}, VERIFIED], ids=["live", "verified"])
def test_an_error_before_anything_was_sent_has_its_status(start, headers):
    router = start(first=refuses(503))
    answer = router.ask(stream=True, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/json")
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["code"] == "all_providers_failed"


# Callers who leave.


def leaves_at(gate, *before, after=()):
    """Says this, lets the test know, and goes on saying until nobody listens."""

    def script(wire):
        wire.begin()
        for event in before:
            wire.event(event)
        gate.set()
        for event in after:
            wire.event(event)
        wire.wait_for_hang_up()

    return script


def test_one_who_hangs_up_before_the_first_chunk_is_recorded_at_what_it_may_have_cost(start, gate):
    router = start(first=leaves_at(gate))
    with caller(router):
        gate.pass_through()
    record = router.record()
    (attempt,) = record.attempts
    assert (record.error, attempt.outcome) == ("abandoned", Outcome.ABANDONED)
    assert attempt.cost.basis is CostBasis.ESTIMATED
    assert attempt.tokens.completion > 1, "how much was thought of is not known: the usual is taken"
    assert router.comes_to_rest()


def test_one_who_hangs_up_in_the_middle_is_recorded_at_what_had_come(start, gate):
    router = start(first=leaves_at(gate, chunk(delta(content="word " * 40))), second=SECOND)
    with router.open() as stream:
        assert stream.next_chunk()["choices"][0]["delta"]["content"] == "word " * 40
    record = router.record()
    (attempt,) = record.attempts
    assert (record.error, attempt.outcome) == ("abandoned", Outcome.ABANDONED)
    assert (attempt.cost.basis, attempt.tokens.completion) == (CostBasis.ESTIMATED, 50)
    assert router.providers["second"].calls == []
    assert router.comes_to_rest()


def test_one_who_hangs_up_just_before_the_end_is_recorded_at_what_the_provider_told(start):
    """The usage has come, in one piece with the text that the caller has seen; `[DONE]` has not."""

    def script(wire):
        wire.send(b"".join(map(as_event, text_events("Hello."))))
        wire.wait_for_hang_up()

    router = start(first=script)
    with router.open() as stream:
        assert [stream.next_chunk()["choices"][0]["delta"]["content"] for _ in range(2)] == ["", "Hello."]
    record = router.record()
    (attempt,) = record.attempts
    assert attempt.outcome is Outcome.ABANDONED
    assert (attempt.cost.basis, attempt.cost.usd) == (CostBasis.EXACT, EXACT_USD)
    assert router.comes_to_rest()


def test_one_who_hangs_up_on_a_verified_stream_has_seen_nothing_and_is_recorded(start, gate, impatient):
    del impatient
    router = start(first=leaves_at(gate, chunk(delta(content="Hel"), usage=USAGE)), second=SECOND)
    with router.open(headers=VERIFIED) as stream:
        gate.pass_through()
        assert {stream.next_event() for _ in range(3)} == {": waiting"}
    record = router.record()
    (attempt,) = record.attempts
    assert (record.error, attempt.outcome) == ("abandoned", Outcome.ABANDONED)
    assert attempt.cost.usd > 0
    assert router.comes_to_rest()


def test_one_who_hangs_up_at_the_end_has_had_a_whole_answer(start):
    router = start(first=says("Hello."))
    with router.open() as stream:
        stream.next_chunk()
        router.record()
    assert (router.record().error, router.record().cost.usd) == (None, EXACT_USD)
    assert router.comes_to_rest()


def test_a_provider_whose_caller_left_is_hung_up_on_and_not_blamed(start, gate):
    left = Gate()

    def script(wire):
        leaves_at(gate, WORD)(wire)
        left.set()

    router = start(first=in_turn(script, script, script, says("Hello.")), second=SECOND)
    for _ in range(3):
        left.clear()
        with router.open() as stream:
            stream.next_chunk()
        left.pass_through()
    router.comes_to_rest()
    assert router.ask().headers["x-router-provider"] == "first"


@contextmanager
def caller(router, *, receives=None, stream=True):
    """A caller by hand, who reads only what the test reads, and hangs up at the end of the block."""
    host, _, port = router.url.removeprefix("http://").partition(":")
    content = json.dumps(request(stream=stream)).encode()
    with socket.socket() as connection:
        if receives:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connection.settimeout(COMES_TO_BE_WITHIN_S)
        connection.connect((host, int(port)))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(content)}\r\n"
        connection.sendall(head.encode() + b"connection: close\r\n\r\n" + content)
        yield connection


class Flood:
    """A provider that says as much as anybody takes."""

    def __init__(self):
        self.said_bytes = 0

    def __call__(self, wire):
        event = chunk(delta(content="x" * 1000))
        wire.begin()
        while True:
            wire.event(event)
            self.said_bytes += 1000


def test_one_who_stops_reading_stops_the_provider_and_is_recorded_at_the_deadline(start, monkeypatch):
    """Not more is taken from the provider than lies between the three; and the provider is not to blame."""
    monkeypatch.setattr(live, "TAKEN_WITHIN_S", 0.1)
    flood = Flood()
    router = start(first=flood, route={"timeout_s": 4})
    with caller(router, receives=4096):
        record = router.record()
        assert router.comes_to_rest(), "nothing waits for one who does not read"
        (attempt,) = record.attempts
        assert (record.error, attempt.outcome) == ("abandoned", Outcome.ABANDONED)
        assert attempt.cost.basis is CostBasis.ESTIMATED
        assert attempt.tokens.completion > 0
        assert attempt.tokens.completion * 4 <= flood.said_bytes + 1000


def test_one_who_stops_reading_and_then_hangs_up_is_recorded(start):
    flood = Flood()
    router = start(first=flood)
    with caller(router, receives=4096) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    (attempt,) = router.record().attempts
    assert attempt.outcome is Outcome.ABANDONED
    assert router.comes_to_rest()


def test_one_who_reads_late_gets_all_of_it(start):
    """More than the buffers between hold, left lying for longer than a provider may be silent."""
    pieces = [str(number % 10) * 1000 for number in range(6000)]
    router = start(first=says(*pieces), limits={"idle_timeout_s": 0.2})
    with caller(router, receives=4096) as connection, connection.makefile("rb") as lines:
        lines.readline()
        time.sleep(1)
        data = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    assert [part["choices"][0]["delta"].get("content") for part in data] == ["", *pieces, None]


def test_one_who_asked_for_no_stream_and_hangs_up_lets_the_provider_go_and_is_recorded_at_what_had_come(start):
    """Its client may ask again by itself: nobody pays for both to their ends."""
    reached, let_go = Gate(), Gate()

    def script(wire):
        wire.event(chunk(delta(content="Hel")))
        reached.set()
        wire.wait_for_hang_up()
        let_go.set()

    router = start(first=script)
    with caller(router, stream=False):
        reached.pass_through()
    let_go.pass_through()
    record = router.record()
    assert (record.error, record.cost.basis) == ("abandoned", CostBasis.ESTIMATED)
    assert record.cost.usd > 0
    assert router.comes_to_rest()
