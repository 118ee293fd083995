"""Server-sent events as they arrive, cut anywhere: the wire format of streamed answers.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

EVENT_BYTES_AT_MOST = 8_000_000
"""An event that is larger is taken for a stream without end."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """`name` is empty for one that has none."""

    name: bytes
    data: bytes


class EventTooLargeError(Exception):
    """The stream goes on and on without ending an event."""


@dataclass(slots=True)
class Parser:
    """Turns bytes into events; comments and other fields are dropped. Its work grows with the bytes."""

    _line: bytearray = field(default_factory=bytearray)
    _name: bytes = b""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _is_first: bool = True
    _has_seen_cr: bool = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Each event that ends in this chunk. Raises EventTooLargeError."""
        if not chunk:
            return
        start = 1 if self._has_seen_cr and chunk[:1] == b"\n" else 0
        for end in _LINE_END.finditer(chunk, start):
            part = chunk[start : end.start()]
            start = end.end()
            self._count(part)
            event = self._end_line(part)
            if event is not None:
                yield event
        self._has_seen_cr = chunk[-1:] == b"\r"
        rest = chunk[start:]
        self._count(rest)
        self._line += rest

    def close(self) -> Iterator[Event]:
        """A last event whose blank line never came."""
        for _ in range(2):
            event = self._end_line(b"")
            if event is not None:
                yield event

    def _count(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > EVENT_BYTES_AT_MOST:
            raise EventTooLargeError

    def _end_line(self, part: bytes) -> Event | None:
        """Takes the last part of a line. The event, where this line is the blank one that ends it."""
        line = part
        if self._line:
            self._line += part
            line = bytes(self._line)
            self._line.clear()
        if self._is_first:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            self._is_first = False
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            return None
        self._size -= len(line)
        if name == b"event":
            self._name = value.removeprefix(b" ")
        if line:
            return None
        event = Event(self._name, b"\n".join(self._data)) if self._data else None
        self._size, self._name = 0, b""
        self._data.clear()
        return event
