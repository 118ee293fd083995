"""The one seam to the providers: sends an upstream request and hands over the response as it arrives."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import certifi
import httpx

from llm_router.upstream import UpstreamRequest
from llm_router.usage import Outcome

CONNECT_TIMEOUT_S = 5.0
WORKED_S = 0.25
"""A connection that breaks sooner after the request went out broke because it was dead or refused."""

RESPONSE_BYTES_AT_MOST = 8_000_000
"""More than Lambda could hand on (6 MB), little enough for its memory."""


class TransportError(Exception):
    """`outcome` says what happened; `may_be_billed` whether the provider may have worked for us all the same."""

    def __init__(self, outcome: Outcome, *, may_be_billed: bool) -> None:
        self.outcome = outcome
        self.may_be_billed = may_be_billed
        super().__init__(outcome)


@dataclass(slots=True)
class Progress:
    """How far an exchange came, from the events that httpcore reports."""

    connected_anew: bool = False
    sent_body_at_s: float | None = None
    answered: bool = False

    async def note(self, event: str, _: object) -> None:
        if event == "connection.connect_tcp.started":
            self.connected_anew = True

    @property
    def sent_body(self) -> bool:
        return self.sent_body_at_s is not None

    def broken(self) -> TransportError:
        """A provider that took the request and worked on it a while before it hung up may bill for that."""
        if self.answered:
            return TransportError(Outcome.CUT, may_be_billed=True)
        outcome = Outcome.UNREACHABLE if self.connected_anew else Outcome.CONNECTION_LOST
        worked = self.sent_body_at_s is not None and time.monotonic() - self.sent_body_at_s > WORKED_S
        return TransportError(outcome, may_be_billed=worked)


@dataclass(frozen=True, slots=True)
class UpstreamStream:
    """A response whose body is still on its way. `headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    _response: httpx.Response
    _progress: Progress

    async def chunks(self, *, bytes_at_most: int | None = RESPONSE_BYTES_AT_MOST) -> AsyncGenerator[bytes]:
        """The body, decoded, as it comes. Raises TransportError where it breaks off or is too large.

        None where the reader does not keep the bytes.
        """
        size = 0
        with _told(self._progress):
            async for chunk in self._response.aiter_bytes():
                size += len(chunk)
                if bytes_at_most is not None and size > bytes_at_most:
                    raise TransportError(Outcome.MALFORMED, may_be_billed=True)
                yield chunk


class Transport:
    """One client and one TLS context for the life of the process.

    A connection that a freeze has killed is found dead at its first use, which is why reuse is watched.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._context = ssl.create_default_context(cafile=ca_file or certifi.where())
        self._client = self._new_client(kept=64)
        self._fresh: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def open(
        self,
        request: UpstreamRequest,
        *,
        before_body: Callable[[], Awaitable[None]],
        progress: Progress,
        fresh: bool = False,
    ) -> AsyncIterator[UpstreamStream]:
        """`before_body` is awaited after connecting, before the first byte of the body goes out.

        `fresh` takes a new connection whatever is kept; `progress` tells how far it came; how long it may take is the
        caller's to say. Raises TransportError.
        """

        async def body() -> AsyncIterator[bytes]:
            await before_body()
            progress.sent_body_at_s = time.monotonic()
            yield request.body

        headers = {**request.headers, "content-length": str(len(request.body))}
        with _told(progress):
            client = self._without_kept() if fresh else self._client
            built = client.build_request("POST", request.url, headers=headers, content=body())
            built.extensions = {**built.extensions, "trace": progress.note}
            response = await client.send(built, stream=True)
        try:
            progress.answered = True
            yield UpstreamStream(response.status_code, dict(response.headers), response, progress)
        finally:
            await response.aclose()

    async def close(self) -> None:
        await self._client.aclose()
        if self._fresh:
            await self._fresh.aclose()

    def _without_kept(self) -> httpx.AsyncClient:
        self._fresh = self._fresh or self._new_client(kept=0)
        return self._fresh

    def _new_client(self, *, kept: int) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._context,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=kept),
            follow_redirects=False,
            trust_env=False,
        )


@contextmanager
def _told(progress: Progress) -> Iterator[None]:
    """Turns what httpx raises into a TransportError."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise TransportError(Outcome.TIMEOUT, may_be_billed=False) from error
    except httpx.DecodingError as error:
        raise TransportError(Outcome.CUT, may_be_billed=True) from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise progress.broken() from error
