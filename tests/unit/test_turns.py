"""A chat as turns: the oldest first, calls of tools with their results, the last step and the question apart."""

from __future__ import annotations

import pytest

from llm_router import turns


def of(*roles):
    """Messages by their roles; `call:a` calls tool a, `tool:a` is its result."""
    return [_message(*role.split(":")) for role in roles]


def _message(role, name=None):
    if role == "call":
        return {"role": "assistant", "content": None, "tool_calls": [{"id": name, "type": "function"}]}
    return {"role": role, "content": "x", **({"tool_call_id": name} if name else {})}


@pytest.mark.parametrize(
    ("roles", "older", "newer", "last", "asked"),
    [
        (["user"], (), (), (), 0),
        (["system", "user"], (), (), (), 1),
        (["user", "assistant", "user"], ((0, 1),), (), (), 2),
        (["system", "user", "assistant", "user", "assistant", "user"], ((1, 2), (3, 4)), (), (), 5),
        (["assistant", "user", "assistant", "user"], ((0,), (1, 2)), (), (), 3),
        (["user", "user", "user"], ((0,), (1,)), (), (), 2),
        (["user", "call:a", "tool:a", "user"], ((0, 1, 2),), (), (), 3),
        (["user", "call:a", "tool:a", "call:b", "tool:b"], (), ((1, 2),), (3, 4), 0),
        (["user", "system", "assistant", "user"], ((0, 2),), (), (), 3),
        (["user", "call:a", "user", "tool:a", "user"], ((0, 1, 2, 3),), (), (), 4),
        (["assistant", "assistant"], (), (), (0, 1), None),
        (["system"], (), (), (), None),
    ],
)
def test_what_belongs_together(roles, older, newer, last, asked):
    found = turns.history(of(*roles))
    assert (found.older, found.newer, found.last, found.asked) == (older, newer, last, asked)
