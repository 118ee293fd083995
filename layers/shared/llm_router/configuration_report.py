"""Every fault of a configuration, gathered to be told at once: its line, its place, what is wrong, what to do.

What it quotes from the file it quotes with care: a provider's key, wherever someone put it, is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

SHOWN_AT_MOST = 80

# What providers' keys look like: a known prefix, or a run without a break that no model's name has.
_KEY = re.compile(
    r"(?i:\b(sk|gsk|csk|xai|fw|hf|r8|tgp|pplx|bearer|basic)[-_ ][\w-]{12,})|AIza|AKIA"
    r"|(?=[A-Za-z]*[0-9])[A-Za-z0-9]{18,}|[A-Za-z0-9+/=]{33,}"
)
_ORDINARY = re.compile(r"[\w .:/@$,%+\-{}\[\]()]*")


@dataclass(slots=True)
class Report:
    """Problems make the configuration unusable; notices say what of it has no effect."""

    problems: list[tuple[int, str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def problem(self, place: str, words: str, *, line: int | None = None) -> None:
        where = ", ".join(part for part in (f"line {line}" if line else "", place) if part)
        self.problems.append((line or 0, f"{where}: {words}" if where else words))

    def notice(self, place: str, words: str) -> None:
        """Each is told once."""
        notice = f"{place}: {words}"
        if notice not in self.notices:
            self.notices.append(notice)

    @property
    def texts(self) -> list[str]:
        """In the order of the file, each once."""
        return list(dict.fromkeys(text for _, text in sorted(self.problems, key=lambda problem: problem[0])))


def shown(value: object) -> str:
    """A value from the file as a message may quote it."""
    text = str(value)
    if _KEY.search(text):
        return "(a value that may be a key is not shown)"
    if not _ORDINARY.fullmatch(text):
        return "(a value with unusual characters)"
    return f"'{text}'" if len(text) <= SHOWN_AT_MOST else f"'{text[:SHOWN_AT_MOST]}…'"


def choices(options: Iterable[str]) -> str:
    """`a, b or c`"""
    *most, last = options
    return f"{', '.join(most)} or {last}" if most else last


def meant(word: str, options: Collection[str], *, likeness: float = 0.6) -> str | None:
    """The option that the word is probably a slip of."""
    from difflib import get_close_matches  # noqa: PLC0415  # a right configuration starts without it

    return next(iter(get_close_matches(word, options, n=1, cutoff=likeness)), None)
