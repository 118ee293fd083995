"""What can be said of a prompt's size without a tokenizer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import prompt
from llm_router import prompts
from llm_router.prompts import MESSAGE_OVERHEAD_BYTES, Prompt, message

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
