"""What a caller asked for, free of HTTP, and what can be said of its size without a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from llm_router.candidates import Delivery, Feature, Optimize, Strategy

BYTES_PER_TOKEN = 4
"""Typical of English prose in the o200k vocabulary; an estimate, and labelled so wherever it ends up in a cost."""

MESSAGE_OVERHEAD_BYTES = 32
"""Upper bound of what a chat format adds to each message: role, separators."""

IMAGE_BYTES = 6000
"""What an image counts as, in bytes of text: about 1,500 tokens, as OpenAI's vision guide has it for large ones."""

IMAGES = ("image_url", "input_image", "image")
BESIDE_MESSAGES = ("tools", "response_format", "functions")
"""Fields of a request that count as a part of its prompt."""

NOTHING_ASKED = (("logprobs", False), ("store", False))
"""What a field says by default."""

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which providers the caller wants, in the words of OpenRouter's users. Empty means no wish.

    `max_input` and `max_output` are USD per million tokens.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_input: Decimal | None = None
    max_output: Decimal | None = None
    allows_fallbacks: bool = True


NO_WISHES = Wishes()


@dataclass(frozen=True)  # no slots: its sizes are remembered, which are asked for by every candidate
class Prompt:
    """One request. `models` are routes or `provider/model`, each the fallback of the one before.

    `messages` are in OpenAI's format; `fields` are all other fields of the request that go upstream as they are.
    `max_tokens` caps each of the `choices` answers; `output_cap_parameter` is how the caller spells that.
    `stream_options` are those that the caller asks of a stream, without usage, which is always asked for.
    `counted_tokens` is how many it has, where that was counted.
    """

    messages: tuple[Json, ...]
    models: tuple[str, ...] = ("auto",)
    max_tokens: int | None = None
    output_cap_parameter: str = "max_tokens"
    choices: int = 1
    fields: Json = field(default_factory=dict)
    stream_options: Json = field(default_factory=dict)
    needs: frozenset[Feature] = frozenset()
    strategy: Strategy | None = None
    delivery: Delivery | None = None
    wishes: Wishes = NO_WISHES
    optimize: Optimize | None = None
    counted_tokens: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The fields that ask for something. What a field says that says nothing may be left out of it."""
        asked = {
            name
            for name, value in self.fields.items()
            if value not in (None, {}, []) and (name, value) not in NOTHING_ASKED
        }
        return frozenset(asked | ({"stream_options"} if any(self.stream_options.values()) else set()))

    @cached_property
    def size_bytes(self) -> int:
        """UTF-8 bytes with the chat format's overhead: an upper bound of the prompt's tokens."""
        return self._text_bytes(image_bytes=None)

    @cached_property
    def estimated_tokens(self) -> int:
        """As counted, else by its bytes."""
        return estimated_tokens(self.countable_bytes) if self.counted_tokens is None else self.counted_tokens

    @cached_property
    def countable_bytes(self) -> int:
        """UTF-8 bytes with an image at what it counts: no prompt has more tokens."""
        return self._text_bytes(image_bytes=IMAGE_BYTES)

    def _text_bytes(self, *, image_bytes: int | None) -> int:
        beside = {name: value for name, value in self.fields.items() if name in BESIDE_MESSAGES}
        overhead = MESSAGE_OVERHEAD_BYTES * len(self.messages)
        return overhead + sum(_size(part, image_bytes) for part in (*map(_without_role, self.messages), beside))


def message(role: str, content: str) -> Json:
    return {"role": role, "content": content}


def estimated_tokens(size_bytes: int) -> int:
    """Rounded up, and at least one."""
    return max(1, -(-size_bytes // BYTES_PER_TOKEN))


def _without_role(found: Json) -> Json:
    """The role is in the overhead; so is the name `content`."""
    return {("" if name == "content" else name): value for name, value in found.items() if name != "role"}


def _size(value: object, image_bytes: int | None) -> int:
    """Bytes of all texts inside, names included. An image counts `image_bytes`, or its own if those are more."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping):
        inside = sum(_size(name, None) + _size(inner, image_bytes) for name, inner in value.items())
        if value.get("type") in IMAGES:
            return max(inside, IMAGE_BYTES) if image_bytes is None else image_bytes
        return inside
    if isinstance(value, list | tuple):
        return sum(_size(inner, image_bytes) for inner in value)
    return 0 if value is None else len(str(value))
