"""HTTP/1.1 messages on bare TCP, read one by one: both who bills and who breaks things must see each step of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *[^.\r]+\.([A-Za-z]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """`head` is all up to the body, its first line included."""

    head: bytes
    body: bytes

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def operation(self) -> str:
        """What a request asks DynamoDB for; empty where it is none."""
        found = _TARGET.search(self.head)
        return found[1].decode() if found else ""


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """None where the other side has closed the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Raises asyncio.IncompleteReadError where it breaks off."""
    length = _LENGTH.search(head)
    return await reader.readexactly(int(length[1])) if length else b""


async def read(reader: asyncio.StreamReader) -> Message | None:
    """A whole message; None where the connection ends before one."""
    head = await read_head(reader)
    if head is None:
        return None
    try:
        return Message(head, await read_body(reader, head))
    except asyncio.IncompleteReadError:
        return None


def response(status: str, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body
