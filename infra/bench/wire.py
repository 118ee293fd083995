"""The least of an HTTP/1.1 server: answers POSTs on kept connections, so that little of what is measured is its own."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable
from functools import partial

JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

Write = Callable[[bytes], None]
Answer = Callable[[bytes, bytes, Write], None]
"""Gets the head and the body of a request, and where to write the whole response to, now or later."""


def as_json(body: bytes) -> bytes:
    return JSON_HEAD % len(body) + body


def as_chunk(data: bytes) -> bytes:
    """One piece of a streamed body; an empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Connection(asyncio.Protocol):
    """One request after the other: nobody here sends the next before the answer to the last."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._received = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        ends = self._received.find(b"\r\n\r\n")
        if ends < 0:
            return
        head = bytes(self._received[: ends + 2])
        length = _LENGTH.search(head)
        begins, whole = ends + 4, ends + 4 + (int(length[1]) if length else 0)
        if len(self._received) < whole:
            return
        body = bytes(self._received[begins:whole])
        self._received.clear()
        self._answer(head, body, self._write)

    def _write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)


async def serve(answer: Answer, *, fd: int) -> None:
    """Serve on a listening socket until a signal comes."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    server = await loop.create_server(partial(_Connection, answer), sock=socket.socket(fileno=fd))
    await stopped.wait()
    server.close()


def later(delay_s: float, write: Write, response: bytes) -> None:
    """Write it when so much time has passed; at once where there is none to pass."""
    if delay_s:
        asyncio.get_running_loop().call_later(delay_s, write, response)
    else:
        write(response)


def header(head: bytes, name: str) -> str:
    """Empty where it was not sent."""
    found = re.search(rb"\r\n" + name.encode() + rb": *([^\r]*)", head, re.IGNORECASE)
    return found[1].decode() if found else ""
