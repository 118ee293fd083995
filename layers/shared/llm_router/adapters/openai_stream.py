"""Reads a streamed chat completion: what a live caller may see and when, and whether the whole is good. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from llm_router.adapters import openai, openai_errors
from llm_router.adapters.openai_assembly import Assembly
from llm_router.adapters.openai_fragments import BrokenStreamError
from llm_router.sse import Event, EventTooLargeError, Parser
from llm_router.upstream import Asked, Reading
from llm_router.usage import Outcome

DONE = b"[DONE]"

ERROR_EVENT = b"error"
"""The name of an event that is an error, whatever its data."""

KEEP_ALIVES = frozenset({b"", b"ping", b"pong", b"heartbeat", b"keepalive", b"keep-alive", b"keep_alive"})
"""What is sent as an event only so that something is sent. Anything else that is no JSON breaks the stream."""

HELD_AT_MOST_BYTES = 8_000_000
"""Of the events before the first content and from the end on."""


@dataclass(slots=True)
class StreamReader:
    """Takes in the bytes of a streamed answer.

    `closing` are the events from the last choice's finish reason on: a live caller gets them when the whole is known
    to be good and written down. `is_done` says that nothing of interest can follow, `taken` how many chunks have come.
    """

    asked: Asked = field(default_factory=Asked)
    is_done: bool = False
    is_broken: bool = False
    closing: list[bytes] = field(default_factory=list)
    taken: int = 0
    _broken_by: Outcome = Outcome.MALFORMED
    _told_bytes: int = 0
    _held_bytes: int = 0
    _parser: Parser = field(default_factory=Parser)
    _assembly: Assembly = field(default_factory=Assembly)

    @property
    def has_content(self) -> bool:
        return self._assembly.has_content

    @property
    def arrived_bytes(self) -> int:
        return max(self._assembly.text_bytes, self._told_bytes)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that a live caller may be shown, in order. Past a broken one nothing is read."""
        try:
            return self._shown(list(self._parser.feed(chunk)))
        except EventTooLargeError:
            self.is_done = self.is_broken = True
            return []

    def reading(self, *, ended_cleanly: bool) -> Reading:
        """What it was in the end. A stream that stops before every choice has ended is cut, however cleanly.

        What is not whole is not put together either: it may be large, and there may be no time left.
        """
        if not self.is_done:
            self._shown(list(self._parser.close()))
        is_doubtful = self._assembly.is_in_doubt
        is_finished = self._assembly.is_finished(self.asked.choices) or (self.is_done and self._assembly.is_finished())
        if not self.is_broken and is_finished and (self.is_done or (ended_cleanly and not is_doubtful)):
            return openai.judge(self._assembly.body(), self.asked)
        is_counted_whole = (is_finished and not is_doubtful) or (self.is_done and not self.is_broken)
        return replace(
            openai.billed(self._assembly.bill(), has_text=is_counted_whole and self.arrived_bytes > 0),
            outcome=self._broken_by if self.is_broken else Outcome.CUT,
            arrived_bytes=self.arrived_bytes,
            is_counted_whole=is_counted_whole,
        )

    def _shown(self, events: list[Event]) -> list[bytes]:
        shown: list[bytes] = []
        for name, data in events:
            if self.is_done:
                break
            try:
                self._take(name, data, shown)
            except BrokenStreamError:
                self.is_done = self.is_broken = True
                self._broken_by, self._told_bytes = openai_errors.broken_by(data)
        return shown

    def _take(self, name: bytes, data: bytes, shown: list[bytes]) -> None:
        """Raises BrokenStreamError, also where too much would have to be held back."""
        if name == ERROR_EVENT:
            raise BrokenStreamError
        if data[:1] != b"{":
            word = data.strip()
            if word == DONE:
                self._end()
                return
            if word.lower() in KEEP_ALIVES:
                return
        seen = self._assembly.add(data)
        self.taken += 1
        is_closing = not self._assembly.is_in_doubt and self._assembly.is_finished(self.asked.choices)
        if self.closing and not is_closing:
            self._reopen(shown)
        if seen is not None:
            self._place(seen, self.closing if is_closing else shown)

    def _place(self, seen: bytes, among: list[bytes]) -> None:
        if among is self.closing or not self.has_content:
            self._held_bytes += len(seen)
        if self._held_bytes > HELD_AT_MOST_BYTES:
            raise BrokenStreamError
        among.append(seen)

    def _reopen(self, shown: list[bytes]) -> None:
        """It was not the end. A reason that is in doubt is told at the end alone."""
        is_in_doubt = self._assembly.is_in_doubt
        shown += [self._assembly.taken_back(data) for data in self.closing] if is_in_doubt else self.closing
        self.closing.clear()

    def _end(self) -> None:
        self.is_done = True
        if self._assembly.is_in_doubt:
            self.closing.append(self._assembly.belated())
