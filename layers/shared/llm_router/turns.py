"""A chat's history as turns, which stay or go as wholes: what a user said with all that followed. Pure.

A call of a tool and its result are never told apart, wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_router.prompts import Json

ALWAYS_KEPT = ("system", "developer")


@dataclass(frozen=True, slots=True)
class History:
    """Places in a list of messages. `older` are the turns before the last user message, `newer` the steps after it,
    both the oldest first; the last step is the one that an answer is wanted to, so it is in neither. `asked` is the
    last user message, None where there is none.
    """

    older: tuple[tuple[int, ...], ...]
    newer: tuple[tuple[int, ...], ...]
    last: tuple[int, ...]
    asked: int | None


def history(messages: Sequence[Json]) -> History:
    asked = next((at for at in reversed(range(len(messages))) if messages[at].get("role") == "user"), None)
    end = len(messages) if asked is None else asked
    before = _turns(messages, range(end), begins_with="user")
    after = _turns(messages, range(end + 1, len(messages)), begins_with="assistant")
    if asked is None:
        return History(before[:-1], (), before[-1] if before else (), None)
    return History(before, after[:-1], after[-1] if after else (), asked)


def _turns(messages: Sequence[Json], places: range, *, begins_with: str) -> tuple[tuple[int, ...], ...]:
    found: list[list[int]] = []
    bound_until = _bound_until(messages)
    together_until = -1
    for at in places:
        if messages[at].get("role") in ALWAYS_KEPT:
            continue
        begins = messages[at].get("role") == begins_with and at > together_until
        if begins or not found:
            found.append([])
        found[-1].append(at)
        together_until = max(together_until, bound_until.get(at, -1))
    return tuple(map(tuple, found))


def _bound_until(messages: Sequence[Json]) -> dict[int, int]:
    """For each message with calls the place of the last result of one of them."""
    called: dict[object, int] = {}
    bound: dict[int, int] = {}
    for at, message in enumerate(messages):
        answered = message.get("tool_call_id")
        if isinstance(answered, str) and answered in called:
            bound[called[answered]] = at
        called.update(dict.fromkeys(_calls(message), at))
    return bound


def _calls(message: Json) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list | tuple) else ():
        name = call.get("id") if isinstance(call, dict) else None
        if isinstance(name, str):
            yield name
