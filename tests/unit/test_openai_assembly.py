"""A streamed completion, put together again, is the one that would have come unstreamed."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import json_text
from llm_router.adapters import openai_assembly, openai_stream
from llm_router.adapters.openai_assembly import Assembly
from llm_router.adapters.openai_fragments import BrokenStreamError
from llm_router.adapters.openai_stream import StreamReader


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


def body(assembly):
    """As it goes over the wire."""
    return json_text.decode(json_text.encode(assembly.body()))


def message(assembly, index=0):
    return body(assembly)["choices"][index]["message"]


def test_content_is_joined_and_the_frame_is_kept():
    found = assembled(
        chunk(delta(role="assistant", content="")),
        chunk(delta(content="Hel")),
        chunk(delta(content="lo.")),
        chunk(delta(finish_reason="stop")),
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 2}, system_fingerprint="fp"),
    )
    assert body(found) == {
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


def test_what_belongs_to_a_stream_alone_is_no_field_of_the_completion():
    """OpenAI pads each chunk, and a ping may be an event like others."""
    found = assembled(
        json.dumps({"type": "ping"}).encode(),
        chunk(delta(content="Hello."), obfuscation="x7Jk"),
        chunk(delta(finish_reason="stop"), obfuscation="p"),
    )
    assert body(found).keys() == {"id", "object", "created", "model", "choices"}


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
    (choice,) = body(assembly)["choices"]
    assert choice["message"]["reasoning_content"] == "I think"
    assert choice["message"]["refusal"] == "No"
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


def test_usage_in_groqs_own_place_is_found():
    found = assembled(chunk(delta(content="x")), chunk(x_groq={"id": "r", "usage": {"prompt_tokens": 1}}))
    assert body(found)["usage"] == {"prompt_tokens": 1}


def test_a_message_that_repeats_what_has_come_does_not_replace_it():
    """Perplexity's chunks have one beside each delta."""
    choice = {**delta(finish_reason="stop"), "message": {"role": "assistant", "content": "The wh"}}
    assert message(assembled(chunk(delta(content="The whole.")), chunk(choice)))["content"] == "The whole."


# Content in parts.


def texts(*words):
    return [{"type": "text", "text": word} for word in words]


def thinking(*words, **beside):
    return {"type": "thinking", "thinking": texts(*words), **beside}


REFERENCE = {"type": "reference", "reference_ids": [1]}


@pytest.mark.parametrize(
    ("fragments", "content"),
    [
        (["The answer ", "is 42."], "The answer is 42."),
        ([texts("The answer "), texts("is 42.")], texts("The answer is 42.")),
        ([texts("The answer "), "is ", "42."], texts("The answer is 42.")),
        (["The answer ", texts("is "), "42."], texts("The answer is 42.")),
        (["", [thinking("Hm")], [thinking("m.")], "42", ".", ""], [thinking("Hmm."), *texts("42.")]),
        (
            [[thinking("Hm")], [thinking(closed=True), *texts("The answer is ")], "42."],
            [thinking("Hm", closed=True), *texts("The answer is 42.")],
        ),
        (["Paris [", [REFERENCE], "] is it"], [*texts("Paris ["), REFERENCE, *texts("] is it")]),
        ([[REFERENCE], [REFERENCE]], [REFERENCE, REFERENCE]),
        (["42.", [], ""], "42."),
        ([[], "42."], "42."),
        ([{"type": "thinking", "thinking": "Hm"}, {"type": "thinking", "thinking": "m."}], None),
    ],
)
def test_content_in_texts_and_parts_is_kept_in_order_and_whole(fragments, content):
    if content is None:
        fragments, content = [[part] for part in fragments], [{"type": "thinking", "thinking": "Hmm."}]
    assert message(assembled(*(chunk(delta(content=value)) for value in fragments)))["content"] == content


def test_details_of_reasoning_are_joined_where_they_are_one():
    def details(*items):
        return chunk(delta(reasoning_details=list(items)))

    def item(kind, index=0, **fields):
        return {"type": kind, "index": index, "format": "f", **fields}

    found = assembled(
        details(item("reasoning.text", text="Hm")),
        details(item("reasoning.text", text="m."), item("reasoning.encrypted", 1, data="ab")),
        details(item("reasoning.encrypted", 1, data="cd"), item("reasoning.text", 2, text="So")),
        details(item("reasoning.text", 2, text=".", signature="s")),
    )
    assert message(found)["reasoning_details"] == [
        item("reasoning.text", text="Hmm."),
        item("reasoning.encrypted", 1, data="ab"),
        item("reasoning.encrypted", 1, data="cd"),
        item("reasoning.text", 2, text="So.", signature="s"),
    ]


@pytest.mark.parametrize("name", ["content", "reasoning", "x"])
@pytest.mark.parametrize(
    ("first", "then"), [("a", {"b": 1}), ({"b": 1}, "a"), (["a"], {"b": 1}), ({"b": 1}, ["a"]), ("a", 5), (["a"], 5)]
)
def test_a_fragment_of_another_kind_never_takes_the_place_of_what_has_come(name, first, then):
    with pytest.raises(BrokenStreamError):
        assembled(chunk(delta(**{name: first})), chunk(delta(**{name: then})))


@pytest.mark.parametrize("then", [None, "", [], {}])
@pytest.mark.parametrize("first", ["a", ["a"], {"b": 1}])
def test_what_is_empty_says_nothing(first, then):
    assert message(assembled(chunk(delta(x=first)), chunk(delta(x=then))))["x"] == first


def test_numbers_are_replaced():
    assert message(assembled(chunk(delta(x=1)), chunk(delta(x=2))))["x"] == 2


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
        b'{"object": "error", "message": "overloaded"}',
        b'{"choices": [], "x_groq": {"id": "r", "error": "over capacity"}}',
        b'{"choices": [{"delta": {"tool_calls": "find"}}]}',
        b'{"choices": [{"delta": {"tool_calls": {"index": 0}}}]}',
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


# What is kept.


def event(data):
    return b"data: " + data + b"\n\n"


def test_what_is_kept_of_an_answer_is_its_text_and_not_its_frames():
    """20,000 tokens: some 5 MB on the wire, 100 KB of text."""
    word = event(chunk(delta(content="word "), system_fingerprint="f" * 150))
    reader = StreamReader()
    reader.feed(word)
    tracemalloc.start()
    for _ in range(20_000):
        reader.feed(word)
    kept_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(word) * 20_000 > 5_000_000
    assert reader.arrived_bytes > 100_000
    assert kept_bytes <= peak_bytes < 1_000_000


def token(likeliest):
    one = {"token": " hello", "logprob": -0.0123456789, "bytes": list(b" hello")}
    return {**one, "top_logprobs": [one] * likeliest}


def test_an_answer_of_16000_tokens_with_the_20_likeliest_of_each_is_taken_in(monkeypatch):
    tokens = 400
    monkeypatch.setattr(
        openai_assembly, "LOGPROBS_AT_MOST_BYTES", openai_assembly.LOGPROBS_AT_MOST_BYTES * tokens // 16_000
    )
    said = [chunk(delta(content=" hello", logprobs={"content": [token(20)], "refusal": None}))] * tokens
    assembly = assembled(*said)
    (choice,) = body(assembly)["choices"]
    assert len(choice["logprobs"]["content"]) == tokens
    with pytest.raises(BrokenStreamError):
        assembled(*said * 2)


REASONING_DETAIL = {"type": "reasoning.text", "text": " so", "format": "anthropic-claude-v1", "index": 0}


def test_reasoning_in_details_weighs_what_its_text_weighs(monkeypatch):
    monkeypatch.setattr(openai_assembly, "KEPT_AT_MOST_BYTES", 5_000)
    (detail,) = message(assembled(*[chunk(delta(reasoning_details=[REASONING_DETAIL]))] * 1000))["reasoning_details"]
    assert detail["text"] == " so" * 1000


NAMES = {f"n{number}_AT": "" for number in range(50)}
DIGITS = "9" * 4000
GROWING = {
    "text": chunk(delta(content="x" * 100)),
    "wide text": chunk(delta(content="\N{SNOWMAN}" * 100)),
    "tiny texts": chunk(delta(content="ab", reasoning="c")),
    "many names": chunk(delta(x_AT="x" * 100)),
    "names of nothing": chunk(delta(**NAMES)),
    "names of null": chunk(delta(**dict.fromkeys(NAMES))),
    "names of fields": chunk(**NAMES),
    "names of choices": chunk({**delta(), **NAMES}),
    "names in an object": chunk(delta(x=NAMES)),
    "empty lists": chunk(delta(x=[[]] * 50)),
    "empty objects": chunk(delta(x=[{}] * 50)),
    "parts": chunk(delta(content=[{"type": "reference"}])),
    "parts that grow": chunk(delta(content=[{"type": "text", "text": "x"}, {"type": "thinking", "thinking": "y"}])),
    "long numbers": chunk(delta(x=["N"] * 5)).replace(b'"N"', DIGITS.encode()),
    "arguments": chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "x" * 100}}])),
    "calls": chunk(delta(tool_calls=[{"index": 0, "x_AT": 1}])),
    "logprobs": chunk(delta(logprobs={"content": [{"token": "x", "bytes": [1, 2, 3]}]})),
    "names in logprobs": chunk(delta(logprobs=dict.fromkeys(NAMES))),
    "fields of chunks": chunk(x_AT="x" * 100),
    "fields of choices": chunk({**delta(), "x_AT": ["x" * 100]}),
    "before any content": chunk(delta(role="assistant")),
    "after the finish reason": chunk(delta(finish_reason="stop")),
}
"""Chunks that come again and again, each with another number for `AT`."""


@pytest.mark.parametrize("name", GROWING)
def test_whatever_grows_without_end_is_given_up(monkeypatch, name):
    """At a size in memory that is about what is counted."""
    for module, bound in (
        (openai_assembly, "KEPT_AT_MOST_BYTES"),
        (openai_assembly, "LOGPROBS_AT_MOST_BYTES"),
        (openai_stream, "HELD_AT_MOST_BYTES"),
    ):
        monkeypatch.setattr(module, bound, 400_000)
    reader = StreamReader()
    at = 0
    tracemalloc.start()
    while not reader.is_done:
        reader.feed(event(GROWING[name].replace(b"AT", str(at).encode())))
        at += 1
        assert at < 400_000, "it would go on for ever"
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.is_broken
    assert kept_bytes < 1_000_000


@pytest.mark.parametrize("value", ["x" * 5000, ["x" * 5000], {"a": "x" * 5000}])
def test_a_field_that_every_chunk_repeats_or_replaces_is_kept_once(monkeypatch, value):
    monkeypatch.setattr(openai_assembly, "KEPT_AT_MOST_BYTES", 20_000)
    assembly = Assembly()
    for at in range(100):
        assembly.add(chunk(delta(content="x"), same=value, other=[value, at]))
    assert body(assembly)["same"] == value
    assert body(assembly)["other"] == [value, 99]
