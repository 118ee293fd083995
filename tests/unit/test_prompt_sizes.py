"""Tokens of whole prompts, as OpenAI's guide counts a chat."""

from __future__ import annotations

import pytest
from hypothesis import given

from builders import prompt
from llm_router import prompt_sizes
from llm_router.prompt_sizes import IMAGE_TOKENS, message_tokens, prompt_tokens
from llm_router.prompts import Prompt
from unit.test_optimization import chats
from unit.test_tokens import TOKENIZER

GUIDE = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into "
        "plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
        "leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


def test_the_example_of_openais_guide_has_the_tokens_that_their_api_counts():
    """124 by gpt-4o and gpt-4o-mini: the cookbook's How_to_count_tokens_with_tiktoken."""
    assert prompt_tokens(Prompt(messages=tuple(GUIDE)), TOKENIZER.count) == 124


def test_an_image_counts_as_one_whatever_its_bytes():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    text = {"type": "text", "text": "What is it?"}
    counted = message_tokens({"role": "user", "content": [text, image]}, len)
    assert counted == IMAGE_TOKENS + message_tokens({"role": "user", "content": "What is it?"}, len)


def test_tools_and_schemas_are_a_part_of_the_prompt():
    tools = [{"type": "function", "function": {"name": "weather"}}]
    with_tools = prompt(fields={"tools": tools, "temperature": 1})
    beside = prompt_sizes.beside_messages(with_tools, TOKENIZER.count)
    assert beside > prompt_sizes.beside_messages(prompt(), TOKENIZER.count) + 5


@pytest.mark.parametrize("content", [None, [], [None], [{"type": "file", "file": {"file_id": "f"}}]])
def test_content_of_any_kind_has_a_size(content):
    assert message_tokens({"role": "user", "content": content}, TOKENIZER.count) >= prompt_sizes.MESSAGE_TOKENS


@given(chats())
def test_a_chat_has_no_more_tokens_than_its_bytes_say(messages):
    """What lets short prompts go uncounted."""
    made = Prompt(messages=tuple(messages))
    assert prompt_tokens(made, TOKENIZER.count) <= made.countable_bytes + prompt_sizes.REPLY_TOKENS
