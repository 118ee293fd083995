"""Makes texts fit: keeps the passages that have most to do with a question, in their order, and marks what is gone.

Pure. What costs most, counting, is done once for each passage and then for the texts that come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_router import passages, relevance
from llm_router.chat_texts import MARK
from llm_router.cleaning import REPEATED
from llm_router.passages import Passage
from llm_router.prompt_sizes import Count

END_AT_MOST = 1000
"""Characters of the first and the last paragraph of what was asked that stay to the letter where it has to be cut."""

QUESTION_AT_MOST = 2000
"""Characters of a message that is taken for a question as a whole."""

REFILLS = 2
"""How often room is used again that was counted as taken and is not."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Texts after the cut, and how many passages they lost."""

    texts: tuple[str, ...]
    passages_gone: int


def cut(texts: Sequence[str], *, question: str, room: int, count: Count, with_ends: bool = False) -> Cut:
    """The texts with those of their passages that `room` tokens hold; what must stay may take more.

    `with_ends` keeps the first and the last paragraph, where instructions stand.
    """
    flat = _flat(texts)
    scored = relevance.scores(question, [passage.text for _, passage in flat])
    bound = set().union(*_ends(flat)) if with_ends else set()
    units = [
        _Unit(passage.text, of, count(passage.text), score, at in bound)
        for at, ((of, passage), score) in enumerate(zip(flat, scored, strict=True))
    ]
    return _fitted(_Choice(units, count(f"{MARK}\n\n")), len(texts), room, count)


def question(texts: Sequence[str]) -> str:
    """What is asked in a message: all of a short one; of a long one the end in which there is a question, or both."""
    whole = "\n\n".join(texts)
    if len(whole) <= QUESTION_AT_MOST:
        return whole
    flat = _flat(texts)
    first, last = ("".join(flat[at][1].text for at in end) for end in _ends(flat))
    asking = [end for end in (first, last) if "?" in end or "\uff1f" in end]
    return asking[0] if len(asking) == 1 else f"{first}\n\n{last}"


_Flat = Sequence[tuple[int, Passage]]
"""All passages, each with the number of its text."""


def _flat(texts: Sequence[str]) -> _Flat:
    return [(of, passage) for of, text in enumerate(texts) for passage in passages.passages(text)]


def _ends(flat: _Flat) -> tuple[list[int], list[int]]:
    """The places of the passages of the first paragraph and of the last."""
    places = range(len(flat))
    return _end(flat, places), sorted(_end(flat, places[::-1]))


def _end(flat: _Flat, places: range) -> list[int]:
    """From one end on, within its paragraph and the limit; one passage in any case."""
    found: list[int] = []
    size = 0
    for at in places:
        of, passage = flat[at]
        first_of, first = flat[places[0]]
        size += len(passage.text)
        if found and ((of, passage.paragraph) != (first_of, first.paragraph) or size > END_AT_MOST):
            break
        found.append(at)
    return found


@dataclass(frozen=True, slots=True)
class _Unit:
    """A passage, the number of its text, and whether it must stay."""

    text: str
    of: int
    tokens: int
    score: float
    is_bound: bool

    @property
    def is_reference(self) -> bool:
        """To a passage above, which may be gone."""
        return self.text.strip() == REPEATED


@dataclass(slots=True)
class _Choice:
    """Which units stay, and what they and the marks between them take."""

    units: Sequence[_Unit]
    mark_tokens: int
    kept: set[int] = field(init=False)
    tokens: int = field(init=False)
    by_worth: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        end = len(self.units) - 1
        self.kept = {at for at, unit in enumerate(self.units) if unit.is_bound}
        self.by_worth = sorted(
            (at for at, unit in enumerate(self.units) if at not in self.kept and not unit.is_reference),
            key=lambda at: (-self.units[at].score, min(at, end - at)),
        )
        gaps = sum(at not in self.kept and not self._is_gone(at, at - 1) for at in range(len(self.units)))
        self.tokens = sum(self.units[at].tokens for at in self.kept) + self.mark_tokens * gaps

    def fill(self, room: int) -> bool:
        """The best first; one that is too large leaves its place to smaller ones. Whether there was room for any."""
        before = len(self.kept)
        for at in self.by_worth:
            added = self.units[at].tokens + self.mark_tokens * self._gaps_made(at)
            if at not in self.kept and self.tokens + added <= room:
                self.kept.add(at)
                self.tokens += added
        return len(self.kept) > before

    def drop(self, tokens: int) -> bool:
        """Let the worst go until so many tokens are gone. Whether there was anything to let go."""
        gone = 0
        for at in [at for at in reversed(self.by_worth) if at in self.kept]:
            if gone >= tokens:
                break
            self.kept.discard(at)
            gone += self.units[at].tokens
        return gone > 0

    def texts(self, number: int) -> tuple[str, ...]:
        parts: list[list[str]] = [[] for _ in range(number)]
        for at, unit in enumerate(self.units):
            mine = parts[unit.of]
            if at in self.kept:
                mine.append(unit.text)
            elif self._is_gone(at, at - 1):
                mine[-1] = mine[-1].rstrip() + _end_of_line(unit.text)
            else:
                mine.append(f"{_space_after(mine)}{MARK}{_end_of_line(unit.text)}")
        return tuple(map("".join, parts))

    def _gaps_made(self, at: int) -> int:
        """How many more there are once this unit stays: inside of a gap one more, alone in its gap one less."""
        return self._is_gone(at, at - 1) + self._is_gone(at, at + 1) - 1

    def _is_gone(self, at: int, neighbour: int) -> bool:
        is_there = 0 <= neighbour < len(self.units) and self.units[neighbour].of == self.units[at].of
        return is_there and neighbour not in self.kept


def _fitted(choice: _Choice, texts: int, room: int, count: Count) -> Cut:
    """Counted again as it comes out: the parts of a text have a little more tokens than the text, or a little less."""
    choice.fill(room)
    for _ in range(REFILLS):
        taken = sum(map(count, choice.texts(texts)))
        if not choice.fill(choice.tokens + room - taken):
            break
    while True:
        found = choice.texts(texts)
        over = sum(map(count, found)) - room
        if over <= 0 or not choice.drop(over):
            return Cut(found, len(choice.units) - len(choice.kept))


def _space_after(parts: Sequence[str]) -> str:
    return "" if not parts or parts[-1][-1:].isspace() else " "


def _end_of_line(text: str) -> str:
    """The white space at its end, so that lines stay lines and paragraphs paragraphs."""
    return text[len(text.rstrip()) :][:2]
