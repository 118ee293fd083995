"""What an answer holds, and how it is told."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import UNKNOWN_COST, usd
from llm_router import completions
from llm_router.adapters.openai_assembly import Assembly
from llm_router.usage import CostBasis, TokenUsage

CALL = {"id": "call_0", "type": "function", "function": {"name": "find", "arguments": '{"q": 1}'}}


def choice(finish="stop", **message):
    return {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (choice(content="Hello."), "Hello."),
        (choice(content=""), ""),
        (choice(refusal="No."), "No."),
        (choice(content="Hello.", refusal="No."), "Hello."),
        (choice(content=[{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo."}]), "Hello."),
        (choice(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "42"}]), "42"),
        (choice(content=[{"type": "text", "text": 1}]), None),
        (choice(content=[]), None),
        (choice(tool_calls=[CALL]), None),
        (choice(content=7), None),
        ({"message": "Hello."}, None),
        ({}, None),
    ],
)
def test_the_text_is_the_content_or_else_the_refusal(found, text):
    assert completions.text(found) == text


@pytest.mark.parametrize(
    ("found", "with_calls", "is_answer"),
    [
        (choice(content="Hello."), False, True),
        (choice(content=""), False, True),
        (choice(refusal="No."), False, True),
        (choice(), False, False),
        (choice(), True, False),
        (choice(tool_calls=[CALL]), True, True),
        (choice(tool_calls=[CALL]), False, False),
        (choice(tool_calls=[]), True, False),
        (choice(function_call={"name": "find"}), True, True),
        (choice(audio={"id": "a"}), True, True),
        (choice("length", reasoning_content="I th"), False, False),
        ({"finish_reason": "length"}, True, False),
    ],
)
def test_an_answer_is_text_a_refusal_or_a_call_that_was_offered(found, with_calls, is_answer):
    assert completions.has_substance(found, with_calls=with_calls) is is_answer


@pytest.mark.parametrize(
    ("found", "has_reasoning"),
    [
        (choice(reasoning_content="I th"), True),
        (choice(reasoning="I th"), True),
        (choice(reasoning_details=[{"type": "reasoning.text", "text": "I th"}]), True),
        (choice(content=[{"type": "thinking", "thinking": []}]), True),
        (choice(reasoning_content=""), False),
        (choice(content=[]), False),
        (choice(), False),
        ({}, False),
    ],
)
def test_reasoning_is_found_wherever_providers_put_it(found, has_reasoning):
    assert completions.has_reasoning(found) is has_reasoning


@pytest.mark.parametrize(
    ("message", "is_nameless"),
    [
        ({}, False),
        ({"tool_calls": None}, False),
        ({"tool_calls": []}, False),
        ({"tool_calls": [CALL, CALL]}, False),
        ({"tool_calls": [{"type": "custom", "custom": {"name": "find", "input": "x"}}]}, False),
        ({"tool_calls": [{"type": "code_interpreter", "code_interpreter": {"input": "1 + 1"}}]}, False),
        ({"function_call": {"name": "find", "arguments": "{}"}}, False),
        ({"tool_calls": [{}]}, True),
        ({"tool_calls": [CALL, {}]}, True),
        ({"tool_calls": ["find"]}, True),
        ({"tool_calls": {"find": 1}}, True),
        ({"tool_calls": [{**CALL, "function": {"arguments": "{}"}}]}, True),
        ({"tool_calls": [{**CALL, "function": {"name": "", "arguments": "{}"}}]}, True),
        ({"tool_calls": [{**CALL, "function": {"name": 7}}]}, True),
        ({"tool_calls": [{"type": "code_interpreter"}]}, True),
        ({"function_call": {"arguments": "{}"}}, True),
    ],
)
def test_a_call_says_what_it_calls(message, is_nameless):
    assert completions.has_nameless_calls(choice(**message)) is is_nameless


@pytest.mark.parametrize(
    ("choices", "size"),
    [
        ([choice(content="Grüße")], 7),
        ([choice(content="ab"), choice(content="c")], 3),
        ([choice(content="ab", reasoning_content="cde")], 5),
        ([choice(tool_calls=[CALL])], len('find{"q": 1}')),
        ([choice(content=[{"type": "text", "text": "abc"}])], 3),
        ([choice()], 0),
        (["no choice"], 0),
        (None, 0),
    ],
)
def test_the_size_is_what_the_model_has_written(choices, size):
    assert completions.size_bytes({"choices": choices}) == size


TOKENS = TokenUsage(prompt=10, completion=5)


@pytest.mark.parametrize(
    ("tokens", "reported", "told"),
    [
        (TOKENS, None, {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
        (TOKENS, "many", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
        (
            TOKENS,
            {"prompt_tokens": 10, "completion_tokens": 5},
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        ),
        (
            TokenUsage(prompt=10, completion=9),
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 19, "queue_time": Decimal("0.1")},
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 19, "queue_time": Decimal("0.1")},
        ),
        (None, None, {}),
    ],
)
def test_usage_is_the_providers_own_report_with_what_is_missing_in_it(tokens, reported, told):
    found = completions.usage(tokens, usd("0.1", CostBasis.ESTIMATED), reported)
    assert found == {**told, "cost": Decimal("0.1"), "cost_basis": "estimated"}


def test_an_unknown_cost_is_told_as_unknown_whatever_the_provider_says():
    found = completions.usage(TOKENS, UNKNOWN_COST, {"cost": 0})
    assert (found["cost"], found["cost_basis"]) == (None, "unknown")


texts = st.none() | st.text(max_size=8)
calls = st.lists(st.builds(lambda name: {**CALL, "id": name}, st.text(min_size=1, max_size=4)), max_size=3)
messages = st.builds(
    lambda content, reasoning, found: {
        "role": "assistant",
        "content": content,
        **({"reasoning_content": reasoning} if reasoning else {}),
        **({"tool_calls": found} if found else {}),
    },
    texts,
    texts,
    calls,
)


@given(st.lists(st.tuples(messages, st.sampled_from(["stop", "length", "tool_calls"])), min_size=1, max_size=4))
def test_a_completion_told_as_chunks_is_the_same_completion(parts):
    choices = [
        {"index": at, "message": message, "logprobs": None, "finish_reason": reason}
        for at, (message, reason) in enumerate(parts)
    ]
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    assembly = Assembly()
    for chunk in completions.as_chunks({**whole, "usage": {"prompt_tokens": 1}}):
        assert chunk["object"] == completions.CHUNK
        assert "usage" not in chunk, "whoever sends them says where it belongs"
        assembly.add(json.dumps(chunk).encode())
    assert assembly.is_finished(len(choices))
    assert assembly.body() == whole


@pytest.mark.parametrize("choices", [None, []])
def test_a_completion_without_choices_has_no_chunks(choices):
    assert completions.as_chunks({"choices": choices}) == []
