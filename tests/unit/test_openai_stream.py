"""A streamed completion, put together again, is the one that would have come unstreamed."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router.adapters import openai_stream
from llm_router.adapters.openai_stream import Assembly, BrokenStreamError, StreamReader


def chunk(*choices, **fields):
    body = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": list(choices)}
    return json.dumps(body | fields).encode()


def delta(index=0, finish_reason=None, logprobs=None, **parts):
    return {"index": index, "delta": parts, "finish_reason": finish_reason, "logprobs": logprobs}


def assembled(*chunks):
    assembly = Assembly()
    for data in chunks:
        assembly.add(data)
    return assembly


def message(assembly, index=0):
    return assembly.body()["choices"][index]["message"]


def test_content_is_joined_and_the_frame_is_kept():
    body = assembled(
        chunk(delta(role="assistant", content="")),
        chunk(delta(content="Hel")),
        chunk(delta(content="lo.")),
        chunk(delta(finish_reason="stop")),
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 2}, system_fingerprint="fp"),
    ).body()
    assert body == {
        "id": "c1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello."},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def test_tool_calls_grow_side_by_side():
    def call(index, **parts):
        return delta(tool_calls=[{"index": index, **parts}])

    calls = message(
        assembled(
            chunk(call(0, id="a", type="function", function={"name": "find", "arguments": ""})),
            chunk(call(1, id="b", type="function", function={"name": "read", "arguments": '{"p'})),
            chunk(call(0, function={"arguments": '{"q": 1'})),
            chunk(call(1, function={"arguments": '": 2}'})),
            chunk(call(0, function={"arguments": "}"})),
            chunk(delta(finish_reason="tool_calls")),
        )
    )["tool_calls"]
    assert calls == [
        {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "read", "arguments": '{"p": 2}'}},
    ]


def test_tool_calls_without_an_index_are_told_apart_by_their_id():
    calls = message(
        assembled(
            chunk(delta(tool_calls=[{"id": "a", "function": {"name": "find", "arguments": "{}"}}])),
            chunk(delta(tool_calls=[{"id": "b", "function": {"name": "read", "arguments": "{"}}])),
            chunk(delta(tool_calls=[{"function": {"arguments": "}"}}])),
        )
    )["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [("a", "{}"), ("b", "{}")]


def test_names_and_ids_that_are_repeated_in_every_chunk_stand_once():
    part = {"index": 0, "id": "a", "type": "function", "function": {"name": "find", "arguments": "x"}}
    (call,) = message(assembled(*[chunk(delta(role="assistant", tool_calls=[part]))] * 3))["tool_calls"]
    assert call == {"id": "a", "type": "function", "function": {"name": "find", "arguments": "xxx"}}


def test_several_choices_are_kept_apart_and_come_in_order():
    assembly = assembled(
        chunk(delta(1, content="B")),
        chunk(delta(0, content="A"), delta(1, content="b")),
        chunk(delta(0, "stop"), delta(1, "length")),
    )
    choices = assembly.body()["choices"]
    assert [(choice["message"]["content"], choice["finish_reason"]) for choice in choices] == [
        ("A", "stop"),
        ("Bb", "length"),
    ]


def test_refusals_reasoning_and_logprobs_are_joined():
    assembly = assembled(
        chunk(delta(reasoning_content="I th", logprobs={"content": [{"token": "a"}], "refusal": None})),
        chunk(delta(reasoning_content="ink", refusal="N", logprobs={"content": [{"token": "b"}]})),
        chunk(delta(refusal="o", finish_reason="stop")),
    )
    (choice,) = assembly.body()["choices"]
    assert choice["message"]["reasoning_content"] == "I think"
    assert choice["message"]["refusal"] == "No"
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


def test_usage_in_groqs_own_place_is_found():
    body = assembled(chunk(delta(content="x")), chunk(x_groq={"id": "r", "usage": {"prompt_tokens": 1}})).body()
    assert body["usage"] == {"prompt_tokens": 1}


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"role": "assistant"}, False),
        ({"content": ""}, False),
        ({"content": None}, False),
        ({"tool_calls": []}, False),
        ({"content": " "}, True),
        ({"refusal": "N"}, True),
        ({"reasoning_content": "h"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
    ],
)
def test_content_is_what_a_caller_can_see(part, shown):
    assert assembled(chunk(delta(**part))).has_content is shown


def test_a_stream_is_finished_when_every_choice_is():
    assembly = assembled(chunk(delta(0, "stop"), delta(1, content="x")))
    assert not assembly.is_finished()
    assembly.add(chunk(delta(1, "stop")))
    assert assembly.is_finished()
    assert not assembly.is_finished(choices=3)
    assert not Assembly().is_finished()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b'{"error": {"message": "overloaded"}}',
        b'{"choices": {"a": 1}}',
        b'{"choices": ["text"]}',
        b'{"choices": [{"index": -1}]}',
        b'{"choices": [{"index": 1000000}]}',
        b'{"choices": [{"index": "a"}]}',
        b'{"choices": [{"delta": "text"}]}',
        b'{"choices": [{"error": {"code": 502}}]}',
        b'{"choices": [{"delta": {"tool_calls": ["x"]}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": 1000000}]}}]}',
    ],
)
def test_what_is_no_chunk_breaks_the_stream(data):
    with pytest.raises(BrokenStreamError):
        assembled(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=4), st.lists(json_values, max_size=4))
def test_any_json_is_taken_in_or_breaks_the_stream(deltas, choices):
    """Nothing else may come of it: an error of ours would be told as the provider's fault, but cost a traceback."""
    for data in [chunk(*choices), *(chunk({"index": 0, "delta": value}) for value in deltas)]:
        try:
            assembly = assembled(data, data)
        except BrokenStreamError:
            continue
        json.dumps(assembly.body())


@given(st.lists(st.text(max_size=6), max_size=20))
def test_a_text_in_any_number_of_pieces_is_whole(pieces):
    content = message(assembled(chunk(delta(content="")), *(chunk(delta(content=piece)) for piece in pieces)))
    assert content["content"] == "".join(pieces)


def _event(data):
    return b"data: " + data + b"\n\n"


def test_what_is_kept_of_an_answer_is_its_text_and_not_its_frames():
    """20,000 tokens: some 5 MB on the wire, 100 KB of text."""
    event = _event(chunk(delta(content="word "), system_fingerprint="f" * 150))
    reader = StreamReader()
    reader.feed(event)
    tracemalloc.start()
    for _ in range(20_000):
        reader.feed(event)
    kept_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(event) * 20_000 > 5_000_000
    assert reader.arrived_bytes > 100_000
    assert kept_bytes <= peak_bytes < 1_000_000


GROWING = {
    "text": chunk(delta(content="x" * 100)),
    "tiny texts": chunk(delta(content="ab", reasoning="c")),
    "many names": chunk(delta(x_AT="x" * 100)),
    "arguments": chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "x" * 100}}])),
    "logprobs": chunk(delta(logprobs={"content": [{"token": "x", "bytes": [1, 2, 3]}]})),
    "fields of chunks": chunk(x_AT="x" * 100),
    "fields of choices": chunk({**delta(), "x_AT": ["x" * 100]}),
    "before any content": chunk(delta(role="assistant")),
    "after the finish reason": chunk(delta(finish_reason="stop")),
}
"""Chunks that come again and again, each with another number for `AT`."""


@pytest.mark.parametrize("name", GROWING)
def test_whatever_grows_without_end_is_given_up(monkeypatch, name):
    monkeypatch.setattr(openai_stream, "KEPT_AT_MOST", 100_000)
    reader = StreamReader()
    at = 0
    tracemalloc.start()
    while not reader.is_done:
        reader.feed(_event(GROWING[name].replace(b"AT", str(at).encode())))
        at += 1
        assert at < 100_000, "it would go on for ever"
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.is_broken
    assert kept_bytes < 1_000_000


@pytest.mark.parametrize("value", ["x" * 5000, ["x" * 5000], {"a": "x" * 5000}])
def test_a_field_that_every_chunk_repeats_or_replaces_is_kept_once(monkeypatch, value):
    monkeypatch.setattr(openai_stream, "KEPT_AT_MOST", 20_000)
    assembly = Assembly()
    for at in range(100):
        assembly.add(chunk(delta(content="x"), same=value, other=[value, at]))
    assert assembly.body()["same"] == value
    assert assembly.body()["other"] == [value, 99]
