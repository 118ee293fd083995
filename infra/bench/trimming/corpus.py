"""The cases of the evaluation: what is sent, what is asked, and the passage without which it cannot be answered.

Every second case of each kind is held out: nothing may be tuned on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.bench.trimming import chats, logs
from llm_router import relevance

FOLDER = Path(__file__).parent
SHARED_AT_MOST = 2

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """`history` is what comes before the question; with `is_one_message` it is one text, sent together with it."""

    kind: str
    question: str
    needed: str
    history: tuple[Message, ...]
    is_one_message: bool
    is_held_out: bool

    @property
    def messages(self) -> list[Message]:
        if self.is_one_message:
            return [{"role": "user", "content": f"{self.history[0]['content'].rstrip()}\n\n{self.question}"}]
        return [*self.history, {"role": "user", "content": self.question}]

    @property
    def shared_words(self) -> set[str]:
        """Words of content that the question has in common with what is needed."""
        asked, needed = set(relevance.terms(self.question)), set(relevance.terms(self.needed))
        return {word for word in asked & needed if word not in relevance.EMPTY}


def cases() -> list[Case]:
    asked = json.loads((FOLDER / "questions.json").read_text())
    texts = {name: (FOLDER / "texts" / f"{name}.txt").read_text() for name in asked}
    return [
        *_of_text("book", texts["angler"], asked["angler"]),
        *_of_text("log", logs.text(), logs.cases()),
        *_of_text("code", texts["code"], asked["code"]),
        *_of_chat("manual in a chat", chats.with_document(texts["manual"]), asked["manual"]),
        *_of_chat("short turns", chats.messages(), chats.cases()),
    ]


def has(text: str, needed: str) -> bool:
    """Lines may be broken elsewhere."""
    return _flat(needed) in _flat(text)


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _of_text(kind: str, text: str, asked: Sequence[Sequence[str]]) -> list[Case]:
    history = ({"role": "user", "content": text},)
    return [
        Case(kind, question, needed, history, is_one_message=True, is_held_out=at % 2 == 1)
        for at, (question, needed) in enumerate(asked)
    ]


def _of_chat(kind: str, history: list[Message], asked: Sequence[Sequence[str]]) -> list[Case]:
    return [
        Case(kind, question, needed, tuple(history), is_one_message=False, is_held_out=at % 2 == 1)
        for at, (question, needed) in enumerate(asked)
    ]
