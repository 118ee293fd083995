"""Requests that a provider serves in part only, over real HTTP: known of it beforehand, or learnt from its answers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_router.usage import CostBasis, Outcome
from streaming_provider import chunk, completion, delta, in_turn, refuses_stream_options, says, streams

SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
JSON = {"type": "json_object"}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
SECOND = says("Second.")


def in_words(message, code=None, **beside):
    """A refusal that names no field."""
    error = {"message": message, "type": "invalid_request_error", **({"code": code} if code else {}), **beside}
    return lambda wire: wire.json(400, {"error": error})


def streams_no(refused, message):
    """Whoever asks for a stream with one of these fields is refused in words; all else is answered."""
    no = in_words(message)

    def script(wire):
        if wire.is_streamed and refused & wire.body.keys():
            no(wire)
        else:
            says("Whole.")(wire)

    return script


def streamed(router, name="first"):
    return [wire.is_streamed for wire in router.providers[name].calls]


# Streams.

NO_STREAM = "Streaming and tool use are not currently supported with Structured Outputs."
NO_STREAMED_JSON = "response_format` does not support streaming"


@pytest.mark.parametrize("response_format", [SCHEMA, JSON], ids=["schema", "mode"])
@pytest.mark.parametrize("stream", [False, True])
def test_groq_is_not_asked_to_stream_json(start, response_format, stream):
    router = start(groq=streams_no({"response_format"}, NO_STREAM))
    body = {"response_format": response_format}
    text = router.stream(**body).text if stream else router.ask(**body).json()["choices"][0]["message"]["content"]
    assert text == "Whole."
    assert streamed(router, "groq") == [False]


def test_groq_streams_all_else(start):
    router = start(groq=streams_no({"response_format"}, NO_STREAM))
    assert router.ask(tools=TOOLS).status_code == 200
    assert streamed(router, "groq") == [True]


@pytest.mark.parametrize("message", [NO_STREAM, NO_STREAMED_JSON])
def test_who_refuses_a_stream_in_words_is_asked_without_and_that_is_remembered_for_such_requests(start, message):
    router = start(first=streams_no({"response_format"}, message), second=SECOND)
    for body in ({"response_format": SCHEMA}, {"response_format": SCHEMA, "tools": TOOLS}, {"tools": TOOLS}, {}):
        assert router.ask(**body).json()["choices"][0]["message"]["content"] == "Whole."
    assert streamed(router) == [True, False, False, True, True]
    first = min(router.records(), key=lambda record: record.request_id)
    assert [attempt.outcome for attempt in first.attempts] == [Outcome.STREAM_REFUSED, Outcome.SUCCESS]


def test_a_refusal_of_a_stream_in_words_takes_streams_from_no_other_request(start):
    router = start(first=streams_no({"seed"}, "This model does not support streaming with seed."))
    for body in ({"seed": 1}, {}, {"seed": 2, "top_p": 0.5}):
        assert router.ask(**body).status_code == 200
    assert streamed(router) == [True, False, True, False]


def test_who_refuses_every_stream_in_words_is_asked_for_no_more_of_them(start):
    router = start(first=streams_no({"messages"}, "Streaming is not supported."))
    for body in ({}, {"seed": 1}, {"tools": TOOLS}):
        assert router.ask(**body).status_code == 200
    assert streamed(router) == [True, False, False, False]


def test_words_that_only_echo_the_caller_take_streams_from_nobody(start):
    """Asked without a stream it is refused as before: it was about the request."""
    no = in_words("function 'stream' is not one of the tools")

    def script(wire):
        if "seed" in wire.body:
            no(wire)
        else:
            says("Whole.")(wire)

    router = start(first=script)
    assert router.ask(tools=TOOLS, seed=1).status_code == 400
    assert router.ask(tools=TOOLS).status_code == 200
    assert streamed(router) == [True, False, True]


def test_two_at_once_that_may_not_ask_for_a_streams_usage_take_streams_from_nobody(start):
    """Both were asked before either was refused."""
    both = threading.Barrier(2)

    def script(wire):
        if "stream_options" in wire.body:
            both.wait(10)
        refuses_stream_options("Streamed.")(wire)

    router = start(first=script)
    with ThreadPoolExecutor() as callers:
        answers = list(callers.map(lambda _: router.ask(), range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert router.ask().status_code == 200
    assert all(streamed(router))


def test_a_refusal_in_the_same_words_of_what_was_not_streamed_is_the_requests(start):
    router = start(first=in_words(NO_STREAM))
    answer = router.ask(tools=TOOLS, response_format=SCHEMA)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert streamed(router) == [True, False]


def test_words_of_something_else_are_the_requests_own_fault(start):
    router = start(first=in_words("The stream of tokens is too long. It may not have more than 5."))
    assert router.ask().json()["error"]["code"] == "invalid_request"
    assert streamed(router) == [True]


# Features that don't go together.


@pytest.mark.parametrize("response_format", [SCHEMA, JSON], ids=["schema", "mode"])
def test_json_with_tools_goes_past_groq(start, response_format):
    router = start(groq=says("Groq."), second=SECOND)
    answer = router.ask(tools=TOOLS, response_format=response_format)
    assert answer.headers["x-router-provider"] == "second"
    assert router.providers["groq"].calls == []


def test_where_groq_is_alone_the_caller_is_told_what_does_not_go_together(start):
    answer = start(groq=says("Groq.")).ask(tools=TOOLS, response_format=SCHEMA)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert "json_schema, tools" in answer.json()["error"]["message"]


# Answers of a model that are not what was asked for.

FAILED = {
    "tool_use_failed": "Failed to call a function. Please adjust your prompt.",
    "json_validate_failed": "Failed to generate JSON. Please adjust your prompt.",
}


@pytest.mark.parametrize("code", FAILED)
@pytest.mark.parametrize("stream", [False, True])
def test_what_a_model_got_wrong_another_is_asked_for(start, code, stream):
    """Also one of the same provider; and it may have been billed."""
    router = start(first=in_words(FAILED[code], code, failed_generation="<function=" * 400), second=SECOND)
    text = router.stream().text if stream else router.ask().json()["choices"][0]["message"]["content"]
    assert text == "Second."
    failed = router.record().attempts[0]
    assert (failed.outcome, failed.cost.basis) == (Outcome.UNSUITED, CostBasis.ESTIMATED)
    assert failed.tokens.completion == 1000


@pytest.mark.parametrize("code", FAILED)
def test_what_a_model_got_wrong_in_the_middle_of_a_stream_is_read_alike(start, code):
    def script(wire):
        error = {"message": FAILED[code], "type": "invalid_request_error", "code": code}
        wire.event({"error": {**error, "failed_generation": "<function=" * 400}})
        wire.end()

    router = start(first=script, second=SECOND)
    assert router.ask().json()["choices"][0]["message"]["content"] == "Second."
    failed = router.record().attempts[0]
    assert (failed.outcome, failed.tokens.completion) == (Outcome.UNSUITED, 1000)


def test_a_long_failed_answer_is_billed_like_a_short_one(start):
    router = start(first=in_words(FAILED["tool_use_failed"], "tool_use_failed", failed_generation="x" * 400_000))
    assert router.ask().status_code == 400
    assert router.record().attempts[0].tokens.completion == 100_000


@pytest.mark.parametrize("code", FAILED)
def test_prompts_that_a_model_gets_wrong_take_it_from_nobody_else(start, code):
    router = start(first=in_turn(*[in_words(FAILED[code], code)] * 4, says("First.")), second=SECOND)
    served = [router.ask().headers["x-router-provider"] for _ in range(5)]
    assert served == ["second"] * 4 + ["first"]


# Several choices.


def of_several(*texts):
    return streams(*(chunk(delta(at, content=text, finish="stop")) for at, text in enumerate(texts)))


def test_who_takes_no_notice_of_n_is_passed_over_by_the_next_that_asks_for_it(start):
    router = start(first=says("First."), second=of_several("a", "b"))
    for _ in range(2):
        assert len(router.ask(n=2).json()["choices"]) == 2
    assert len(router.providers["first"].calls) == 1
    assert router.ask().headers["x-router-provider"] == "first"


def test_who_takes_no_notice_of_n_and_is_alone_is_told_of(start):
    router = start(first=says("First."))
    for _ in range(2):
        error = router.ask(n=2).json()["error"]
        assert error["code"] == "invalid_request"
        assert "n" in (error["param"], error["message"].rpartition(": ")[2].rstrip("."))
    assert len(router.providers["first"].calls) == 1


def test_a_choice_that_was_one_too_few_costs_what_it_was(start):
    router = start(first=streams(chunk(delta(content="word " * 80, finish="stop"))))
    assert router.ask(n=8).status_code == 400
    failed = router.record().attempts[0]
    assert (failed.tokens.completion, failed.cost.basis) == (100, CostBasis.ESTIMATED)


def test_a_live_caller_that_gets_fewer_choices_is_told_so(start):
    found = start(first=says("First.")).stream(n=2)
    assert not found.is_done
    assert found.error["code"] == "stream_broken"
    assert found.error["param"] == "n"
    assert "broke off" not in found.error["message"]


# Files.


def test_a_file_goes_past_who_reads_none(start):
    router = start(groq=says("Groq."), second=SECOND)
    answer = router.ask(messages=[{"role": "user", "content": [{"type": "text", "text": "Sum up."}, FILE]}])
    assert answer.headers["x-router-provider"] == "second"
    assert router.providers["groq"].calls == []


# What belongs to a stream alone.


def test_padding_and_pings_are_no_part_of_an_answer_in_one_piece(start):
    script = streams(
        {"type": "ping"},
        chunk(delta(content="Whole."), obfuscation="x7Jk"),
        chunk(delta(finish="stop"), obfuscation="p"),
    )
    answer = start(first=script).ask().json()
    assert answer["choices"][0]["message"]["content"] == "Whole."
    assert not {"obfuscation", "type"} & answer.keys()


def test_an_answer_in_one_piece_is_handed_on_as_a_stream(start):
    router = start(groq=lambda wire: wire.json(200, completion('{"a":1}')))
    assert router.stream(response_format=SCHEMA).text == '{"a":1}'
