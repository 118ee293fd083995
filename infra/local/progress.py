"""How a child tells the process that has started it that it is at work: lines in its log."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

MARK = "progress: "
EVERY_S = 2.0


class Progress:
    """For the time of a `with` block: says every two seconds how far the work has come, from a thread of its own.

    So reading a large file, which is one step, is no silence either.
    """

    def __init__(self, *, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._text = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._say, daemon=True)

    def now(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _say(self) -> None:
        while not self._ended.wait(self._every_s):
            print(f"{MARK}{self._text}", flush=True)
