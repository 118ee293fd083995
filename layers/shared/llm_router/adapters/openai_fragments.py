"""Puts values together that come in fragments, and counts what is kept of them. No I/O.

A fragment never takes the place of another one of a different kind: what would be lost breaks the stream.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from sys import getsizeof
from typing import TypeVar

KEPT_AT_MOST_BYTES = 8_000_000
"""Of one answer, about as they lie in memory: the text of one that comes whole may be as long. What its frames weigh
beside it on the wire, some 250 bytes a token, is not kept and not counted."""

A_SLOT_BYTES = 100
A_TEXT_BYTES = 250
"""What a value's place under its name takes, and a text that can grow."""

_SET_ONCE = frozenset({"role", "id", "type", "name", "expires_at"})
"""Texts that some providers repeat in every chunk; all others arrive in pieces."""

_IN_PARTS = frozenset({"content", "thinking", "reasoning_details"})
"""What may come as a list of typed parts, a few words in each: Mistral's content and thinking
(https://github.com/mistralai/platform-docs-public, native-reasoning), OpenRouter's reasoning."""

_GROWING = {"text": "text", "thinking": "thinking", "reasoning.text": "text", "reasoning.summary": "summary"}
"""The field that grows in a part of each of these types; parts of other types come whole."""


_Container = TypeVar("_Container", dict[str, object], list[object])


class BrokenStreamError(Exception):
    """A chunk that is no chunk, an error among the chunks, fragments that don't fit, or more than can be kept."""


class Text(io.StringIO):
    """A text that is still growing; neither the work nor the memory grows with the number of its pieces."""

    def is_empty(self) -> bool:
        return not self.tell()


@dataclass(slots=True)
class Growth:
    """Merges fragments into what has come before, and counts. `text_bytes` is how much text has come, in UTF-8."""

    kept_bytes: int = 0
    text_bytes: int = 0

    def merge(self, into: dict[str, object], name: str, value: object) -> None:
        """Texts and lists grow, objects are merged, anything else is replaced; null and what is empty say nothing.

        Raises BrokenStreamError where a text, list or object would be lost.
        """
        before = into.get(name)
        if value is None or name in _SET_ONCE:
            if not before and (value is not None or name not in into):
                self.replace(into, name, value)
        elif isinstance(value, str):
            self._grow_text(into, name, before, value)
        elif isinstance(value, dict | list):
            if value or not _is_something(before):
                self._grow_container(into, name, before, value)
        elif isinstance(before, Text | dict | list) and _is_something(before):
            raise BrokenStreamError
        else:
            self.replace(into, name, value)

    def replace(self, into: dict[str, object], name: str, value: object) -> None:
        """What comes later stands."""
        if name not in into:
            self.kept_bytes += getsizeof(name) + A_SLOT_BYTES + weight(value)
        elif into[name] == value:
            return
        else:
            self.kept_bytes += weight(value) - weight(into[name])
        into[name] = value

    def _grow_text(self, into: dict[str, object], name: str, before: object, value: str) -> None:
        if isinstance(before, Text):
            text = before
        elif not _is_something(before):
            text = into[name] = Text(newline="")
            self.kept_bytes += getsizeof(name) + A_SLOT_BYTES + A_TEXT_BYTES
        elif not value:
            return
        elif isinstance(before, list) and name in _IN_PARTS:
            self._take_part(before, {"type": "text", "text": value})
            return
        else:
            raise BrokenStreamError
        text.write(value)
        if value.isascii():
            self.kept_bytes += len(value)
            self.text_bytes += len(value)
        else:
            self.kept_bytes += 4 * len(value)  # one wide character widens all of a text
            self.text_bytes += len(value.encode("utf-8", "surrogatepass"))

    def _grow_container(
        self, into: dict[str, object], name: str, before: object, value: dict[str, object] | list[object]
    ) -> None:
        if isinstance(value, dict):
            inner = self._filled(into, name, before, dict[str, object]())
            for key, part in value.items():
                self.merge(inner, key, part)
        elif name in _IN_PARTS:
            if isinstance(before, Text) and not before.is_empty():
                before = into[name] = [{"type": "text", "text": before}]
            parts = self._filled(into, name, before, list[object]())
            for part in value:
                self._take_part(parts, part)
        else:
            self._filled(into, name, before, list[object]()).extend(value)
            self.kept_bytes += weight(value)

    def _take_part(self, parts: list[object], part: object) -> None:
        """A part goes on with the last one where both are of one type that grows."""
        grows = _grows(part)
        if grows is None or not isinstance(part, dict):
            parts.append(part)
            self.kept_bytes += weight(part)
            return
        last = parts[-1] if parts else None
        if not isinstance(last, dict) or not _go_together(last, part):
            last = {}
            parts.append(last)
            self.kept_bytes += getsizeof(last)
        for name, value in part.items():
            if name == grows:
                self.merge(last, name, value)
            elif value is not None or name not in last:
                self.replace(last, name, value)

    def _filled(self, into: dict[str, object], name: str, before: object, empty: _Container) -> _Container:
        if isinstance(before, type(empty)):
            return before
        if _is_something(before):
            raise BrokenStreamError
        self.replace(into, name, empty)
        return empty


def mapping(value: object) -> dict[str, object]:
    """Raises BrokenStreamError where the value is no object."""
    if not isinstance(value, dict):
        raise BrokenStreamError
    return value


def joined(value: object) -> object:
    """With all texts as they have grown."""
    if isinstance(value, Text):
        return value.getvalue()
    if isinstance(value, dict):
        return {name: joined(inner) for name, inner in value.items()}
    return [joined(item) for item in value] if isinstance(value, list) else value


def weight(value: object) -> int:
    """What a value takes in memory, in bytes, names included."""
    if isinstance(value, dict):
        return getsizeof(value) + sum(getsizeof(name) + weight(inner) for name, inner in value.items())
    if isinstance(value, list):
        return getsizeof(value) + sum(map(weight, value))
    return getsizeof(value)


def _is_something(value: object) -> bool:
    """Whether it would be lost if another took its place."""
    return not value.is_empty() if isinstance(value, Text) else bool(value)


def _grows(part: object) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    return _GROWING.get(kind) if isinstance(kind, str) else None


def _go_together(last: Mapping[str, object], part: Mapping[str, object]) -> bool:
    return all(last.get(name) == part.get(name) for name in ("type", "index", "id"))
