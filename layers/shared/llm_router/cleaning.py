"""`safe`: takes out of a text what cannot change its meaning. Pure.

Spaces at the ends of lines, more than one blank line in a row, and long paragraphs that stand in the same text already.
Nothing inside of a code fence is touched.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence

from llm_router import passages
from llm_router.passages import Kind, Passage

REPEATED = "[… the same as above …]"
"""Stands for a paragraph that is in the text already."""

LONG = 200
"""Characters of a paragraph from which on a repetition is no figure of speech."""

_BLANK_LINES = re.compile(r"\n{3,}")
_UNTOUCHED = (Kind.FENCE, Kind.OPEN_FENCE)


def cleaned(text: str, *, but_ends: bool = False) -> str:
    """Cleaning twice is cleaning once. `but_ends` leaves the first and the last paragraph to the letter."""
    blocks = list(passages.blocks(text))
    last = len(blocks) - 1
    return "".join(_cleaned(blocks, bound={0, last} if but_ends else set()))


def _cleaned(blocks: Sequence[Passage], *, bound: Container[int]) -> Iterator[str]:
    seen: set[str] = set()
    for at, block in enumerate(blocks):
        if at in bound or block.kind in _UNTOUCHED:
            yield block.text
            continue
        plain = _without_blanks(block.text)
        body = plain.strip()
        if len(body) >= LONG and body in seen:
            yield REPEATED + plain[len(plain.rstrip()) :]
        else:
            yield plain
            seen.add(body)


def _without_blanks(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", "\n".join(line.rstrip(" \t") for line in text.split("\n")))
