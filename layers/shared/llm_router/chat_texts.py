"""The texts inside of a message, whether its content is one text or parts with images between them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llm_router.prompts import Json

MARK = "[…]"
"""Stands where passages were left out."""


def texts(message: Json) -> tuple[str, ...]:
    content = message.get("content")
    if isinstance(content, str):
        return (content,)
    if isinstance(content, list | tuple):
        return tuple(part["text"] for part in content if _is_text(part))
    return ()


def with_texts(message: Json, changed: Sequence[str]) -> Json:
    """The message with other texts in the places of its own, of which there are as many."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": changed[0]}
    if not isinstance(content, list | tuple):
        return message
    left = iter(changed)
    return {**message, "content": [{**part, "text": next(left)} if _is_text(part) else part for part in content]}


def with_note(message: Json, note: str) -> Json:
    """The message with a note before its content."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": f"{note}\n\n{content}"}
    if isinstance(content, list | tuple):
        return {**message, "content": [{"type": "text", "text": note}, *content]}
    return {**message, "content": note}


def _is_text(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
