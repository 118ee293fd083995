"""Which old turns of a chat are worth keeping beside its latest ones: those that a question is about. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from llm_router import relevance

ROOM_AT_MOST = 0.25
"""Of the room for earlier turns. The rest is for the latest, which a question may mean without naming them."""

STANDS_OUT = 0.5
"""Of the best score of all turns: less is a word or two in common by chance."""


def recalled(question: str, turns: Sequence[str], *, tokens: Sequence[int], room: int, gap: int) -> frozenset[int]:
    """Places of the turns that `room` tokens should hold though newer ones go; `tokens` are what each takes.

    `gap` is what the marks of one gap more take. Empty where the question has no word in common with what is too old to
    stay, and where nothing is left beside the latest turn.
    """
    left = min(room * ROOM_AT_MOST, room - tokens[-1]) if tokens else 0
    too_old = range(_first_to_stay(tokens, room - left))
    if not too_old or left <= 0:
        return frozenset()
    scores = relevance.scores(question, turns)
    least = max(scores) * STANDS_OUT
    found: set[int] = set()
    for at in sorted(too_old, key=lambda at: (-scores[at], -at)):
        takes = tokens[at] if {at - 1, at + 1} & found else tokens[at] + gap
        if scores[at] > 0 and scores[at] >= least and gap < tokens[at] and takes <= left:
            found.add(at)
            left -= takes
    return frozenset(found)


def _first_to_stay(tokens: Sequence[int], room: float) -> int:
    """Where the latest turns begin that are no more than `room` together."""
    at = len(tokens)
    while at and tokens[at - 1] <= room:
        at -= 1
        room -= tokens[at]
    return at
