"""Keeps what the embedded emulator was told, so that its data survives a kill.

The emulator holds its state in memory. Each changing request is written down before it is applied, and told again in
the same order at the next start. A state directory holds generations: a snapshot and the requests that came after it;
the file CURRENT says which one counts, and is switched by a rename. The generation before is kept until the next
switch, so that a snapshot that can't be read costs nothing: from any snapshot on, all later requests are told.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

OTHER_FOLDER = "or leave it as it is and start with an empty folder: STATE_DIR=<folder> make run"


class JournalError(Exception):
    """The kept data can't be used as it is; says where and what to do. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Request:
    """An AWS API call as it came over HTTP."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Journal:
    """The requests of the current generation. A written one survives the death of every process on this machine.

    `read_bytes` is how far `requests` has come.
    """

    def __init__(self, directory: Path) -> None:
        """Raises JournalError where it can't be known which generation counts."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._current = directory / "CURRENT"
        self.generation = self._found_generation()
        self._last = max([self.generation, *self._numbers("requests-*.jsonl")])
        self._file: int | None = None
        self.read_bytes = 0

    @property
    def snapshot(self) -> Path | None:
        """Where the state lies that the requests follow; None where they begin with nothing."""
        return self._snapshot(self.generation) if self.generation else None

    @property
    def size_bytes(self) -> int:
        """Of the requests since the snapshot."""
        return sum(path.stat().st_size for path in self._request_files())

    @property
    def snapshot_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._snapshot(self.generation).glob("*"))

    @property
    def older_generation(self) -> int | None:
        """One from which everything can still be told again, should the current snapshot be lost."""
        older = [number for number in self._snapshots() if number < self.generation]
        if self._requests(0).exists() and self.generation:
            older.append(0)
        return max(older, default=None)

    def requests(self) -> Iterator[Request]:
        """In order. A last line that was cut off by a kill was never acknowledged, and is dropped.

        Raises JournalError at a line that is damaged in another way.
        """
        for path in self._request_files():
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    self.read_bytes += len(line)
                    if line.endswith(b"\n"):
                        yield _request(line, path, number)

    def write(self, request: Request) -> None:
        """Raises OSError where the disk takes no more; then the request must not be applied."""
        body = base64.b64encode(request.body).decode()
        line = json.dumps({"path": request.path, "headers": dict(request.headers), "body": body}) + "\n"
        file = self._opened()
        size = os.fstat(file).st_size
        if os.write(file, line.encode()) < len(line):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, "the disk is full")

    def next_snapshot(self) -> Path:
        """An empty directory for the state after all requests so far."""
        path = self._unfinished()
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def switch(self) -> None:
        """From now on the next snapshot counts; what is older than the generation before is forgotten.

        Everything is on the disk before the switch: a snapshot that a power cut empties would cost all data.
        """
        old, new = self.generation, self._last + 1
        for path in [*self._unfinished().iterdir(), self._unfinished()]:
            _to_disk(path)
        shutil.rmtree(self._snapshot(new), ignore_errors=True)
        self._unfinished().rename(self._snapshot(new))
        _to_disk(self._directory)
        self._point_to(new)
        self.close()
        self.generation = self._last = new
        for number in self._snapshots():
            if number not in (old, new):
                shutil.rmtree(self._snapshot(number), ignore_errors=True)
        for number in self._numbers("requests-*.jsonl"):
            if number < old:
                self._requests(number).unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _found_generation(self) -> int:
        try:
            written = self._current.read_bytes().strip()
        except FileNotFoundError:
            if self._snapshots() or any(self._numbers("requests-*.jsonl")):
                raise JournalError(self._no_generation("is missing")) from None
            self._point_to(0)
            return 0
        if not re.fullmatch(rb"[0-9]{1,9}", written):
            raise JournalError(self._no_generation("is damaged"))
        generation = int(written)
        if generation and not self._snapshot(generation).is_dir():
            raise JournalError(self._no_generation(f"names {self._snapshot(generation).name}, which is missing"))
        return generation

    def _no_generation(self, what: str) -> str:
        newest = max(self._snapshots(), default=0)
        return (
            f"{self._current} {what}, but there is data beside it. Nothing was changed.\n"
            f"Name the newest snapshot in it: echo {newest} > '{self._current}'\n{OTHER_FOLDER}"
        )

    def _point_to(self, generation: int) -> None:
        switching = self._directory / "CURRENT.new"
        switching.write_text(str(generation))
        _to_disk(switching)
        switching.replace(self._current)
        _to_disk(self._directory)

    def _opened(self) -> int:
        """Cut back to the last whole line first: what a kill left behind must not swallow the next request."""
        if self._file is None:
            path = self._requests(self._last)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._file, _whole_lines_bytes(self._file))
        return self._file

    def _request_files(self) -> list[Path]:
        """Of this generation and of those after it, which are there when an older one was made the current one."""
        numbers = range(self.generation, self._last + 1)
        return [path for path in map(self._requests, numbers) if path.exists()]

    def _requests(self, generation: int) -> Path:
        return self._directory / f"requests-{generation}.jsonl"

    def _snapshot(self, generation: int) -> Path:
        return self._directory / f"snapshot-{generation}"

    def _unfinished(self) -> Path:
        return self._directory / "snapshot.new"

    def _snapshots(self) -> list[int]:
        return self._numbers("snapshot-*")

    def _numbers(self, pattern: str) -> list[int]:
        found = (re.search(r"-([0-9]{1,9})(\.|$)", path.name) for path in self._directory.glob(pattern))
        return sorted(int(match[1]) for match in found if match)


def _request(line: bytes, path: Path, number: int) -> Request:
    try:
        written = json.loads(line)
        return Request(written["path"], written["headers"], base64.b64decode(written["body"]))
    except (ValueError, KeyError, TypeError):
        raise JournalError(
            f"{path}, line {number}: damaged, so what was kept can't be told again. Nothing was changed.\n"
            f"Take that line out and start again: sed -i.bak '{number}d' '{path}'\n{OTHER_FOLDER}"
        ) from None


def _whole_lines_bytes(file: int) -> int:
    """Read backwards in blocks: only the end is of interest."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - 65536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
