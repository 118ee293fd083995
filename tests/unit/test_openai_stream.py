"""A streamed completion: cut into fragments of any shape it is the same for whoever gets it, or it is an error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import json_text
from llm_router.adapters.openai_assembly import Assembly
from llm_router.adapters.openai_stream import StreamReader
from llm_router.upstream import Asked
from llm_router.usage import Outcome, TokenUsage
from streaming_provider import USAGE, as_event, chunk, delta

DONE = b"data: [DONE]\n\n"
STOP = chunk(delta(finish="stop"))


class Read:
    """What became of a stream: for its reader, and for a live caller."""

    def __init__(self, *events, done=True, clean=True, asked=Asked()):  # noqa: B008  # frozen
        self.reader = StreamReader(asked)
        self.shown = []
        for event in events:
            raw = event if isinstance(event, bytes) else as_event(event)
            self.shown.append([json.loads(data) for data in self.reader.feed(raw)])
        if done:
            self.shown.append([json.loads(data) for data in self.reader.feed(DONE)])
        self.reading = self.reader.reading(ended_cleanly=clean)
        self.closing = [json.loads(data) for data in self.reader.closing]

    @property
    def outcome(self):
        return self.reading.outcome

    @property
    def text(self):
        return self.reading.text

    @property
    def live(self):
        """All that a live caller gets of an answer that is whole."""
        return [*(found for shown in self.shown for found in shown), *self.closing]


# Any completion, in fragments of any shape.

words = st.text(max_size=8)
ids = st.uuids().map(str)
reasons = st.sampled_from(["stop", "length", "tool_calls", "eos"])
calls = st.builds(
    lambda call_id, name, arguments: {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    ids,
    st.sampled_from(["find", "read"]),
    words,
)
text_parts = st.text(min_size=1, max_size=6).map(lambda text: {"type": "text", "text": text})
thinking = text_parts.map(lambda part: {"type": "thinking", "thinking": [part]})
other_parts = st.integers(0, 9).map(lambda number: {"type": "reference", "reference_ids": [number]})


@st.composite
def contents(draw):
    """A text, nothing, or parts: no two that belong together side by side, since they would be one."""
    if draw(st.booleans()):
        return draw(st.none() | words)
    parts = [draw(other_parts)]
    for _ in range(draw(st.integers(0, 4))):
        kinds = {"text": text_parts, "thinking": thinking, "reference": other_parts}
        if parts[-1]["type"] != "reference":
            del kinds[parts[-1]["type"]]
        parts.append(draw(st.one_of(list(kinds.values()))))
    return draw(st.sampled_from([parts, parts[::-1]]))


@st.composite
def choices(draw, index):
    tokens = draw(st.lists(words.map(lambda text: {"token": text, "logprob": -0.5, "top_logprobs": []}), max_size=3))
    message = {"role": "assistant", "content": draw(contents())}
    for name in ("reasoning_content", "refusal"):
        if text := draw(words):
            message[name] = text
    if found := draw(st.lists(calls, max_size=3)):
        message["tool_calls"] = found
    return {
        "index": index,
        "message": message,
        "logprobs": {"content": tokens, "refusal": None} if tokens else None,
        "finish_reason": draw(reasons),
    }


@st.composite
def pieces(draw, text):
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def content_deltas(draw, content):
    """Texts come as texts or as parts once there are parts; parts come one by one or together."""
    if not isinstance(content, list):
        return [{"content": piece} for piece in (draw(pieces(content)) if content is not None else [])]
    found = []
    for part in content:
        if part["type"] == "text":
            for piece in draw(pieces(part["text"])):
                as_part = piece and draw(st.booleans())
                found.append({"content": [{"type": "text", "text": piece}] if as_part else piece})
        elif part["type"] == "thinking":
            thoughts = draw(pieces(part["thinking"][0]["text"]))
            found += [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}]}
                for thought in thoughts
                if thought
            ]
        else:
            found.append({"content": [part]})
    return found


@st.composite
def call_deltas(draw, found):
    """Numbered right, from anywhere, all alike, or not at all; the later pieces with the id, none, or another."""
    first = draw(st.sampled_from([0, 0, 1, 7, None, "alike"]))
    later_id = draw(st.sampled_from(["same", "none", "empty", "other"]))
    deltas = []
    for at, call in enumerate(found):
        number = {} if first is None else {"index": 0 if first == "alike" else first + at}
        named, *rest = draw(pieces(call["function"]["arguments"]))
        function = {"name": call["function"]["name"], "arguments": named}
        deltas.append({"tool_calls": [{**number, **call, "function": function}]})
        own = {"same": {"id": call["id"]}, "none": {}, "empty": {"id": ""}, "other": {"id": "other"}}[later_id]
        if first is None and later_id == "other":
            own = {}  # nothing would tell it from another call
        deltas += [{"tool_calls": [{**number, **own, "function": {"arguments": piece}}]} for piece in rest]
    return deltas


@st.composite
def fragments(draw, choice):
    message = choice["message"]
    kinds = [
        draw(content_deltas(message["content"])),
        *(
            [{name: piece} for piece in draw(pieces(message[name]))]
            for name in ("reasoning_content", "refusal")
            if name in message
        ),
        draw(call_deltas(message.get("tool_calls", []))),
    ]
    deltas = [{"role": "assistant", **(draw(st.sampled_from([{}, {"content": ""}])) if message["content"] else {})}]
    while any(kinds):
        deltas.append(draw(st.sampled_from([kind for kind in kinds if kind])).pop(0))
    found = [{"index": choice["index"], "delta": said, "finish_reason": None} for said in deltas]
    tokens = choice["logprobs"]["content"] if choice["logprobs"] else []
    found += [
        {"index": choice["index"], "delta": {}, "logprobs": {"content": [token], "refusal": None}} for token in tokens
    ]
    found[-1]["finish_reason"] = choice["finish_reason"]
    return found


@st.composite
def streams(draw):
    """A completion, and the chunks of which it is made, those of all choices mixed, some with running usage."""
    number = draw(st.integers(1, 3))
    found = [draw(choices(index)) for index in range(number)]
    waiting = [draw(fragments(choice)) for choice in found]
    said = []
    while any(waiting):
        part = draw(st.sampled_from([parts for parts in waiting if parts])).pop(0)
        said.append(chunk(part, usage=draw(st.sampled_from([None, USAGE]))))
        if draw(st.booleans()):
            said.append(chunk(usage=USAGE))
    frame = {name: value for name, value in chunk(usage=USAGE).items() if name != "choices"}
    return {**frame, "object": "chat.completion", "choices": found}, [*said, chunk(usage=USAGE)]


def assembled(chunks):
    assembly = Assembly()
    for found in chunks:
        assembly.add(json.dumps(found).encode())
    return json.loads(json_text.encode(assembly.body()))


@given(streams())
def test_a_completion_in_fragments_of_any_shape_is_that_completion(stream):
    completion, chunks = stream
    assert assembled(chunks) == completion


@given(streams())
def test_what_a_live_caller_is_shown_is_that_completion_too(stream):
    """And is what naive clients can take: a choice in each chunk, no usage, calls numbered from 0."""
    completion, chunks = stream
    read = Read(*chunks, asked=Asked(len(completion["choices"]), with_calls=True))
    assert all(found["choices"] and "usage" not in found for found in read.live)
    assert assembled(read.live)["choices"] == completion["choices"]
    numbers = [
        call["index"]
        for found in read.live
        for part in found["choices"]
        for call in part["delta"].get("tool_calls", [])
    ]
    most = max((len(choice["message"].get("tool_calls", [])) for choice in completion["choices"]), default=0)
    assert set(numbers) == set(range(most))


@given(streams(), st.data())
def test_a_stream_that_stops_anywhere_is_whole_or_no_success(stream, data):
    completion, chunks = stream
    until = data.draw(st.integers(0, len(chunks)))
    read = Read(*chunks[:until], done=False, asked=Asked(len(completion["choices"]), with_calls=True))
    if read.outcome is Outcome.SUCCESS:
        assert json.loads(json_text.encode(read.reading.completion))["choices"] == completion["choices"]


# What is no answer, and what only looks like none.


@pytest.mark.parametrize(
    "events",
    [
        [{**STOP, "x_groq": {"id": "r", "error": "over capacity"}}],
        [chunk(x_groq={"error": "over capacity"}), STOP],
        [{"object": "error", "message": "told"}, STOP],
        [b'event: error\ndata: {"message": "told", "code": 500}\n\n', STOP],
        [STOP, b'event: error\ndata: {"message": "told"}\n\n'],
        [STOP, b"event: error\ndata: overloaded\n\n"],
        [b"data: <html>\n\n", STOP],
        [b'data: lo."}}]}\n\n', STOP],
        [b"data: null\n\n", STOP],
        [b'data: "ping"\n\n', STOP],
    ],
)
def test_an_error_among_the_events_is_one_whatever_follows(events):
    read = Read(chunk(delta(content="Hel")), *events)
    assert (read.outcome, read.text) == (Outcome.MALFORMED, "")
    assert "told" not in str(read.live)
    assert "capacity" not in str(read.live)


@pytest.mark.parametrize(
    "beat",
    [
        b"data:\n\n",
        b"data: \n\n",
        b"data: ping\n\n",
        b"data: PING\n\n",
        b"data: keep-alive\n\n",
        b"data: heartbeat\n\n",
    ],
)
def test_a_heartbeat_breaks_nothing_and_is_not_taken_for_a_chunk(beat):
    read = Read(beat, chunk(delta(content="Hel")), beat, chunk(delta(content="lo.")), beat, STOP, beat)
    assert (read.outcome, read.text, read.reader.taken) == (Outcome.SUCCESS, "Hello.", 3)


@pytest.mark.parametrize("event", [b'event: ping\ndata: {"type": "ping"}\n\n', b"data: {}\n\n"])
def test_an_event_without_choices_is_shown_to_nobody(event):
    read = Read(event, chunk(delta(content="Hello.")), event, STOP)
    assert (read.outcome, len(read.live)) == (Outcome.SUCCESS, 2)


@pytest.mark.parametrize("reason", ["", "null", None])
def test_a_reason_in_the_middle_that_says_nothing_ends_nothing(reason):
    read = Read(chunk(delta(content="Hel", finish=reason)), chunk(delta(content="lo.", finish=reason)), STOP)
    assert (read.outcome, read.text, len(read.shown[0])) == (Outcome.SUCCESS, "Hello.", 1)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("network_error", Outcome.MALFORMED),
        (True, Outcome.MALFORMED),
        ("SAFETY", Outcome.CONTENT_FILTER),
        ("STOP", Outcome.SUCCESS),
        ("a_word_of_tomorrow", Outcome.SUCCESS),
    ],
)
def test_why_it_ended_decides(reason, outcome):
    assert Read(chunk(delta(content="Hel")), chunk(delta(finish=reason))).outcome is outcome


# What it cost where it is not whole.


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (USAGE, TokenUsage(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 0}, TokenUsage(10, 0)),
        ({"prompt_tokens": 10}, None),
    ],
)
def test_what_was_reported_before_a_break_is_told_with_how_much_had_come(usage, tokens):
    reading = Read(chunk(delta(content="Grüße"), usage=usage), b"data: {\n\n").reading
    assert (reading.tokens, reading.arrived_bytes) == (tokens, 7)
    assert reading.may_be_billed
    assert not reading.is_counted_whole


def test_a_final_report_of_no_tokens_for_words_is_no_report():
    counted = {"prompt_tokens": 10, "completion_tokens": 0}
    reading = Read(chunk(delta(content="Hi.")), STOP, chunk(usage=counted), done=False, clean=False).reading
    assert (reading.outcome, reading.tokens, reading.is_counted_whole) == (Outcome.CUT, None, True)


def test_fees_are_told_where_the_answer_broke_off():
    cited = chunk(delta(content="Hel", annotations=[{"type": "url_citation"}]), usage=USAGE)
    assert Read(cited, done=False).reading.fees is True


def test_what_is_not_whole_is_not_put_together(monkeypatch):
    """It may be as large as it likes, at a moment when there is no time left."""
    monkeypatch.setattr(Assembly, "body", lambda _: pytest.fail("it was put together"))
    assert Read(chunk(delta(content="Hel")), done=False).outcome is Outcome.CUT
    assert Read(chunk(delta(content="Hel")), b"data: {\n\n").outcome is Outcome.MALFORMED


# Reasons that prove nothing.

EACH = [chunk(delta(content=word, finish="stop")) for word in ("The ", "whole ", "answer.")]
FIRST = [EACH[0], *(chunk(delta(content=word)) for word in ("whole ", "answer."))]


@pytest.mark.parametrize("events", [EACH, FIRST], ids=["in each chunk", "in the first chunk"])
def test_a_reason_that_content_has_followed_proves_nothing_without_the_streams_end(events):
    assert Read(*events, done=False).outcome is Outcome.CUT
    assert Read(*events, chunk(usage=USAGE), done=False).outcome is Outcome.CUT
    whole = Read(*events)
    assert (whole.outcome, whole.text) == (Outcome.SUCCESS, "The whole answer.")


@pytest.mark.parametrize("events", [EACH, FIRST], ids=["in each chunk", "in the first chunk"])
def test_what_follows_a_reason_is_shown_when_it_comes_and_the_reason_at_the_end(events):
    read = Read(*events)
    said = [[found["choices"][0]["delta"]["content"] for found in shown] for shown in read.shown]
    assert said == [[], ["The ", "whole "], ["answer."], []]
    reasons_shown = [found["choices"][0].get("finish_reason") for shown in read.shown for found in shown]
    assert reasons_shown == [None, None, None]
    (last,) = read.closing
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert (last["id"], last["object"]) == ("chatcmpl-1", "chat.completion.chunk")


def test_a_choice_that_comes_after_the_end_of_another_is_shown_in_order():
    read = Read(
        chunk(delta(0, content="a")),
        chunk(delta(0, finish="stop")),
        chunk(delta(1, content="b")),
        chunk(delta(1, finish="stop")),
    )
    assert [found["choices"][0]["index"] for found in read.live] == [0, 0, 1, 1]
    assert [len(shown) for shown in read.shown] == [1, 0, 2, 0, 0]
    assert read.outcome is Outcome.SUCCESS


def test_what_is_empty_after_a_reason_puts_it_in_no_doubt():
    read = Read(chunk(delta(content="Hi.", finish="stop")), chunk(delta(content="")), done=False)
    assert (read.outcome, read.text) == (Outcome.SUCCESS, "Hi.")


# An answer that is all thinking.


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([chunk(delta(reasoning="Hm")), chunk(delta(finish="length"))], Outcome.SUCCESS),
        ([chunk(delta(role="assistant")), chunk(delta(finish="length"), usage=USAGE)], Outcome.SUCCESS),
        ([chunk(delta(role="assistant")), chunk(delta(finish="MAX_TOKENS"), usage=USAGE)], Outcome.SUCCESS),
        (
            [
                chunk(delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}])),
                chunk(delta(finish="length")),
            ],
            Outcome.SUCCESS,
        ),
        ([chunk(delta(role="assistant")), chunk(delta(finish="length"))], Outcome.MALFORMED),
        ([chunk(delta(reasoning="Hm")), chunk(delta(finish="stop"), usage=USAGE)], Outcome.MALFORMED),
    ],
)
def test_thinking_that_took_all_the_tokens_is_all_of_an_answer(events, outcome):
    assert Read(*events).outcome is outcome
