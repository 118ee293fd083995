"""A child's log: added to, never emptied, set aside when it has grown large; and read as it is being written.

It may hold records that the store did not take, so a new start must not throw it away.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from infra.local import progress

LARGE_BYTES = 10_000_000
OLD_ONES = 5


class Log:
    """`path` is where it lies. What a reader is told begins with this run's first line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begins = 0
        self._read_to = 0

    def opened(self) -> BinaryIO:
        """To be written to by the child."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size > LARGE_BYTES:
            self._set_aside()
        file = self.path.open("ab")
        self._begins = self._read_to = self.path.stat().st_size
        return file

    def new_lines(self) -> list[str]:
        """What has been written since the last time; a line that is not at its end yet is left for the next."""
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._read_to += len(whole)
        return whole.decode(errors="replace").split("\n")[:-1]

    def last_words(self, lines: int = 15) -> str:
        with self.path.open("rb") as file:
            file.seek(self._begins)
            said = file.read().decode(errors="replace").splitlines()
        return "\n".join([line for line in said if not line.startswith(progress.MARK)][-lines:])

    def files(self) -> list[Path]:
        """Those that there are, the oldest first."""
        old = [self._old(number) for number in range(OLD_ONES, 0, -1)]
        return [path for path in (*old, self.path) if path.exists()]

    def _set_aside(self) -> None:
        for number in range(OLD_ONES - 1, 0, -1):
            older = self._old(number)
            if older.exists():
                older.replace(self._old(number + 1))
        self.path.replace(self._old(1))

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
