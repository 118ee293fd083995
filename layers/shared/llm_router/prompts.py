"""What a caller asked for, free of HTTP, and what can be said of its size without a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from llm_router import json_text
from llm_router.candidates import Delivery, Feature, Optimize, Strategy

BYTES_PER_TOKEN = 4
"""Typical of English prose in the o200k vocabulary; an estimate, and labelled so wherever it ends up in a cost."""

MESSAGE_OVERHEAD_BYTES = 32
"""Upper bound of what a chat format adds to each message: role, separators."""

IMAGE_BYTES = 6000
"""What an image counts as, in bytes of text: about 1,500 tokens, as OpenAI's vision guide has it for large ones."""

IMAGE_TOKENS_AT_MOST = 50_000
"""gpt-4o-mini counts an image in high detail as 2,833 tokens and 5,667 for each of at most eight tiles, the most of all
that publish it (https://platform.openai.com/docs/guides/images-vision).
"""

IMAGES = ("image_url", "input_image", "image")
MEASURED = frozenset({*IMAGES, "text", "refusal", "thinking", "input_audio"})
"""Kinds of content parts whose size says how many tokens they can be; of a file that is only named it says nothing."""

BESIDE_MESSAGES = ("tools", "response_format", "functions")
"""Fields of a request that count as a part of its prompt."""

NOTHING_ASKED: Mapping[str, tuple[object, ...]] = {
    "function_call": ("auto",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "safety_identifier": ("",),
    "service_tier": ("auto", "default"),
    "stop": ("", []),
    "store": (False,),
    "tools": ([],),
    "top_logprobs": (0,),
    "user": ("",),
    "verbosity": ("medium",),
}
"""What a field says by default, and null always: a provider that refuses the field is sent none.
https://platform.openai.com/docs/api-reference/chat/create
"""

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which providers the caller wants, in the words of OpenRouter's users. Empty means no wish.

    `max_input` and `max_output` are USD per million tokens. `across_models` has the candidates of all that `models`
    names compete; else a fallback stays one.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_input: Decimal | None = None
    max_output: Decimal | None = None
    allows_fallbacks: bool = True
    across_models: bool = False


NO_WISHES = Wishes()


@dataclass(frozen=True)  # no slots: its sizes are remembered, which are asked for by every candidate
class Prompt:
    """One request. `models` are routes or `provider/model`, each the fallback of the one before; `names_model` is false
    where the first of them is one of a request's `models`, too.

    `messages` are in OpenAI's format; `fields` are all other fields of the request that go upstream as they are.
    `max_tokens` caps each of the `choices` answers; `output_cap_parameter` is how the caller spells that.
    `stream_options` are those that the caller asks of a stream, without usage, which is always asked for.
    `counted_tokens` is how many it has, where that was counted. `held_in` is the field that the caller sent it in.
    """

    messages: tuple[Json, ...]
    models: tuple[str, ...] = ("auto",)
    names_model: bool = True
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
    held_in: str = "prompt"
    metadata: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The fields that ask for something. What a field says that says nothing may be left out of it."""
        asked = {
            name
            for name, value in self.fields.items()
            if value is not None and value not in NOTHING_ASKED.get(name, ())
        }
        return frozenset(asked | ({"stream_options"} if any(self.stream_options.values()) else set()))

    @cached_property
    def is_bounded(self) -> bool:
        """Whether its size says anything: of a file that is only named, or a video, it does not."""
        kinds = (part.get("type", "text") for found in self.messages for part in _parts(found.get("content")))
        return all(isinstance(kind, str) and kind in MEASURED for kind in kinds)

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
        return overhead + _json_size(beside) + sum(_message_size(found, image_bytes) for found in self.messages)


def message(role: str, content: str) -> Json:
    return {"role": role, "content": content}


def estimated_tokens(size_bytes: int) -> int:
    """Rounded up, and at least one."""
    return max(1, -(-size_bytes // BYTES_PER_TOKEN))


def _message_size(found: Json, image_bytes: int | None) -> int:
    """Of its content the texts; all else, calls of tools for instance, as the JSON that it is. The role and the name
    `content` are in the overhead.
    """
    beside = {name: value for name, value in found.items() if name not in ("role", "content")}
    return _size(found.get("content"), image_bytes) + _json_size(beside)


def _json_size(value: Json) -> int:
    return len(json_text.encode(value)) if value else 0


def _parts(content: object) -> Iterator[Json]:
    if isinstance(content, list | tuple):
        yield from (part for part in content if isinstance(part, Mapping))


def _size(value: object, image_bytes: int | None) -> int:
    """Bytes of all texts inside, names included. An image counts `image_bytes`, or its own if those are more."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping):
        inside = sum(_size(name, None) + _size(inner, image_bytes) for name, inner in value.items())
        if value.get("type") in IMAGES:
            return max(inside, IMAGE_TOKENS_AT_MOST) if image_bytes is None else image_bytes
        return inside
    if isinstance(value, list | tuple):
        return sum(_size(inner, image_bytes) for inner in value)
    return 0 if value is None else len(str(value))
