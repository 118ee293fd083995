"""What a caller asked for, free of HTTP, and what can be said of its size without a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from llm_router.candidates import Strategy

BYTES_PER_TOKEN = 4
"""Typical of English prose in the o200k vocabulary; an estimate, and labelled so wherever it ends up in a cost."""

MESSAGE_OVERHEAD_BYTES = 32
"""Upper bound of what a chat format adds to each message: role, separators."""


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `model` is a route or `provider/model`; `max_tokens` caps the answer."""

    messages: tuple[Message, ...]
    model: str = "auto"
    max_tokens: int | None = None
    temperature: Decimal | None = None
    strategy: Strategy | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """UTF-8 bytes with the chat format's overhead: an upper bound of the prompt's tokens."""
        texts = sum(len(message.content.encode()) for message in self.messages)
        return texts + MESSAGE_OVERHEAD_BYTES * len(self.messages)

    @property
    def estimated_tokens(self) -> int:
        return estimated_tokens(self.size_bytes)


def estimated_tokens(size_bytes: int) -> int:
    """Rounded up, and at least one."""
    return max(1, -(-size_bytes // BYTES_PER_TOKEN))
