"""Hands connections that containers make to this machine on to its loopback address, where the local run listens.

What listens there may serve only those that call it by its own name, as the local run's AWS does, so an HTTP request is
handed on under that name. One request a connection is enough: the server is asked to close, and the caller connects
anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Target = tuple[str, int]
CHUNK_BYTES = 65536
HEAD_ENDS = b"\r\n\r\n"
REQUEST_LINE = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r\n")
NAMED_ANEW = re.compile(rb"\r\n(?:host|connection):[^\r\n]*", re.IGNORECASE)


@contextmanager
def relaying(address: str, port: int, target: Target) -> Iterator[None]:
    """Listen there for as long as the block lasts; whoever connects is talking to the target. Raises OSError."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"relay-{port}", daemon=True)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(_listen(address, port, target), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(_close(server), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(address: str, port: int, target: Target) -> asyncio.Server:
    """Shared, so that two commands against the same run don't stand in each other's way."""
    return await asyncio.start_server(_door(target), address, port, reuse_port=True)


async def _close(server: asyncio.Server) -> None:
    server.close()
    open_ones = asyncio.all_tasks() - {asyncio.current_task()}
    for task in open_ones:
        task.cancel()
    await asyncio.gather(*open_ones, return_exceptions=True)


def _door(target: Target) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def hand_on(caller_reads: asyncio.StreamReader, caller_writes: asyncio.StreamWriter) -> None:
        try:
            target_reads, target_writes = await asyncio.open_connection(*target)
        except OSError:  # nobody listens there: the caller sees its connection closed
            caller_writes.close()
            return
        try:
            await asyncio.gather(_requests(caller_reads, target_writes, target), _copy(target_reads, caller_writes))
        finally:
            caller_writes.close()
            target_writes.close()

    return hand_on


async def _requests(source: asyncio.StreamReader, sink: asyncio.StreamWriter, target: Target) -> None:
    sink.write(renamed(await _beginning(source), target))
    await _copy(source, sink)


async def _beginning(source: asyncio.StreamReader) -> bytes:
    """The head of an HTTP request, or what comes first of anything else: TLS, for one, waits for an answer to it."""
    begun = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            begun += chunk
            if HEAD_ENDS in begun or len(begun) > CHUNK_BYTES or not begun[:1].isupper():
                break
    return begun


def renamed(begun: bytes, target: Target) -> bytes:
    """The request under the target's own name, and the last of its connection."""
    head, end, rest = begun.partition(HEAD_ENDS)
    if not end or not REQUEST_LINE.match(head + b"\r\n"):
        return begun
    name = f"\r\nHost: {target[0]}:{target[1]}\r\nConnection: close".encode()
    return NAMED_ANEW.sub(b"", head) + name + end + rest


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """To the end of one direction; the other may go on. Either side may be gone, also when the end is to be told."""
    with contextlib.suppress(OSError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()
