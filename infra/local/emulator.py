"""The embedded AWS: ministack's DynamoDB, SSM and S3 in one process, with a journal so that a kill loses nothing.

ministack by itself saves only when it is stopped in an orderly way. Objects in S3 are not kept: the page and its
figures are published anew at each start.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from infra.local import processes
from infra.local.journal import Journal, Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEPT_SERVICES = ("dynamodb", "ssm")
READING = ("Get", "BatchGet", "TransactGet", "Query", "Scan", "Describe", "List")
"""How the names of operations begin that change nothing."""

KEPT_HEADERS = ("x-amz-target", "content-type", "authorization", "x-amz-date")
LOCK_WAIT_S = 10.0


class Journaled:
    """Passes requests to the emulator one at a time, those that change something to the journal first."""

    def __init__(self, app: App, journal: Journal) -> None:
        self._app = app
        self._journal = journal
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if not _is_kept(headers.get("x-amz-target", "")):
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
        async with self._turn:
            try:
                self._journal.write(Request(scope["path"], kept, body))
            except OSError as error:
                await _refuse(send, f"the journal can't be written: {error.strerror}")
                return
            await self._app(scope, _once(body), send)


async def restore(app: App, journal: Journal) -> None:
    """Bring the emulator's memory to where the journal ends, and start a new generation from there."""
    from ministack.core import persistence  # noqa: PLC0415  # reads its environment when it is imported
    from ministack.services import dynamodb, ssm  # noqa: PLC0415  # the same

    services = dict(zip(KEPT_SERVICES, (dynamodb, ssm), strict=True))
    persistence.PERSIST_STATE = True
    persistence.STATE_DIR = str(journal.snapshot)
    for name, service in services.items():
        service.load_persisted_state(persistence.load_state(name))
    told = 0
    for request in journal.requests():
        await _tell(app, request)
        told += 1
    if not told:
        return
    snapshot = journal.next_snapshot()
    persistence.STATE_DIR = str(snapshot)
    persistence.save_all({name: service.get_state for name, service in services.items()})
    if set(os.listdir(snapshot)) == {f"{name}.json" for name in services}:  # noqa: PTH208  # names are all that matters
        journal.switch()  # ministack only logs a failure to save; then the old generation stays what counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--state-dir", type=Path, required=True)
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    os.environ |= {"IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0", "LOG_LEVEL": "WARNING", "PERSIST_STATE": "0"}
    from ministack.app import app  # noqa: PLC0415  # reads its environment when it is imported

    arguments.state_dir.mkdir(parents=True, exist_ok=True)
    lock = _lock(arguments.state_dir)
    journal = Journal(arguments.state_dir)
    asyncio.run(_serve(app, journal, arguments.fd))
    journal.close()
    os.close(lock)


async def _serve(app: App, journal: Journal, fd: int) -> None:
    await restore(app, journal)
    await processes.serve(Journaled(app, journal), fd=fd)


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

    await app(scope, _once(request.body), unheard)


async def _whole_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _once(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(send: Send, reason: str) -> None:
    body = json.dumps({"__type": "InternalServerError", "message": reason}).encode()
    headers = [(b"content-type", b"application/x-amz-json-1.0"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    main()
