"""A provider that goes down when it is told to, and notes each attempt that reaches it.

A server of its own on bare TCP: it must be able to reset a connection before any byte, and count that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from infra.bench.provider import COMPLETION

ANSWERS_AFTER_S = 0.05
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing sends RST."""


class State(StrEnum):
    UP = "up"
    RESETTING = "resetting"
    OVERLOADED = "overloaded"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Hit:
    """An attempt as the provider sees it: when it came (of the epoch), and what it met."""

    at_s: float
    met: State


@dataclass(slots=True)
class Provider:
    """Answers whole while it is up. A reset counts each connection, everything else each request."""

    state: State = State.UP
    hits: list[Hit] = field(default_factory=list)
    base_url: str = ""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def turn(self, state: State) -> float:
        """Returns when, of the epoch. Where it resets, kept connections die as well, as with a host that is gone."""
        self.state = state
        if state is State.RESETTING:
            self._drop_all()
        return time.time()

    def down_hits(self) -> list[Hit]:
        return [hit for hit in self.hits if hit.met is not State.UP]

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._is_answered(reader, writer):
                pass
        self._open.discard(writer)
        writer.close()

    async def _is_answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self.state is State.RESETTING:
            self._note()
            _reset(writer)
            return False
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        met = self._note()
        if met is State.SILENT:
            await reader.read()  # until the other side hangs up
            return False
        if met is State.OVERLOADED:
            writer.write(_response("503 Service Unavailable", {"error": {"message": "overloaded", "type": "t"}}))
        else:
            await asyncio.sleep(ANSWERS_AFTER_S)
            writer.write(_response("200 OK", COMPLETION))
        await writer.drain()
        return True

    def _note(self) -> State:
        self.hits.append(Hit(time.time(), self.state))
        return self.state

    def _drop_all(self) -> None:
        for writer in self._open:
            _reset(writer)


@asynccontextmanager
async def serving() -> AsyncIterator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.meet, "127.0.0.1", 0, backlog=256)
    provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        provider.turn(State.RESETTING)
        await server.wait_closed()


def _response(status: str, value: object) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _reset(writer: asyncio.StreamWriter) -> None:
    taken: socket.socket | None = writer.get_extra_info("socket")
    if taken is not None and taken.fileno() >= 0:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
