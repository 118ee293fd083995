"""How many tokens a prompt has, as OpenAI counts a chat. Pure: what counts a text is an argument.

https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llm_router import json_text
from llm_router.prompts import BESIDE_MESSAGES, IMAGE_BYTES, IMAGES, Json, Prompt, estimated_tokens

Count = Callable[[str], int]

MESSAGE_TOKENS = 3
"""Around each message."""

NAME_TOKENS = 1
REPLY_TOKENS = 3
"""Every answer is begun for the model."""

IMAGE_TOKENS = estimated_tokens(IMAGE_BYTES)


def prompt_tokens(prompt: Prompt, count: Count) -> int:
    return beside_messages(prompt, count) + sum(message_tokens(message, count) for message in prompt.messages)


def beside_messages(prompt: Prompt, count: Count) -> int:
    """Of what no trimming touches: the tools, the schema of the answer, its beginning."""
    beside = [prompt.fields[name] for name in BESIDE_MESSAGES if prompt.fields.get(name) is not None]
    return REPLY_TOKENS + sum(_value_tokens(value, count) for value in beside)


def message_tokens(message: Json, count: Count) -> int:
    fields = sum(_field_tokens(name, value, count) for name, value in message.items())
    return MESSAGE_TOKENS + fields


def _field_tokens(name: str, value: object, count: Count) -> int:
    if isinstance(value, str):
        return count(value) + (NAME_TOKENS if name == "name" else 0)
    if name == "content" and isinstance(value, list | tuple):
        return sum(_part_tokens(part, count) for part in value)
    return 0 if value is None else _value_tokens(value, count)


def _part_tokens(part: object, count: Count) -> int:
    """An image, or a file of any kind, has its own way of being counted, which nobody tells exactly."""
    if not isinstance(part, Mapping):
        return 0
    kind = part.get("type")
    if kind in IMAGES:
        return IMAGE_TOKENS
    text = part.get("text")
    if isinstance(text, str):
        return count(text)
    return estimated_tokens(len(json_text.encode(part)))


def _value_tokens(value: object, count: Count) -> int:
    """Calls and schemas: OpenAI writes them in a shorter form of its own, so this is a little too much."""
    return count(json_text.encode(value).decode())
