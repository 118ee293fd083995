"""Connections to the providers: kept after an answer that was read to its end, and used again, the last one first.

httpcore speaks HTTP on each connection; which one is taken is decided here. httpcore's own pool looks through all its
connections, asking the system about the idle ones, whenever a request begins or ends: with 64 in flight that was two
thirds of what an upstream request cost.
"""

from __future__ import annotations

import ssl
from collections import defaultdict, deque

import httpcore

KEPT_AT_MOST = 64
"""A provider's connections beside those in use."""

KEPT_FOR_S = 5.0

Kept = deque[httpcore.AsyncHTTPConnection]


class Lease:
    """A connection in one request's hands."""

    def __init__(self, kept: Kept, connection: httpcore.AsyncHTTPConnection) -> None:
        self._kept = kept
        self._connection = connection
        self._response: httpcore.Response | None = None

    async def send(self, request: httpcore.Request) -> httpcore.Response:
        """The head of the response. Raises what httpcore raises; the connection is closed then."""
        self._response = await self._connection.handle_async_request(request)
        return self._response

    async def give_back(self) -> None:
        """To be kept, where the answer was read to its end and nothing follows it; closed otherwise."""
        if self._response:
            await self._response.aclose()
        if self._response and self._connection.is_idle() and not self._connection.is_closed():
            if _has_more(self._connection):
                await self._connection.aclose()
            else:
                self._kept.append(self._connection)
        if self._kept and (len(self._kept) > KEPT_AT_MOST or self._kept[0].has_expired()):
            await self._kept.popleft().aclose()


def _has_more(connection: httpcore.AsyncHTTPConnection) -> bool:
    """Whether bytes came after the answer's end. They would be read as the answer to whoever asks next.

    httpcore asks only whether the socket has more to read; these it has read already, and tells nobody of them.
    """
    trailing, _ = connection._connection._h11_state.trailing_data  # type: ignore[union-attr]  # noqa: SLF001
    return bool(trailing)


class Connections:
    """For the life of the process; they belong to one event loop."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._kept: dict[tuple[bytes, bytes, int], Kept] = defaultdict(deque)

    async def lease(self, origin: httpcore.Origin, *, fresh: bool) -> tuple[Lease, bool]:
        """A connection, and whether it is a new one; with `fresh` it always is."""
        kept = self._kept[origin.scheme, origin.host, origin.port]
        while kept and not fresh:
            connection = kept.pop()
            if not connection.has_expired():
                return Lease(kept, connection), False
            await connection.aclose()
        made = httpcore.AsyncHTTPConnection(origin, ssl_context=self._context, keepalive_expiry=KEPT_FOR_S)
        return Lease(kept, made), True

    async def close(self) -> None:
        for kept in self._kept.values():
            while kept:
                await kept.pop().aclose()
