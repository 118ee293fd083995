"""Calls in fragments: which belong together, in the ways in which providers number and name them."""

from __future__ import annotations

import pytest

from llm_router.adapters.openai_calls import CALLS_AT_MOST, Calls
from llm_router.adapters.openai_fragments import BrokenStreamError, Growth, joined


def fragment(index=None, call_id=None, name=None, arguments=""):
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    found = {"index": index, "id": call_id, "function": function}
    return {key: value for key, value in found.items() if value is not None}


def put_together(*chunks):
    calls, growth = Calls(), Growth()
    for fragments in chunks:
        calls.take(fragments, growth)
    return [(call.get("id"), *map(call["function"].get, ("name", "arguments"))) for call in joined(calls.calls)]


TWO = [("a", "find", '{"x":1}'), ("b", "read", '{"y":2}')]
SAME_TWICE = [(None, "find", '{"x":1}'), (None, "find", '{"x":2}')]

WAYS = {
    "numbered, side by side": (
        [
            [fragment(0, "a", "find", '{"x"'), fragment(1, "b", "read", '{"y"')],
            [fragment(1, arguments=":2}")],
            [fragment(0, arguments=":1}")],
        ],
        TWO,
    ),
    "both under 0, whole": ([[fragment(0, "a", "find", '{"x":1}')], [fragment(0, "b", "read", '{"y":2}')]], TWO),
    "both under 0, in one chunk": ([[fragment(0, "a", "find", '{"x":1}'), fragment(0, "b", "read", '{"y":2}')]], TWO),
    "both under 0, in pieces with an empty id": (
        [
            [fragment(0, "a", "find")],
            [fragment(0, "", arguments='{"x":1}')],
            [fragment(0, "b", "read")],
            [fragment(0, "", arguments='{"y":2}')],
        ],
        TWO,
    ),
    "both under 0, all repeated in each piece": (
        [
            [fragment(0, "a", "find", '{"x"')],
            [fragment(0, "a", "find", ":1}")],
            [fragment(0, "b", "read", '{"y"')],
            [fragment(0, "b", "read", ":2}")],
        ],
        TWO,
    ),
    "another id in each piece": (
        [
            [fragment(0, "a", "find")],
            [fragment(0, "c", arguments='{"x"')],
            [fragment(0, "d", arguments=":1}")],
            [fragment(1, "b", "read", '{"y":2}')],
        ],
        TWO,
    ),
    "numbered from 1": ([[fragment(1, "a", "find", '{"x":1}')], [fragment(2, "b", "read", '{"y":2}')]], TWO),
    "without numbers": (
        [[fragment(None, "a", "find", '{"x"')], [fragment(arguments=":1}")], [fragment(None, "b", "read", '{"y":2}')]],
        TWO,
    ),
    "without numbers, in one chunk": (
        [[fragment(None, "a", "find", '{"x":1}'), fragment(None, "b", "read", '{"y":2}')]],
        TWO,
    ),
    "without numbers or ids, in one chunk": (
        [[fragment(None, None, "find", '{"x":1}'), fragment(None, None, "find", '{"x":2}')]],
        SAME_TWICE,
    ),
    "without numbers or ids": (
        [[fragment(None, None, "find", '{"x":1}')], [fragment(None, None, "find", '{"x":2}')]],
        SAME_TWICE,
    ),
    "under 0 without ids, another name": (
        [[fragment(0, None, "find", "{}")], [fragment(0, None, "read", "{}")]],
        [(None, "find", "{}"), (None, "read", "{}")],
    ),
    "the id comes late": ([[fragment(0, None, "find")], [fragment(0, "a", arguments="{}")]], [("a", "find", "{}")]),
}


@pytest.mark.parametrize("way", WAYS)
def test_calls_are_told_apart(way):
    chunks, calls = WAYS[way]
    assert put_together(*chunks) == calls


@pytest.mark.parametrize("way", WAYS)
def test_who_is_shown_the_fragments_can_tell_the_calls_apart_by_their_numbers(way):
    chunks, expected = WAYS[way]
    calls, growth = Calls(), Growth()
    arguments = {}
    for fragments in chunks:
        before = [dict(found) for found in fragments]
        was_set_right = calls.take(fragments, growth)
        assert was_set_right is (fragments != before)
        for found in fragments:
            arguments[found["index"]] = arguments.get(found["index"], "") + found["function"]["arguments"]
    assert arguments == dict(enumerate(text for *_, text in expected))


def test_a_custom_call_is_put_together_too():
    calls, growth = Calls(), Growth()
    calls.take([{"index": 0, "id": "a", "type": "custom", "custom": {"name": "find", "input": "x"}}], growth)
    calls.take([{"index": 0, "custom": {"input": "y"}}], growth)
    assert joined(calls.calls) == [{"id": "a", "type": "custom", "custom": {"name": "find", "input": "xy"}}]


@pytest.mark.parametrize("fragments", ["find", {"index": 0}, ["find"], [{"index": -1}], [{"index": CALLS_AT_MOST}]])
def test_what_is_no_fragment_of_a_call_breaks_the_stream(fragments):
    with pytest.raises(BrokenStreamError):
        Calls().take(fragments, Growth())


def test_calls_without_end_break_the_stream():
    calls, growth = Calls(), Growth()
    for number in range(CALLS_AT_MOST):
        calls.take([fragment(0, f"call_{number}", "find")], growth)
    with pytest.raises(BrokenStreamError):
        calls.take([fragment(0, "one more", "find")], growth)
