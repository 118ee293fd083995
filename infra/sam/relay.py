"""Hands connections that containers make to this machine on to its loopback address, where the local run listens."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Target = tuple[str, int]
CHUNK_BYTES = 65536


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
            await asyncio.gather(_copy(caller_reads, target_writes), _copy(target_reads, caller_writes))
        finally:
            caller_writes.close()
            target_writes.close()

    return hand_on


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """To the end of one direction; the other may go on."""
    with contextlib.suppress(ConnectionError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()
