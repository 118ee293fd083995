"""The one seam to the providers: sends an upstream request, returns the whole response or says how it failed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import certifi
import httpx

from llm_router.upstream import UpstreamRequest, UpstreamResponse
from llm_router.usage import Outcome

CONNECT_TIMEOUT_S = 5.0
RESPONSE_BYTES_AT_MOST = 8_000_000
"""More than Lambda could hand on (6 MB), little enough for its memory."""


class TransportError(Exception):
    """`outcome` says what happened; `may_be_billed` whether the provider may have worked for us all the same."""

    def __init__(self, outcome: Outcome, *, may_be_billed: bool) -> None:
        self.outcome = outcome
        self.may_be_billed = may_be_billed
        super().__init__(outcome)


class Transport:
    """One client and one TLS context for the life of the process.

    A connection that a freeze has killed is found dead at its first use, which is why reuse is watched.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=ca_file or certifi.where()),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
            trust_env=False,
        )

    async def send(
        self, request: UpstreamRequest, *, limit_s: float, before_body: Callable[[], Awaitable[None]]
    ) -> UpstreamResponse:
        """`before_body` is awaited after connecting, before the first byte of the body goes out.

        Raises TransportError. The whole exchange takes `limit_s` seconds at most.
        """
        progress = _Progress()
        try:
            async with asyncio.timeout(limit_s):
                return await self._exchange(request, progress, before_body)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TransportError(Outcome.TIMEOUT, may_be_billed=progress.sent_body) from error
        except httpx.DecodingError as error:
            raise TransportError(Outcome.CUT, may_be_billed=True) from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise TransportError(progress.outcome, may_be_billed=progress.may_be_billed) from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchange(
        self, request: UpstreamRequest, progress: _Progress, before_body: Callable[[], Awaitable[None]]
    ) -> UpstreamResponse:
        async def body() -> AsyncIterator[bytes]:
            await before_body()
            progress.sent_body = True
            yield request.body

        headers = {**request.headers, "content-length": str(len(request.body))}
        trace = {"trace": progress.note}
        async with self._client.stream(
            "POST", request.url, headers=headers, content=body(), extensions=trace
        ) as response:
            progress.answered = True
            received = bytearray()
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > RESPONSE_BYTES_AT_MOST:
                    raise TransportError(Outcome.MALFORMED, may_be_billed=True)
            return UpstreamResponse(response.status_code, dict(response.headers), bytes(received))


class _Progress:
    """How far an exchange came, from the events that httpcore reports."""

    def __init__(self) -> None:
        self.connected_anew = False
        self.sent_body = False
        self.answered = False

    async def note(self, event: str, _: object) -> None:
        if event == "connection.connect_tcp.started":
            self.connected_anew = True

    @property
    def outcome(self) -> Outcome:
        if self.answered:
            return Outcome.CUT
        return Outcome.UNREACHABLE if self.connected_anew else Outcome.CONNECTION_LOST

    @property
    def may_be_billed(self) -> bool:
        """A connection that broke before any byte of the answer: the provider most likely never read the request."""
        return self.answered
