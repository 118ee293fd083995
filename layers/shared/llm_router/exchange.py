"""One exchange with one candidate: sends the request, reads the answer as it comes, and says what it was.

Until something comes that a caller could see, the first-content limit counts, from when the request may go out; after
it, the silence between events and the request's deadline. `show` gets the data of events as they come; where there is
none, nothing is shown before the whole is judged.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from llm_router import cancellation
from llm_router.adapters import openai
from llm_router.adapters.openai_stream import StreamReader
from llm_router.transport import Progress, Transport, TransportError, UpstreamStream
from llm_router.upstream import Asked, Reading, UpstreamRequest, UpstreamResponse
from llm_router.usage import Outcome

ERROR_BYTES_AT_MOST = 1_000_000
"""How much of an error's body is read: more than any provider has to say, all of a failed answer at Groq included."""

ERROR_WITHIN_S = 1.0
"""How long an error's body is waited for: its status has said what matters."""

READ_OUT_WITHIN_S = 0.05
READ_OUT_BYTES_AT_MOST = 10_000
"""How long the end of a body is waited for whose answer is whole, and how much more may come before it."""

STREAM_BEGINS = (b"data:", b":", b"event:", b"id:")
"""A stream under another content type."""

Show = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """The candidate's own, in seconds: to the first content (of an answer in one piece, its first byte), of silence
    after it, and to the end of an answer in one piece. `before_content_s` is what the request has for it until there
    is something to show, `total_s` all that is left.
    """

    first_content_s: float
    one_piece_s: float
    idle_s: float
    before_content_s: float
    total_s: float


@dataclass(slots=True)
class _Patience:
    """When waiting ends, on the loop's clock, and whether that is the candidate's own limit or the request's."""

    timer: asyncio.Timeout
    is_the_candidates: bool = True

    def lasts(self, *, until: float, at_most: float) -> None:
        self.is_the_candidates = until <= at_most
        self.timer.reschedule(min(until, at_most))


@dataclass(slots=True)
class Exchange:
    """Used once.

    Afterwards `has_shown` says whether a caller has seen anything, `closing` holds the events that end the stream, and
    `progress` tells how far it came. `answers` is called at the first content. `is_showing` says that a caller has been
    given something and has not taken it yet.
    """

    transport: Transport
    request: UpstreamRequest
    limits: Limits
    asked: Asked = field(default_factory=Asked)
    show: Show | None = None
    answers: Callable[[], None] | None = None
    fresh: bool = False
    has_shown: bool = False
    is_showing: bool = False
    closing: tuple[bytes, ...] = ()
    progress: Progress = field(default_factory=Progress)

    async def read(self, *, before_body: Callable[[], Awaitable[None]], now: Callable[[], datetime]) -> Reading:
        """What became of it. Never raises for what the provider or the network does."""
        progress, limits, reader = self.progress, self.limits, StreamReader(self.asked)
        loop = asyncio.get_running_loop()
        began = loop.time()
        turn_ends = began + limits.before_content_s
        patience = _Patience(asyncio.timeout(None))

        async def allowed() -> None:
            """What the ledger takes is not the candidate's time."""
            asked_at = loop.time()
            patience.lasts(until=math.inf, at_most=turn_ends)
            await before_body()
            patience.lasts(until=began + limits.first_content_s + loop.time() - asked_at, at_most=turn_ends)

        try:
            async with patience.timer:
                patience.lasts(until=began + limits.first_content_s, at_most=turn_ends)
                async with self.transport.open(
                    self.request, before_body=allowed, progress=progress, fresh=self.fresh
                ) as response:
                    if response.status == 200 and _is_stream(response):
                        return await self._read_stream(response, reader, patience, began + limits.total_s)
                    return self._judge(await self._whole(response, patience, began), reader, now())
        except TimeoutError:
            failed = Reading(self._out_of_patience(patience), may_be_billed=progress.sent_body)
        except TransportError as error:
            if reader.is_done:
                return reader.reading(ended_cleanly=False)
            failed = Reading(error.outcome, may_be_billed=error.may_be_billed)
        except asyncio.CancelledError:
            cancellation.forget()
            failed = Reading(Outcome.ABANDONED, may_be_billed=progress.sent_body)
        arrived = reader.reading(ended_cleanly=False)
        return replace(arrived, outcome=failed.outcome, may_be_billed=failed.may_be_billed)

    async def _read_stream(
        self, response: UpstreamStream, reader: StreamReader, patience: _Patience, ends: float
    ) -> Reading:
        loop = asyncio.get_running_loop()
        held: list[bytes] = []
        async with aclosing(response.chunks(bytes_at_most=None)) as chunks:
            async for chunk in chunks:
                taken, had_content = reader.taken, reader.has_content
                events = reader.feed(chunk)
                held += events
                if reader.has_content:
                    if self.answers and not had_content:
                        self.answers()
                    if self.show and held:
                        await self._show(self.show, held, patience, ends)
                    elif reader.taken > taken:
                        patience.lasts(until=loop.time() + self.limits.idle_s, at_most=ends)
                    held.clear()
                if reader.is_done:
                    break
            reading = reader.reading(ended_cleanly=True)
            self.closing = (*held, *reader.closing)
            if reading.outcome is Outcome.SUCCESS:
                patience.timer.reschedule(None)
                await _read_out(chunks)
        return reading

    async def _whole(self, response: UpstreamStream, patience: _Patience, began: float) -> UpstreamResponse:
        """Of an answer in one piece silence can't be told from thinking, until its first byte."""
        loop, limits, body = asyncio.get_running_loop(), self.limits, bytearray()
        if response.status != 200:
            await _read_error(response, body)
            return UpstreamResponse(response.status, response.headers, bytes(body))
        async for chunk in response.chunks():
            body += chunk
            until = min(loop.time() + limits.idle_s, began + limits.one_piece_s)
            patience.lasts(until=until, at_most=began + limits.before_content_s)
        return UpstreamResponse(response.status, response.headers, bytes(body))

    def _judge(self, response: UpstreamResponse, reader: StreamReader, now: datetime) -> Reading:
        if response.status == 200 and response.body.lstrip().startswith(STREAM_BEGINS):
            reader.feed(response.body)
            return reader.reading(ended_cleanly=True)
        return openai.read(response, now=now, asked=self.asked)

    def _out_of_patience(self, patience: _Patience) -> Outcome:
        if self.is_showing:
            return Outcome.ABANDONED
        return Outcome.TIMEOUT if patience.is_the_candidates else Outcome.OUT_OF_TIME

    async def _show(self, show: Show, events: list[bytes], patience: _Patience, ends: float) -> None:
        """A caller that reads slowly is no silence of the provider's: only the deadline counts meanwhile."""
        loop = asyncio.get_running_loop()
        patience.timer.reschedule(ends)
        self.is_showing = True
        for data in events:
            self.has_shown = True
            await show(data)
        self.is_showing = False
        patience.lasts(until=loop.time() + self.limits.idle_s, at_most=ends)


def _is_stream(response: UpstreamStream) -> bool:
    """What the response says, not what was asked for: some providers answer in one piece all the same."""
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


async def _read_out(chunks: AsyncGenerator[bytes]) -> None:
    """A connection can be used again only when its answer is read to the last byte."""
    read = 0
    with suppress(TimeoutError, TransportError):
        async with asyncio.timeout(READ_OUT_WITHIN_S):
            async for chunk in chunks:
                read += len(chunk)
                if read > READ_OUT_BYTES_AT_MOST:
                    return


async def _read_error(response: UpstreamStream, body: bytearray) -> None:
    """As much as comes: an error whose body breaks off or stalls is still the error that its status says."""
    with suppress(TimeoutError, TransportError):
        async with asyncio.timeout(ERROR_WITHIN_S), aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > ERROR_BYTES_AT_MOST:
                    return
