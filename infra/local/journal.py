"""Keeps what the embedded emulator was told, so that its data survives a kill.

The emulator holds its state in memory. Each changing request is written down before it is applied, and told again in
the same order at the next start. A state directory holds generations: a snapshot and the requests that came after it;
the file CURRENT says which one counts, and is switched by a rename.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """An AWS API call as it came over HTTP."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Journal:
    """The requests of the current generation. A written one survives the death of every process on this machine."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._current = directory / "CURRENT"
        self.generation = int(self._current.read_text()) if self._current.exists() else 0
        self._file: int | None = None

    @property
    def snapshot(self) -> Path:
        """Where the state lies that the requests follow."""
        return self._snapshot(self.generation)

    def requests(self) -> Iterator[Request]:
        """In order. A last line that was cut off by a kill was never acknowledged, and is dropped."""
        path = self._requests(self.generation)
        if not path.exists():
            return
        for line in path.read_bytes().split(b"\n")[:-1]:
            written = json.loads(line)
            yield Request(written["path"], written["headers"], base64.b64decode(written["body"]))

    def write(self, request: Request) -> None:
        """Raises OSError where the disk takes no more; then the request must not be applied."""
        body = base64.b64encode(request.body).decode()
        line = json.dumps({"path": request.path, "headers": dict(request.headers), "body": body}) + "\n"
        file = self._opened()
        size = os.fstat(file).st_size
        if os.write(file, line.encode()) < len(line):
            os.ftruncate(file, size)
            raise OSError("the disk is full")

    def next_snapshot(self) -> Path:
        """An empty directory for the state after all requests so far."""
        path = self._snapshot(self.generation + 1)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def switch(self) -> None:
        """From now on the next snapshot counts, and the requests before it are forgotten."""
        old = self.generation
        self.close()
        self._requests(old + 1).unlink(missing_ok=True)
        switching = self._directory / "CURRENT.new"
        switching.write_text(str(old + 1))
        switching.replace(self._current)
        self.generation = old + 1
        shutil.rmtree(self._snapshot(old), ignore_errors=True)
        self._requests(old).unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        """Cut back to the last whole line first: what a kill left behind must not swallow the next request."""
        if self._file is None:
            path = self._requests(self.generation)
            whole = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.ftruncate(self._file, whole)
        return self._file

    def _requests(self, generation: int) -> Path:
        return self._directory / f"requests-{generation}.jsonl"

    def _snapshot(self, generation: int) -> Path:
        return self._directory / f"snapshot-{generation}"
