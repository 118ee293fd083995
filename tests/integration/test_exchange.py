"""One exchange with one provider over real HTTP: what the provider does on the wire, and what is made of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streaming_provider
from llm_router.adapters.openai_stream import StreamReader
from llm_router.exchange import Exchange, Limits
from llm_router.transport import Transport
from llm_router.upstream import Asked, UpstreamRequest
from llm_router.usage import Outcome, TokenUsage
from streaming_provider import (
    EVENT_STREAM,
    as_event,
    chunk,
    completion,
    delta,
    fragments,
    refuses,
    says,
    streams,
    text_events,
)

PATIENT = Limits(first_content_s=30.0, one_piece_s=30.0, idle_s=30.0, before_content_s=30.0, total_s=30.0)
SHORT_S = 0.4


class Exchanges:
    """Exchanges one after the other over one transport, as a process makes them."""

    def __init__(self, runner):
        self.runner = runner
        self.transport = runner.run(self._new())
        self.server = None

    async def _new(self):
        return Transport()

    def close(self):
        self.runner.run(self.transport.close())

    def with_script(self, script):
        self.provider = self.server.add("one", script)
        return self

    def read(self, script, *, limits=PATIENT, asked=Asked(), **hooks):  # noqa: B008  # frozen
        """The reading, and the exchange after it."""
        self.with_script(script)
        return self.again(limits=limits, asked=asked, **hooks)

    def again(self, *, limits=PATIENT, asked=Asked(), ledger_takes_s=0.0, **hooks):  # noqa: B008  # frozen
        url = self.server.base_url("one") + "/chat/completions"
        request = UpstreamRequest(url, {"content-type": "application/json"}, b'{"stream": true}')
        exchange = Exchange(transport=self.transport, request=request, limits=limits, asked=asked, **hooks)

        async def acknowledged():
            await asyncio.sleep(ledger_takes_s)

        async def read():
            reading = await exchange.read(before_body=acknowledged, now=lambda: datetime.now(UTC))
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not others, "a task outlived the exchange"
            return reading

        return self.runner.run(read()), exchange


@pytest.fixture
def exchanges():
    with streaming_provider.serving() as server, asyncio.Runner() as runner:
        found = Exchanges(runner)
        found.server = server
        yield found
        found.close()


def shown_to(seen):
    async def show(data):
        seen.append(data)

    return show


# What is an answer.


def test_a_stream_is_the_answer_that_its_pieces_make(exchanges):
    reading, _ = exchanges.read(says("Hel", "lo."))
    assert (reading.outcome, reading.text, reading.model) == (Outcome.SUCCESS, "Hello.", "served-model")
    assert reading.tokens == TokenUsage(prompt=10, completion=5)


def with_noise(wire):
    """Comments, other fields, empty events and chunks without choices, with carriage returns."""
    wire.begin()
    wire.comment()
    wire.send(b"event: message\r\nid: 1\r\nretry: 10\r\n")
    for event in text_events("Hel", "lo."):
        wire.send(b"\r\n\r\n")
        wire.event(event, b"\r\n")
        wire.comment("still here")
    wire.done()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(streams(*text_events("Hel", "lo."), line_end=b"\r\n"), id="CRLF"),
        pytest.param(streams(*text_events("Hel", "lo."), line_end=b"\r"), id="CR"),
        pytest.param(streams(*text_events("Hel", "lo."), with_done=False), id="ends cleanly without [DONE]"),
        pytest.param(with_noise, id="comments and other fields"),
        pytest.param(lambda wire: wire.json(200, completion()), id="JSON although a stream was asked for"),
    ],
)
def test_an_answer_is_read_however_it_is_written(exchanges, script):
    reading, _ = exchanges.read(script)
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "Hello.")


def test_a_stream_under_another_content_type_is_read(exchanges):
    def script(wire):
        wire.begin(content_type="text/plain")
        for event in text_events("Hel", "lo."):
            wire.event(event)
        wire.done()

    reading, _ = exchanges.read(script)
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "Hello.")


def test_what_follows_done_is_not_read(exchanges):
    def script(wire):
        streams(*text_events("Hello."))(wire)
        wire.event(chunk(delta(content=" And more.")))

    reading, _ = exchanges.read(script)
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "Hello.")


def test_a_connection_that_breaks_after_done_takes_nothing_away(exchanges):
    def script(wire):
        streams(*text_events("Hello."))(wire)
        wire.cut()

    reading, _ = exchanges.read(script)
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "Hello.")


def test_a_connection_serves_one_streamed_answer_after_the_other(exchanges):
    """A new one for each would cost a TLS handshake before the first token."""
    exchanges.with_script(says("Hello."))
    for _ in range(5):
        reading, _ = exchanges.again()
        assert reading.outcome is Outcome.SUCCESS
    assert len(exchanges.provider.connections) == 1


def test_a_provider_that_says_done_and_goes_on_sending_is_not_waited_for(exchanges):
    def script(wire):
        streams(*text_events("Hello."))(wire)
        while True:
            wire.comment("x" * 10_000)

    reading, _ = exchanges.read(script)
    assert reading.outcome is Outcome.SUCCESS


def test_a_provider_that_says_done_and_holds_the_line_is_not_waited_for(exchanges):
    def script(wire):
        streams(*text_events("Hello."))(wire)
        wire.wait_for_hang_up()

    reading, _ = exchanges.read(script)
    assert reading.outcome is Outcome.SUCCESS


# What is none.


def begun_then(end, *events):
    def script(wire):
        for event in events or (chunk(delta(content="Hel")),):
            wire.event(event)
        end(wire)

    return script


def cut(wire):
    wire.cut()


def reset(wire):
    wire.reset()


def end(wire):
    wire.end()


def broken_frame(wire):
    wire.handler.wfile.write(b"zz\r\nno number\r\n")
    wire.cut()


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        pytest.param(begun_then(cut), Outcome.CUT, id="cut"),
        pytest.param(begun_then(reset), Outcome.CUT, id="reset"),
        pytest.param(begun_then(end), Outcome.CUT, id="ended before a finish reason"),
        pytest.param(begun_then(broken_frame), Outcome.CUT, id="broken transfer coding"),
        pytest.param(begun_then(lambda wire: wire.done()), Outcome.CUT, id="[DONE] before a finish reason"),
        pytest.param(
            begun_then(cut, *text_events("Hello.", usage=None)), Outcome.CUT, id="cut after the finish reason"
        ),
        pytest.param(begun_then(lambda wire: wire.send(b"data: {\n\n")), Outcome.MALFORMED, id="broken JSON"),
        pytest.param(begun_then(lambda wire: wire.event({"error": {"code": 502}})), Outcome.MALFORMED, id="an error"),
        pytest.param(streams(chunk(delta(finish="stop"))), Outcome.MALFORMED, id="nothing said"),
        pytest.param(streams(), Outcome.CUT, id="[DONE] alone"),
        pytest.param(
            streams(chunk(delta(content="x")), chunk(delta(finish="content_filter"))),
            Outcome.CONTENT_FILTER,
            id="content filter",
        ),
        pytest.param(refuses(400, param="stream"), Outcome.STREAM_REFUSED, id="no streams"),
        pytest.param(refuses(400, param="stream_options"), Outcome.STREAM_REFUSED, id="no usage in streams"),
        pytest.param(refuses(400, param="temperature"), Outcome.BAD_REQUEST, id="bad request"),
    ],
)
def test_a_stream_that_is_no_whole_answer_says_what_it_is(exchanges, script, outcome):
    reading, _ = exchanges.read(script)
    assert reading.outcome is outcome


def test_usage_that_was_reported_before_a_break_is_kept(exchanges):
    """What was reported was billed."""
    first = chunk(delta(content="Hel"), usage={"prompt_tokens": 7, "completion_tokens": 1})
    reading, _ = exchanges.read(begun_then(cut, first))
    assert reading.tokens == TokenUsage(prompt=7, completion=1)


def test_how_much_had_come_is_known_after_a_break(exchanges):
    call = {"index": 0, "id": "a", "function": {"name": "find", "arguments": '{"q'}}
    reading, _ = exchanges.read(begun_then(cut, chunk(delta(content="Hel")), chunk(delta(tool_calls=[call]))))
    assert reading.may_be_billed
    assert reading.arrived_bytes >= len('Hel{"q')


def test_the_arguments_of_a_finished_call_are_handed_on_unread(exchanges):
    """Models write such, and clients know better what they can mend."""
    call = {"index": 0, "id": "a", "function": {"name": "find", "arguments": '{"q'}}
    script = streams(chunk(delta(tool_calls=[call])), chunk(delta(finish="tool_calls"), usage=streaming_provider.USAGE))
    reading, _ = exchanges.read(script, asked=Asked(with_calls=True))
    assert reading.outcome is Outcome.SUCCESS
    (told,) = reading.completion["choices"][0]["message"]["tool_calls"]
    assert told["function"]["arguments"] == '{"q'


# Silence.


def silent(*events, status=200, content_type=EVENT_STREAM):
    """Says this, and nothing more."""

    def script(wire):
        wire.begin(status, content_type)
        for event in events:
            wire.event(event)
        wire.wait_for_hang_up()

    return script


def only_comments(*events):
    """Says this, and then only that it lives."""

    def script(wire):
        wire.begin()
        for event in events:
            wire.event(event)
        while True:
            wire.comment()

    return script


def begins_in_one_piece(wire):
    wire.begin(content_type="application/json")
    wire.send(b'{"choices": ')
    wire.wait_for_hang_up()


def drips_in_one_piece(wire):
    wire.begin(content_type="application/json")
    while True:
        wire.send(b" ")


ROLE = chunk(delta(role="assistant", content=""))
WORD = chunk(delta(content="Hel"))
NO_FIRST_TOKEN = replace(PATIENT, first_content_s=SHORT_S)
ONE_PIECE = replace(PATIENT, one_piece_s=SHORT_S)
NO_SILENCE = replace(PATIENT, idle_s=SHORT_S)
NO_TIME = replace(PATIENT, total_s=SHORT_S)
NO_TURN = replace(PATIENT, before_content_s=SHORT_S)


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        pytest.param(lambda wire: wire.wait_for_hang_up(), NO_FIRST_TOKEN, id="no answer at all"),
        pytest.param(silent(), NO_FIRST_TOKEN, id="headers only"),
        pytest.param(silent(ROLE), NO_FIRST_TOKEN, id="a role is no content"),
        pytest.param(only_comments(ROLE), NO_FIRST_TOKEN, id="comments are no content"),
        pytest.param(silent(WORD), NO_SILENCE, id="silence after content"),
        pytest.param(only_comments(WORD), NO_SILENCE, id="comments are silence"),
        pytest.param(only_comments(*text_events("Hello.")), NO_SILENCE, id="comments after the finish reason"),
        pytest.param(silent(content_type="application/json"), NO_FIRST_TOKEN, id="headers of an answer in one piece"),
        pytest.param(begins_in_one_piece, NO_SILENCE, id="silence in an answer in one piece"),
        pytest.param(drips_in_one_piece, ONE_PIECE, id="an answer in one piece that never ends"),
    ],
)
def test_silence_ends_an_attempt_and_the_connection(exchanges, script, limits):
    reading, _ = exchanges.read(script, limits=limits)
    assert reading.outcome is Outcome.TIMEOUT
    assert reading.may_be_billed


def says_running_usage(wire):
    wire.event(chunk(delta(content="Hel" * 200), usage={"prompt_tokens": 10, "completion_tokens": 1}))
    wire.wait_for_hang_up()


def test_usage_that_was_still_running_when_the_provider_fell_silent_is_not_taken_for_the_whole(exchanges):
    reading, _ = exchanges.read(says_running_usage, limits=NO_SILENCE)
    assert reading.outcome is Outcome.TIMEOUT
    assert reading.tokens.completion == 1
    assert not reading.is_counted_whole
    assert reading.arrived_bytes == 600


@pytest.mark.parametrize(
    "script", [says("Hello."), lambda wire: wire.json(200, completion())], ids=["streamed", "whole"]
)
def test_a_provider_that_takes_no_notice_of_n_is_unsuited_and_not_broken(exchanges, script):
    reading, _ = exchanges.read(script, asked=Asked(choices=2))
    assert reading.outcome is Outcome.UNSUITED


def test_what_the_ledger_takes_is_not_the_candidates_time(exchanges):
    reading, _ = exchanges.read(says("Hello."), limits=NO_FIRST_TOKEN, ledger_takes_s=2 * SHORT_S)
    assert reading.outcome is Outcome.SUCCESS


def test_a_ledger_that_takes_all_the_time_there_is_is_not_the_candidates_failure(exchanges):
    limits = replace(NO_FIRST_TOKEN, before_content_s=2 * SHORT_S)
    reading, _ = exchanges.read(says("Hello."), limits=limits, ledger_takes_s=10 * SHORT_S)
    assert (reading.outcome, reading.may_be_billed) == (Outcome.OUT_OF_TIME, False)


@pytest.mark.parametrize(("script", "times"), [(says("Hel", "lo."), 1), (silent(ROLE), 0), (refuses(500), 0)])
def test_it_is_told_once_that_there_is_an_answer_as_soon_as_it_begins(exchanges, script, times):
    told = []
    exchanges.read(script, limits=NO_FIRST_TOKEN, answers=lambda: told.append(True))
    assert len(told) == times


@pytest.mark.parametrize(
    ("script", "limits"),
    [
        pytest.param(lambda wire: wire.wait_for_hang_up(), NO_TURN, id="no answer at all"),
        pytest.param(silent(ROLE), NO_TURN, id="no content"),
        pytest.param(silent(content_type="application/json"), NO_TURN, id="headers of an answer in one piece"),
        pytest.param(silent(WORD), NO_TIME, id="in the middle"),
    ],
)
def test_a_candidate_that_was_given_less_than_its_own_limits_is_not_said_to_have_failed(exchanges, script, limits):
    reading, _ = exchanges.read(script, limits=limits)
    assert reading.outcome is Outcome.OUT_OF_TIME
    assert reading.may_be_billed


@pytest.mark.parametrize("end", [lambda wire: wire.wait_for_hang_up(), cut, reset], ids=["silence", "cut", "reset"])
@pytest.mark.parametrize(("status", "outcome"), [(503, Outcome.OVERLOADED), (500, Outcome.SERVER_ERROR)])
def test_an_error_whose_body_never_comes_is_what_its_status_says(exchanges, status, outcome, end):
    def script(wire):
        wire.begin(status, "application/json")
        end(wire)

    reading, _ = exchanges.read(script)
    assert (reading.outcome, reading.may_be_billed) == (outcome, False)


def test_content_in_time_lifts_the_first_limit(exchanges):
    """The second word comes only when the first limit would have been over."""

    def script(wire):
        wire.event(WORD)
        wire.handler.connection.settimeout(2 * SHORT_S)
        with pytest.raises(TimeoutError):
            wire.handler.connection.recv(1)
        wire.handler.connection.settimeout(None)
        streams(*text_events("lo."))(wire)

    reading, _ = exchanges.read(script, limits=NO_FIRST_TOKEN)
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "Hello.")


# What is shown.


def test_nothing_is_shown_before_the_first_content_and_all_before_the_finish_reason_after_it(exchanges):
    seen = []
    reading, exchange = exchanges.read(says("Hel", "lo."), show=shown_to(seen))
    said = [json.loads(data)["choices"][0]["delta"] for data in seen]
    assert said == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo."}]
    closing = [json.loads(data) for data in exchange.closing]
    assert [part["choices"][0]["finish_reason"] for part in closing] == ["stop"]
    assert not any("usage" in part for part in closing), "what it used, and cost, is the router's to tell"
    assert reading.completion["usage"] == streaming_provider.USAGE
    assert reading.outcome is Outcome.SUCCESS
    assert exchange.has_shown


@pytest.mark.parametrize("script", [begun_then(cut, ROLE), begun_then(end, ROLE), refuses(500), silent(ROLE)])
def test_what_fails_before_its_first_content_has_shown_nothing(exchanges, script):
    seen = []
    _, exchange = exchanges.read(script, limits=NO_FIRST_TOKEN, show=shown_to(seen))
    assert not seen
    assert not exchange.has_shown


def test_a_finish_reason_of_no_letters_says_nothing(exchanges):
    """Some providers send an empty one with each chunk; taken at its word the stream would be held back to its end."""
    seen = []
    events = [chunk(delta(content=piece, finish="")) for piece in ("Hel", "lo.")]
    reading, _ = exchanges.read(streams(*events, chunk(delta(finish="stop"))), show=shown_to(seen))
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "Hello.")
    assert len(seen) == 2


# Wherever the bytes are cut.

WHOLE = completion(
    'Grüße, 世界! 🎉 \\ "x"',
    choices=[
        {
            "index": 0,
            "message": {"role": "assistant", "content": 'Grüße, 世界! 🎉 \\ "x"\n'},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
)
EVENTS = [json.dumps(part, ensure_ascii=False).encode() for part in fragments(WHOLE, size=4)]


def on_the_wire(line_end):
    return b"".join(as_event(event, line_end) for event in (*EVENTS, b"[DONE]"))


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_cut_at_any_one_byte_is_the_same_answer(line_end):
    stream = on_the_wire(line_end)
    for at in range(len(stream) + 1):
        reader = StreamReader()
        reader.feed(stream[:at])
        reader.feed(stream[at:])
        reading = reader.reading(ended_cleanly=True)
        assert (reading.outcome, reading.completion) == (Outcome.SUCCESS, WHOLE)


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_a_stream_cut_anywhere_any_number_of_times_is_the_same_answer(line_end, data):
    stream = on_the_wire(line_end)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=30).map(sorted))
    reader = StreamReader()
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:stop])
    reading = reader.reading(ended_cleanly=True)
    assert (reading.outcome, reading.completion) == (Outcome.SUCCESS, WHOLE)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_stream_that_comes_byte_by_byte_over_http_is_the_same_answer(exchanges, line_end):
    def script(wire):
        wire.begin()
        for byte in on_the_wire(line_end):
            wire.send(bytes([byte]))

    reading, _ = exchanges.read(script)
    assert (reading.outcome, reading.completion) == (Outcome.SUCCESS, WHOLE)


@given(st.integers(0, len(on_the_wire(b"\n"))))
def test_a_stream_that_ends_too_early_is_never_a_whole_answer(at):
    """Except after all that matters: the finish reason and the usage."""
    stream = on_the_wire(b"\n")[:at]
    reader = StreamReader()
    reader.feed(stream)
    reading = reader.reading(ended_cleanly=False)
    assert (reading.outcome is Outcome.SUCCESS) == (b"[DONE]" in stream)


# Sizes.


def test_a_thousand_tiny_chunks_are_one_answer(exchanges):
    reading, _ = exchanges.read(says(*("x" for _ in range(1000))))
    assert (reading.outcome, reading.text) == (Outcome.SUCCESS, "x" * 1000)


def test_one_enormous_chunk_is_one_answer(exchanges):
    reading, _ = exchanges.read(says("x" * 4_000_000))
    assert reading.outcome is Outcome.SUCCESS
    assert len(reading.text) == 4_000_000


def test_a_long_answer_is_whole_however_much_its_frames_weigh(exchanges):
    """A token takes some 250 bytes on the wire: 60,000 of them are 15 MB, and yet a short text."""
    padding = {"system_fingerprint": "f" * 200}
    events = text_events(*["word "] * 60_000)
    heavy = b"".join(as_event(event | padding) for event in events)

    def script(wire):
        wire.begin()
        wire.send(heavy)
        wire.done()

    reading, _ = exchanges.read(script)
    assert len(heavy) > 15_000_000
    assert reading.outcome is Outcome.SUCCESS
    assert len(reading.text) == 300_000


def endless(make):
    def script(wire):
        wire.begin()
        while True:
            wire.send(make)

    return script


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(as_event(chunk(delta(content="x" * 100_000))), id="text"),
        pytest.param(as_event(chunk(delta(logprobs={"content": [{"token": "x" * 100_000}]}))), id="logprobs"),
        pytest.param(
            as_event(chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "x" * 100_000}}]))), id="arguments"
        ),
        pytest.param(b"data: " + b"x" * 100_000, id="an event without end"),
        pytest.param(as_event(chunk(delta(finish="stop"), x_junk="x" * 100_000)), id="after the finish reason"),
        pytest.param(as_event(chunk(delta(content=""), x_junk="x" * 100_000)), id="before any content"),
    ],
)
def test_an_answer_without_end_is_given_up(exchanges, data):
    reading, _ = exchanges.read(endless(data))
    assert reading.outcome is Outcome.MALFORMED


@pytest.mark.parametrize("depth", [100, 2_000, 50_000])
def test_a_chunk_that_is_nested_too_deeply_is_the_providers_fault(exchanges, depth):
    nested = b'{"choices":[{"index":0,"delta":{"x":' + b'{"x":' * depth + b"1" + b"}" * depth + b"}}]}"
    seen = []
    reading, exchange = exchanges.read(begun_then(end, WORD, nested), show=shown_to(seen))
    assert reading.outcome in (Outcome.MALFORMED, Outcome.CUT)
    assert exchange.has_shown
