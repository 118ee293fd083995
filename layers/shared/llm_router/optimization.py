"""What may be taken from a chat so that it costs less or fits: `safe` and `trim`. Pure.

System messages and the last user message stay to the letter. Where that message is all there is, it is question and
material in one: then its first and its last paragraph stay, and what is between them may be cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from llm_router import chat_texts, cleaning, cutting, recall, turns
from llm_router.chat_texts import MARK
from llm_router.outlines import Fate
from llm_router.prompt_sizes import Count, message_tokens
from llm_router.prompts import Json
from llm_router.turns import ALWAYS_KEPT, History

EARLIER_GONE = "[… earlier messages left out …]"
"""Without their number, so that the next request of the conversation begins with the same text. Said once."""

OVERSIZED_TOKENS = 400
"""Of a text that is cut by passages; a shorter one stays or goes."""

ROOM_AT_LEAST = 100
"""Tokens for what is left of texts that are cut; with less of them their turn goes."""


@dataclass(frozen=True, slots=True)
class Optimized:
    """`tokens` are the messages'; `sources` the places that they had among those that came in, of which each has its
    fate in `fates`.
    """

    messages: tuple[Json, ...]
    tokens: int
    fates: tuple[Fate, ...]
    sources: tuple[int, ...]
    passages_gone: int = 0

    @property
    def messages_gone(self) -> int:
        return self.fates.count(Fate.GONE)


def safe(messages: Sequence[Json]) -> tuple[Json, ...]:
    """Without what cannot change the meaning."""
    asked = turns.history(messages).asked
    bound = {at for at, message in enumerate(messages) if message.get("role") in ALWAYS_KEPT}
    if len(messages) - len(bound) > 1 and asked is not None:
        bound.add(asked)
    return tuple(
        message if at in bound else _cleaned(message, but_ends=at == asked) for at, message in enumerate(messages)
    )


def trim(messages: Sequence[Json], *, limit: int, count: Count) -> Optimized | None:
    """The messages within `limit` tokens; None where what must stay is more.

    The oldest turns go first; the last to go are a few that the question is about. Of the one with which it would be
    too much that goes, the long texts are cut; and when no turn is left, those of the results that an answer is wanted
    to, and the last user message.
    """
    tokens = [message_tokens(message, count) for message in messages]
    if sum(tokens) <= limit:
        return Optimized(tuple(messages), sum(tokens), (Fate.WHOLE,) * len(messages), tuple(range(len(messages))))
    past = turns.history(messages)
    draft = _Draft(messages, limit, count, _question(messages, past))
    _drop_older(draft, past)
    _drop_newer(draft, past)
    if draft.excess > 0:
        draft.cut(past.last, room_at_least=0)
    if draft.excess > 0 and past.asked is not None:
        draft.cut((past.asked,), room_at_least=0, with_ends=True)
    return None if draft.excess > 0 else draft.finished()


def _cleaned(message: Json, *, but_ends: bool) -> Json:
    texts = chat_texts.texts(message)
    changed = [cleaning.cleaned(text, but_ends=but_ends) for text in texts]
    return message if changed == list(texts) else chat_texts.with_texts(message, changed)


def _question(messages: Sequence[Json], past: History) -> str:
    asking = messages[-1 if past.asked is None else past.asked]
    return cutting.question(chat_texts.texts(asking))


def _drop_older(draft: _Draft, past: History) -> None:
    """Each gap that comes about has its own stand-ins; where two gaps become one, those of the first stay."""
    recalled = draft.recalled(past.older)
    gone: set[int] = set()
    first = len(past.older)
    for at in sorted(range(len(past.older)), key=recalled.__contains__):
        if draft.makes_room(past.older[at]):
            return
        gone.add(at)
        if at + 1 in gone:
            draft.drop(past.older[at + 1])
        first = min(first, at)
        if at - 1 not in gone:
            _put_stand_ins(draft, past.older[at], EARLIER_GONE if at == first else MARK)


def _stand_ins(note: str, roles: Sequence[str] = ("user", "assistant")) -> list[Json]:
    """What stands where turns went: who spoke goes on alternating, which some models insist on."""
    return [{"role": role, "content": MARK if number else note} for number, role in enumerate(roles)]


def _put_stand_ins(draft: _Draft, turn: Sequence[int], note: str) -> None:
    spoke = {draft.original[at].get("role"): at for at in reversed(turn)}
    for message in _stand_ins(note, [role for role in ("user", "assistant") if role in spoke]):
        at = spoke[message["role"]]
        draft.stand_ins.add(at)
        draft.put(at, message)


def _drop_newer(draft: _Draft, past: History) -> None:
    """The mark goes to the step that comes next: between two of the model's messages there is no place for another."""
    steps = [*past.newer, past.last]
    for step, following in pairwise(steps):
        if draft.makes_room(step):
            return
        message = draft.messages[following[0]]
        if message and message.get("role") == "assistant":
            draft.put(following[0], chat_texts.with_note(message, MARK))


class _Draft:
    """What has become of the messages so far."""

    def __init__(self, messages: Sequence[Json], limit: int, count: Count, question: str) -> None:
        self.original = messages
        self.messages: list[Json | None] = list(safe(messages))
        self.stand_ins: set[int] = set()
        self._question = question
        self._count = count
        self._tokens = [message_tokens(message, count) if message else 0 for message in self.messages]
        self._passages_gone: dict[int, int] = {}
        self.excess = sum(self._tokens) - limit

    def makes_room(self, turn: Sequence[int]) -> bool:
        """Whether it is enough now. The turn goes, unless enough of its long texts may stay for a cut to pay."""
        if self.excess <= 0:
            return True
        if sum(self._tokens[at] for at in turn) > self.excess:
            self.cut(turn, room_at_least=ROOM_AT_LEAST)
        if self.excess <= 0:
            return True
        self.drop(turn)
        return False

    def drop(self, turn: Sequence[int]) -> None:
        for at in turn:
            self._set(at, None, 0)
            self._passages_gone.pop(at, None)
            self.stand_ins.discard(at)

    def recalled(self, older: Sequence[Sequence[int]]) -> frozenset[int]:
        """Which of the turns the question is about, as far as there is room for them."""
        if self.excess <= 0:
            return frozenset()
        said = ["\n".join(text for at in turn for text in chat_texts.texts(self.original[at])) for turn in older]
        tokens = [sum(self._tokens[at] for at in turn) for turn in older]
        noted, gap = (
            sum(message_tokens(message, self._count) for message in _stand_ins(note)) for note in (EARLIER_GONE, MARK)
        )
        room = sum(tokens) - self.excess - noted
        return recall.recalled(self._question, said, tokens=tokens, room=room, gap=gap)

    def put(self, at: int, message: Json) -> None:
        self._set(at, message, message_tokens(message, self._count))

    def cut(self, places: Sequence[int], *, room_at_least: int, with_ends: bool = False) -> None:
        """Cut the long texts of these messages so that all fits, or as far as can be."""
        long = [(at, message) for at in places if (message := self.messages[at]) and self._is_long(message)]
        texts = [text for _, message in long for text in chat_texts.texts(message)]
        room = sum(map(self._count, texts)) - self.excess
        if not texts or room < room_at_least:
            return
        found = cutting.cut(texts, question=self._question, room=room, count=self._count, with_ends=with_ends)
        left = iter(found.texts)
        for at, message in long:
            self.put(at, chat_texts.with_texts(message, [next(left) for _ in chat_texts.texts(message)]))
            self._passages_gone[at] = 0
        self._passages_gone[long[0][0]] = found.passages_gone

    def finished(self) -> Optimized:
        kept = {at: message for at, message in enumerate(self.messages) if message}
        fates = tuple(map(self._fate, range(len(self.original))))
        gone = sum(self._passages_gone.values())
        return Optimized(tuple(kept.values()), sum(self._tokens), fates, tuple(kept), gone)

    def _set(self, at: int, message: Json | None, tokens: int) -> None:
        self.excess += tokens - self._tokens[at]
        self.messages[at], self._tokens[at] = message, tokens

    def _is_long(self, message: Json) -> bool:
        return sum(map(self._count, chat_texts.texts(message))) >= OVERSIZED_TOKENS

    def _fate(self, at: int) -> Fate:
        if self.messages[at] is None or at in self.stand_ins:
            return Fate.GONE
        if at in self._passages_gone:
            return Fate.CUT
        return Fate.WHOLE if self.messages[at] == self.original[at] else Fate.CLEANED
