"""Callers over raw connections, as cheap as can be: each asks, reads to the end, and asks again."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.bench import provider

QUESTION = {"messages": [{"role": "user", "content": "What is a router?"}], "model": "auto"}
PATH = "/v1/chat/completions"

_FIRST = b'"content": " word"'
_LAST = f'"content": "{provider.LAST_WORD}"'.encode()
_OVERLAP = len(_LAST) + 2


@dataclass(frozen=True, slots=True)
class Load:
    """So many requests in all by so many callers; `paced` where the provider takes its time."""

    at_once: int
    requests: int
    streamed: bool
    paced: bool = False

    @property
    def name(self) -> str:
        pace = "; the provider takes its time" if self.paced else ""
        return f"{self.at_once} at a time, {'streamed' if self.streamed else 'unstreamed'}{pace}"


@dataclass(frozen=True, slots=True)
class Timed:
    """One request. Unstreamed, `first_ms` and `last_ms` are `whole_ms`."""

    first_ms: float
    last_ms: float
    whole_ms: float

    @property
    def chunk_ms(self) -> float:
        """From one word to the next, on the average."""
        return (self.last_ms - self.first_ms) / (provider.WORDS - 1)


def run(url: str, load: Load, *, key: str) -> list[Timed]:
    """Raises SystemExit where a request is not served."""
    return asyncio.run(_run(url, load, _request(url, load, key=key)))


def _request(url: str, load: Load, *, key: str) -> bytes:
    pace = {"user": provider.PACED} if load.paced else {}
    body = json.dumps({**QUESTION, **pace, **({"stream": True} if load.streamed else {})}).encode()
    lines = [
        f"POST {PATH} HTTP/1.1",
        f"host: {urlsplit(url).netloc}",
        "content-type: application/json",
        f"authorization: Bearer {key}",
        f"content-length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _run(url: str, load: Load, request: bytes) -> list[Timed]:
    left = iter(range(load.requests))
    timed: list[Timed] = []

    async def caller() -> None:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        timed.extend([await _asked(reader, writer, request, streamed=load.streamed) for _ in left])
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(caller() for _ in range(load.at_once)))
    return timed


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, *, streamed: bool
) -> Timed:
    began_s = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"not the expected answer: {head!r}")
    if streamed:
        return await _streamed(reader, began_s)
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    await reader.readexactly(length)
    whole_ms = _ms_since(began_s)
    return Timed(whole_ms, whole_ms, whole_ms)


async def _streamed(reader: asyncio.StreamReader, began_s: float) -> Timed:
    """Looks for the first word, the last one, and the empty chunk that ends the body."""
    first_ms = last_ms = 0.0
    seen = b""
    while not seen.endswith(b"\r\n0\r\n\r\n"):
        came = await reader.read(65536)
        if not came:
            raise SystemExit("a stream broke off")
        seen = seen[-_OVERLAP:] + came
        first_ms = first_ms or (_ms_since(began_s) if _FIRST in seen else 0.0)
        last_ms = last_ms or (_ms_since(began_s) if _LAST in seen else 0.0)
    if not last_ms:
        raise SystemExit("a stream ended without its last word")
    return Timed(first_ms, last_ms, _ms_since(began_s))


def _ms_since(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1000
