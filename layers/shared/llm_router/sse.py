"""Server-sent events as they arrive, cut anywhere: the wire format of streamed answers.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

EVENT_BYTES_AT_MOST = 8_000_000
"""An event that is larger is taken for a stream without end."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLargeError(Exception):
    """The stream goes on and on without ending an event."""


@dataclass(slots=True)
class Parser:
    """Turns bytes into the data of events; comments and other fields are dropped. Its work grows with the bytes."""

    _line: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _is_first: bool = True
    _has_seen_cr: bool = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of each event that ends in this chunk. Raises EventTooLargeError."""
        if not chunk:
            return
        start = 1 if self._has_seen_cr and chunk[:1] == b"\n" else 0
        for end in _LINE_END.finditer(chunk, start):
            self._grow(chunk[start : end.start()])
            start = end.end()
            yield from self._end_line()
        self._has_seen_cr = chunk[-1:] == b"\r"
        self._grow(chunk[start:])

    def close(self) -> Iterator[bytes]:
        """The data of a last event whose blank line never came."""
        yield from self._end_line()
        yield from self._end_line()

    def _grow(self, part: bytes) -> None:
        self._line += part
        self._size += len(part)
        if self._size > EVENT_BYTES_AT_MOST:
            raise EventTooLargeError

    def _end_line(self) -> Iterator[bytes]:
        line = bytes(self._line)
        self._line.clear()
        if self._is_first:
            line = line.removeprefix(_BYTE_ORDER_MARK)
            self._is_first = False
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            return
        self._size -= len(line)
        if not line:
            self._size = 0
            if self._data:
                yield b"\n".join(self._data)
                self._data.clear()
