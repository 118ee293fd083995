"""The one seam to the providers: sends an upstream request and hands over the response as it arrives."""

from __future__ import annotations

import ssl
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache

import httpcore
import httpx

from llm_router import tls
from llm_router.connections import Connections
from llm_router.inflating import CODINGS, Inflater
from llm_router.upstream import UpstreamRequest
from llm_router.usage import Outcome

CONNECT_TIMEOUT_S = 5.0
WORKED_S = 0.25
"""A connection that breaks sooner after the request went out broke because it was dead or refused."""

RESPONSE_BYTES_AT_MOST = 8_000_000
"""More than Lambda could hand on (6 MB), little enough for its memory."""


URLS_KNOWN_AT_MOST = 256

USER_AGENT = f"python-httpx/{httpx.__version__}"
"""Some providers' guards turn away names that they do not know."""

BROKEN = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
    ssl.SSLError,
)


class TransportError(Exception):
    """`outcome` says what happened; `may_be_billed` whether the provider may have worked for us all the same."""

    def __init__(self, outcome: Outcome, *, may_be_billed: bool) -> None:
        self.outcome = outcome
        self.may_be_billed = may_be_billed
        super().__init__(outcome)


@dataclass(slots=True)
class Progress:
    """How far an exchange came."""

    connected_anew: bool = False
    sent_body_at_s: float | None = None
    answered: bool = False

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
    _body: AsyncIterable[bytes]
    _progress: Progress
    _inflater: Inflater | None = None

    async def chunks(self, *, bytes_at_most: int | None = RESPONSE_BYTES_AT_MOST) -> AsyncGenerator[bytes]:
        """The body, decoded, as it comes. Raises TransportError where it breaks off or is too large.

        None where the reader does not keep the bytes.
        """
        size = 0
        with _told(self._progress):
            async for chunk in self._body:
                for piece in self._decoded(chunk):
                    size += len(piece)
                    if bytes_at_most is not None and size > bytes_at_most:
                        raise TransportError(Outcome.MALFORMED, may_be_billed=True)
                    yield piece
            if self._inflater:
                self._inflater.end()

    def _decoded(self, chunk: bytes) -> Iterable[bytes]:
        return self._inflater.pieces(chunk) if self._inflater else (chunk,)


class Transport:
    """One set of connections and one TLS context for the life of the process.

    A connection that a freeze has killed is found dead at its first use, which is why reuse is watched.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._connections = Connections(ssl.create_default_context(cafile=ca_file) if ca_file else tls.context())

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

        with _told(progress):
            target = _target(request.url)
            lease, progress.connected_anew = await self._connections.lease(target.url.origin, fresh=fresh)
            response = await lease.send(_request(request, target, body()))
        try:
            progress.answered = True
            headers = httpx.Headers(response.headers)
            inflater = Inflater() if headers.get("content-encoding", "").lower() in CODINGS else None
            yield UpstreamStream(response.status, dict(headers), _body(response), progress, inflater)
        finally:
            await lease.give_back()

    async def close(self) -> None:
        await self._connections.close()


def _body(response: httpcore.Response) -> AsyncIterable[bytes]:
    assert isinstance(response.stream, AsyncIterable)  # noqa: S101  # httpcore's types serve blocking callers too
    return response.stream


@dataclass(frozen=True, slots=True)
class _Target:
    """An address, taken apart once. `host` is what the header of that name says."""

    url: httpcore.URL
    host: bytes


@lru_cache(URLS_KNOWN_AT_MOST)
def _target(url: str) -> _Target:
    """Raises httpx.InvalidURL or httpx.UnsupportedProtocol."""
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol("neither http nor https")
    path = parsed.raw_path
    return _Target(
        httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=path), parsed.netloc
    )


def _request(request: UpstreamRequest, target: _Target, body: AsyncIterator[bytes]) -> httpcore.Request:
    headers = {
        "accept": "*/*",
        "accept-encoding": "identity",  # an answer is small, and compressed events are held back
        "user-agent": USER_AGENT,
        **request.headers,
        "content-length": str(len(request.body)),
    }
    raw = [(b"host", target.host), *((name.encode(), value.encode()) for name, value in headers.items())]
    return httpcore.Request(
        "POST", target.url, headers=raw, content=body, extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}}
    )


@contextmanager
def _told(progress: Progress) -> Iterator[None]:
    """Turns what httpcore and httpx raise into a TransportError."""
    try:
        yield
    except httpcore.ConnectTimeout as error:
        raise TransportError(Outcome.TIMEOUT, may_be_billed=False) from error
    except zlib.error as error:
        raise TransportError(Outcome.CUT, may_be_billed=True) from error
    except BROKEN as error:
        raise progress.broken() from error
