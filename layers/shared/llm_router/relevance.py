"""How much passages have to do with a question: BM25 over shortened words. Pure.

https://en.wikipedia.org/wiki/Okapi_BM25. Words count by their first letters, which serves any language with endings;
scripts without spaces count by pairs of characters.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

K1, B = 1.2, 0.75
"""The usual ones."""

STEM = 6
"""Letters by which two words are the same: `deployment` and `deployed` are."""

OF_NEIGHBOUR = 0.3
"""What a passage has of the better of its neighbours: an answer often stands beside the words of its question."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|[^\W\d_]+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

SAID_BY_ANY_QUESTION = frozenset(
    """
    a about all also an and any are as at be been before but by can could did do does each for from give had has have
    he her him his how i if in into is it its just list may me more most my no not of on one only or our out please s
    said say she should show so some such t tell than that the their them then there these they this those to up us
    was we were what when where which while who whom whose why will with would you your
    according answer below describe document explain following find happened mentioned paragraph passage question
    section summarise summarize summary text
    """.split()  # noqa: SIM905  # read as words
)
"""Words that tell nothing of what is asked about."""


def scores(question: str, passages: Sequence[str]) -> list[float]:
    """One for each passage, 0 where nothing of the question is in it or beside it."""
    asked = {term for term in terms(question) if term not in EMPTY}
    if not asked or not passages:
        return [0.0] * len(passages)
    found = [_Terms(passage, asked) for passage in passages]
    mean = max(1.0, sum(terms.length for terms in found) / len(found))
    weights = _weights(asked, found)
    own = [sum(weights[term] * _saturated(n, each.length / mean) for term, n in each.counts.items()) for each in found]
    return [score + OF_NEIGHBOUR * _better_neighbour(own, at) for at, score in enumerate(own)]


def terms(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        if _UNSPACED.match(word):
            yield from (word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            yield _stem(word.lower())


class _Terms:
    """How often a passage has each of the words asked for, and how many words it has in all."""

    __slots__ = ("counts", "length")

    def __init__(self, passage: str, asked: set[str]) -> None:
        found = list(terms(passage))
        self.length = len(found)
        self.counts = Counter(term for term in found if term in asked)


def _stem(word: str) -> str:
    if len(word) > STEM:
        return word[:STEM]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _weights(asked: Iterable[str], found: Sequence[_Terms]) -> dict[str, float]:
    """The rarer a word, the more it says."""
    with_term = Counter(term for each in found for term in each.counts)
    return {term: math.log(1 + (len(found) - with_term[term] + 0.5) / (with_term[term] + 0.5)) for term in asked}


def _saturated(n: int, relative_length: float) -> float:
    return n * (K1 + 1) / (n + K1 * (1 - B + B * relative_length))


def _better_neighbour(own: Sequence[float], at: int) -> float:
    before = own[at - 1] if at else 0.0
    after = own[at + 1] if at + 1 < len(own) else 0.0
    return max(before, after)


EMPTY = frozenset(map(_stem, SAID_BY_ANY_QUESTION))
