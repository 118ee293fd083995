"""What would be sent of a prompt, message by message: what became of each, and how what is left of it begins. Pure.

Goes to nobody but the caller who sent the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from llm_router import chat_texts
from llm_router.prompts import Json

BEGINNING = 60
"""Characters of a passage by which its writer knows it again."""

BEGINNINGS_AT_MOST = 50


class Fate(StrEnum):
    """What became of a message."""

    WHOLE = "whole"
    CLEANED = "cleaned"
    CUT = "cut"
    GONE = "gone"


def rows(before: Sequence[Json], after: Sequence[Json], *, fates: Sequence[Fate], sources: Sequence[int]) -> list[Json]:
    """One for each message as it came; `sources` are the places that the messages after had before."""
    left = dict(zip(sources, after, strict=True))
    return [_row(message, left.get(at), fate) for at, (message, fate) in enumerate(zip(before, fates, strict=True))]


def _row(before: Json, after: Json | None, fate: Fate) -> Json:
    return {
        "role": before.get("role"),
        "became": fate.value,
        "charactersBefore": _length(before),
        "charactersAfter": _length(after) if after else 0,
        "begins": _beginnings(after) if after else [],
    }


def _length(message: Json) -> int:
    return sum(map(len, chat_texts.texts(message)))


def _beginnings(message: Json) -> list[str]:
    """Of what stands between the marks."""
    pieces = [piece.strip() for text in chat_texts.texts(message) for piece in text.split(chat_texts.MARK)]
    return [piece[:BEGINNING] for piece in pieces if piece][:BEGINNINGS_AT_MOST]
