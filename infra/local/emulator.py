"""The embedded AWS: ministack's DynamoDB, SSM and S3 in one process, with a journal so that a kill loses nothing.

ministack by itself saves only when it is stopped in an orderly way. Objects in S3 are not kept: the page and its
figures are published anew at each start.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import signal
import sys
from pathlib import Path

from infra.local import asgi, processes
from infra.local.asgi import App, Message, Receive, Scope, Send
from infra.local.aws_door import AwsDoor
from infra.local.aws_resources import PAGE_BUCKET
from infra.local.journal import Journal, JournalError, Request
from infra.local.memory import Memory
from infra.local.progress import Progress

READING = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List")
"""How the names of operations begin that change nothing."""

KEPT_HEADERS = ("x-amz-target", "content-type", "authorization", "x-amz-date")
LOCK_WAIT_S = 10.0
COMPACT_AT_BYTES = 16_000_000
"""Of requests, some 8,000: told again in ten seconds."""


class Kept:
    """Passes requests to the emulator one at a time, those that change something to the journal first.

    When the requests have outgrown `compact_at_bytes` and the state itself, the state takes their place, so that a
    start after a kill never has much to tell again.
    """

    def __init__(self, app: App, journal: Journal, memory: Memory, *, compact_at_bytes: int = COMPACT_AT_BYTES) -> None:
        self._app = app
        self._journal = journal
        self._memory = memory
        self._turn = asyncio.Lock()
        self._compact_at_bytes = compact_at_bytes
        self._limit_bytes = self._next_limit_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not _is_kept(headers.get("x-amz-target", "")):
            await self._app(scope, receive, send)
            return
        body = await asgi.whole_body(receive)
        kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
        async with self._turn:
            try:
                self._journal.write(Request(scope["path"], kept, body))
            except OSError as error:
                reason = f"the journal can't be written: {error.strerror}"
                await asgi.refuse(send, reason, status=500, kind="InternalServerError")
                return
            await self._app(scope, asgi.once(body), send)
            if self._journal.size_bytes > self._limit_bytes:
                self.compact()

    async def restore(self, progress: Progress) -> None:
        """Bring the emulator's memory to where the journal ends. Raises JournalError."""
        progress.now("reading the kept state")
        self._memory.load(self._journal)
        total_mb = self._journal.size_bytes / 1e6
        for told, request in enumerate(self._journal.requests(), start=1):
            await _tell(self._app, request)
            progress.now(f"replaying {told:,} requests ({self._journal.read_bytes / 1e6:.0f} of {total_mb:.0f} MB)")
        progress.now("saving the state")
        self.compact()

    def compact(self) -> None:
        """Put the state in place of the requests since the last time. Nothing else runs meanwhile."""
        if not self._journal.size_bytes:
            return
        try:
            self._memory.save(self._journal.next_snapshot())
            self._journal.switch()
        except (OSError, TypeError, ValueError) as error:
            print(f"The state could not be saved, so the requests are kept: {error}", flush=True)
        self._limit_bytes = self._next_limit_bytes()

    def _next_limit_bytes(self) -> int:
        """In step with the state's size, so that saving it takes the same part of the time however large it is."""
        return self._journal.size_bytes + max(self._compact_at_bytes, self._journal.snapshot_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--compact-at-bytes", type=int, default=COMPACT_AT_BYTES)
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    os.environ |= {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "LOG_LEVEL": "WARNING", "PERSIST_STATE": "0"}
    from ministack.app import app  # noqa: PLC0415  # reads its environment when it is imported

    arguments.state_dir.mkdir(parents=True, exist_ok=True)
    lock = _lock(arguments.state_dir)
    try:
        journal = Journal(arguments.state_dir)
        kept = Kept(app, journal, Memory(), compact_at_bytes=arguments.compact_at_bytes)
        asyncio.run(_serve(kept, arguments.fd))
    except JournalError as error:
        sys.exit(str(error))
    journal.close()
    os.close(lock)


async def _serve(kept: Kept, fd: int) -> None:
    with Progress() as progress:
        await kept.restore(progress)
    # uvicorn sends itself the signal again that has ended it: without a handler the state would not be saved.
    signal.signal(signal.SIGTERM, lambda *_: None)
    await processes.serve(AwsDoor(kept, bucket=PAGE_BUCKET), fd=fd)
    kept.compact()


def _lock(directory: Path) -> int:
    """Only one emulator may write a journal; one that is on its way out is waited for."""
    file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        processes.until(lambda: _is_locked(file), limit_s=LOCK_WAIT_S)
    except TimeoutError:
        sys.exit(f"Another emulator is using {directory}.")
    return file


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_kept(target: str) -> bool:
    service, _, operation = target.partition(".")
    return service.startswith(("DynamoDB_", "AmazonSSM")) and not operation.startswith(READING)


async def _tell(app: App, request: Request) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in request.headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }

    async def unheard(_: Message) -> None:
        """The answer was given when the request first came."""

    await app(scope, asgi.once(request.body), unheard)


if __name__ == "__main__":
    main()
