"""JSON from providers, read without trusting that it has the shape that it should."""

from __future__ import annotations

from collections.abc import Mapping

from llm_router import json_text


def mapping(value: object) -> Mapping[str, object]:
    """Empty where the value is no object."""
    return value if isinstance(value, dict) else {}


def decoded(body: bytes) -> object:
    """None where the body is no JSON."""
    try:
        return json_text.decode(body)
    except ValueError:
        return None
