"""Cuts a text into passages: code fences, JSON and tables whole; paragraphs, and sentences or lines of long ones.

Put together, the passages are the text, to the last character. The time grows with the text and no faster. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

LONG_PARAGRAPH = 1000
"""Characters of a paragraph that is still one passage."""

PIECE = 400
"""Characters that the passages of a longer one have at most, where lines or sentences allow."""

TINY = 20
"""Characters of a paragraph that is no passage by itself."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}\s")
_TABLE_RULE = re.compile(r"\s*[|+]?\s*:?-{3,}[-:|+\s]*$")
_BRACKETS = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\]]')
_DELTA = {"{": 1, "[": 1, "}": -1, "]": -1}
_SENTENCE = re.compile(r"[.!?…][\"')\]»”]*\s+|[\u3002\uff01\uff1f]|\n")
_SPACE = re.compile(r"\s+")
_JSON_GOES_ON = ('"', "{", "[", "}", "]")


class Kind(StrEnum):
    """What a passage is. Only prose may be changed or cut further; an open fence was never closed."""

    PROSE = "prose"
    FENCE = "fence"
    OPEN_FENCE = "open_fence"
    JSON = "json"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Passage:
    """`paragraph` is the number of the paragraph or block that it is a part of."""

    text: str
    kind: Kind = Kind.PROSE
    paragraph: int = 0


def passages(text: str) -> list[Passage]:
    """What may be kept or left out, each for itself."""
    found = []
    for number, block in enumerate(_with_tiny_joined(blocks(text))):
        whole = block.kind not in (Kind.PROSE, Kind.OPEN_FENCE)
        parts = [block.text] if whole else _pieces(block.text)
        found += [Passage(part, block.kind, number) for part in parts]
    return found


def _with_tiny_joined(found: Iterator[Passage]) -> Iterator[Passage]:
    """Tiny paragraphs with their like: alone each would cost its mark more than it says."""
    joined: list[str] = []
    size = 0
    for block in found:
        is_tiny = block.kind is Kind.PROSE and len(block.text) <= TINY
        if joined and (not is_tiny or size + len(block.text) > PIECE):
            yield Passage("".join(joined))
            joined, size = [], 0
        if is_tiny:
            joined.append(block.text)
            size += len(block.text)
        else:
            yield block
    if joined:
        yield Passage("".join(joined))


def blocks(text: str) -> Iterator[Passage]:
    """Paragraphs with the blank lines after them, and what must stay whole."""
    lines = text.splitlines(keepends=True)
    ends = _Ends(lines)
    start = 0
    while start < len(lines):
        kind, end = _special(lines, start, ends) or (Kind.PROSE, _paragraph_end(lines, start, ends))
        while kind is not Kind.OPEN_FENCE and end < len(lines) and not lines[end].strip():
            end += 1
        yield Passage("".join(lines[start:end]), kind)
        start = end


class _Ends:
    """Where blocks end, found in one walk over all lines: no search may begin again for each line."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._last_fence = {mark: self._last(mark * 3) for mark in "`~"}

    def fence(self, start: int) -> int | None:
        """After the line that closes the fence; None where none does."""
        match = _FENCE.match(self._lines[start])
        mark = match[1] if match else ""
        for at in range(start + 1, self._last_fence[mark[0]] + 1 if mark else 0):
            closing = self._lines[at].strip()
            if closing.startswith(mark) and not closing.strip(mark[0]):
                return at + 1
        return None

    def json(self, start: int) -> int | None:
        """After the line that closes all brackets that are opened from this line on."""
        return self._closing[start]

    @cached_property
    def _closing(self) -> Sequence[int | None]:
        """For each line the first end at which the brackets are as deep as before it: the next smaller value."""
        found: list[int | None] = [None] * len(self._lines)
        waiting: list[tuple[int, int]] = []
        depth = 0
        for at, line in enumerate(self._lines):
            if _FENCE.match(line):
                waiting.clear()  # what is in a fence closes nothing outside of it
            waiting.append((at, depth))
            depth += sum(_DELTA.get(bracket, 0) for bracket in _BRACKETS.findall(line))
            while waiting and waiting[-1][1] >= depth:
                start, before = waiting.pop()
                found[start] = at + 1 if before == depth else None
        return found

    def _last(self, mark: str) -> int:
        fences = (at for at in range(len(self._lines) - 1, -1, -1) if self._lines[at].lstrip(" ").startswith(mark))
        return next(fences, -1)


def _special(lines: Sequence[str], start: int, ends: _Ends) -> tuple[Kind, int] | None:
    line = lines[start]
    if _FENCE.match(line):
        end = ends.fence(start)
        return (Kind.FENCE, end) if end else (Kind.OPEN_FENCE, len(lines))
    if _begins_json(lines, start) and (end := ends.json(start)):
        return Kind.JSON, end
    if _begins_table(lines, start):
        return Kind.TABLE, _table_end(lines, start)
    return None


def _begins_json(lines: Sequence[str], start: int) -> bool:
    line = lines[start].strip()
    if line[:1] in ("{", "["):
        return line[-1:] in ("{", "[", ",", "}", "]")
    following = lines[start + 1].strip() if start + 1 < len(lines) else ""
    return line[-1:] in ("{", "[") and following.startswith(_JSON_GOES_ON)


def _begins_table(lines: Sequence[str], start: int) -> bool:
    if start + 1 >= len(lines) or not lines[start].strip():
        return False
    rule = lines[start + 1]
    return _is_row(lines[start]) and _is_row(rule) and bool(_TABLE_RULE.match(rule.rstrip()))


def _is_row(line: str) -> bool:
    if _FENCE.match(line):
        return False
    return "|" in line or line.lstrip().startswith("+-") or ("-+-" in line)


def _table_end(lines: Sequence[str], start: int) -> int:
    end = start
    while end < len(lines) and _is_row(lines[end]):
        end += 1
    return end


def _paragraph_end(lines: Sequence[str], start: int, ends: _Ends) -> int:
    """Before a blank line, or before what stays whole. A heading belongs to what it stands above."""
    end = start + 1
    if _HEADING.match(lines[start]) or not lines[start].strip():
        while end < len(lines) and not lines[end].strip():
            end += 1
        if end < len(lines) and (_HEADING.match(lines[end]) or _special(lines, end, ends)):
            return end
    while end < len(lines) and lines[end].strip() and not _HEADING.match(lines[end]):
        if _special(lines, end, ends):
            return end
        end += 1
    return end


def _pieces(text: str) -> list[str]:
    if len(text) <= LONG_PARAGRAPH:
        return [text]
    return list(_joined(text, _cuts(text)))


def _cuts(text: str) -> Iterator[int]:
    """Where it may be cut: after sentences and lines; inside of longer ones after words; inside of runs anywhere."""
    start = 0
    for match in _SENTENCE.finditer(text):
        yield from _inside(text, start, match.end())
        start = match.end()
        yield start
    yield from _inside(text, start, len(text))
    yield len(text)


def _inside(text: str, start: int, end: int) -> Iterator[int]:
    while end - start > PIECE:
        spaces = list(_SPACE.finditer(text, start + 1, start + PIECE))
        start = spaces[-1].end() if spaces else start + PIECE
        yield start


def _joined(text: str, cuts: Iterator[int]) -> Iterator[str]:
    """As many as fit into one piece."""
    start = last = 0
    for cut in cuts:
        if cut - start > PIECE and last > start:
            yield text[start:last]
            start = last
        last = cut
    if start < len(text):
        yield text[start:]
