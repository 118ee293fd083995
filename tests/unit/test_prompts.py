"""What can be said of a prompt's size without a tokenizer."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import prompt
from llm_router import json_text, prompts
from llm_router.prompts import MESSAGE_OVERHEAD_BYTES, Prompt, message
from unit.test_tokens import TOKENIZER

texts = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(("text", "size"), [("", 0), ("Hello", 5), ("é", 2), ("日本", 6), ("🙂", 4)])
def test_size_is_counted_in_bytes_of_utf_8(text, size):
    assert prompt(text).size_bytes == size + MESSAGE_OVERHEAD_BYTES


@settings(deadline=None)
@given(st.lists(texts, max_size=6))
def test_each_message_adds_its_bytes_and_the_chat_formats_overhead(contents):
    made = Prompt(messages=tuple(message("user", content) for content in contents))
    assert made.size_bytes == sum(len(content.encode()) + MESSAGE_OVERHEAD_BYTES for content in contents)


@pytest.mark.parametrize(("size", "tokens"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (4_500_000, 1_125_000)])
def test_tokens_are_estimated_upwards_and_never_as_none(size, tokens):
    assert prompts.estimated_tokens(size) == tokens


@settings(deadline=None)
@given(texts)
def test_the_estimate_lies_below_the_upper_bound(text):
    made = prompt(text)
    assert 1 <= made.estimated_tokens <= made.size_bytes


SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | texts,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=8),
    max_leaves=40,
)


@settings(deadline=None, max_examples=50)
@given(SCHEMAS)
def test_tools_and_calls_weigh_what_they_are_as_json_and_have_no_more_tokens(schema):
    """A thousand brackets are as many tokens, though no text."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": json.dumps(schema)}}
    made = Prompt(
        messages=({"role": "assistant", "content": None, "tool_calls": [call]},),
        fields={"tools": [{"type": "function", "function": {"name": "f", "parameters": {"enum": [schema]}}}]},
    )
    written = json_text.encode(made.fields["tools"]).decode() + json_text.encode([call]).decode()
    assert TOKENIZER.count(written) <= made.size_bytes
    assert made.size_bytes >= len(written.encode())


@pytest.mark.parametrize(
    ("kind", "is_bounded"), [("text", True), ("image_url", True), ("file", False), ("video_url", False)]
)
def test_a_file_that_is_only_named_has_no_bound(kind, is_bounded):
    part = {"type": kind, "file_id": "1"}
    assert Prompt(messages=({"role": "user", "content": [part]},)).is_bounded == is_bounded
