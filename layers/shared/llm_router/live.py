"""Streams an answer to a caller: held until its first content, then passed on as it comes, closed when it is proven.

A break after the first content ends the stream with an error event and without `[DONE]`, never with a clean end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from llm_router import completions, http_responses, json_text
from llm_router.dispatcher import RequestFailedError
from llm_router.errors import AbandonedError, CallerError
from llm_router.trials import Answer, Served, ShowTo
from llm_router.usage import UsageRecord

KEEP_ALIVE_S = 15.0
"""How long nothing may come before a comment says that the stream lives. Past it an error can only be an event."""

TAKEN_WITHIN_S = 60.0
"""How long a caller may leave an event untaken once the answer is settled; then its connection is closed."""

Dispatch = Callable[[ShowTo | None], Awaitable[Answer]]


@dataclass(slots=True)
class _Line:
    """The way to the caller; one writer at a time. `told` are the facts that its headers could tell."""

    send: Send
    turn: asyncio.Lock
    is_open: bool = False
    told: frozenset[str] = frozenset()

    def late(self, facts: Mapping[str, object]) -> dict[str, object]:
        """Those that the headers have not told, and can tell no more."""
        return {name: value for name, value in facts.items() if self.is_open and name not in self.told}

    async def open(self, facts: Mapping[str, object]) -> None:
        if self.is_open:
            return
        self.is_open, self.told = True, frozenset(facts)
        headers = http_responses.router_headers(facts)
        sent = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        await self.send({"type": "http.response.start", "status": 200, "headers": raw})

    async def write(self, data: bytes, facts: Mapping[str, object]) -> None:
        async with self.turn:
            await self.open(facts)
            await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, events: Sequence[bytes], facts: Mapping[str, object]) -> None:
        """The last events and the end. A caller that does not read is not waited for for ever."""
        with suppress(TimeoutError):
            for event in events:
                async with asyncio.timeout(TAKEN_WITHIN_S):
                    await self.write(_event(event), facts)
            async with asyncio.timeout(TAKEN_WITHIN_S):
                await self.send({"type": "http.response.body", "body": b"", "more_body": False})


class LiveResponse(Response):
    """`is_live` is false where the whole is proven before its first event leaves."""

    def __init__(self, dispatch: Dispatch, *, is_live: bool, wants_usage: bool) -> None:
        self._dispatch = dispatch
        self._is_live = is_live
        self._wants_usage = wants_usage
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = _Line(send, asyncio.Lock())

        async def show(data: bytes, served: Served) -> None:
            await line.write(_event(data), {} if line.is_open else http_responses.served_facts(served))

        answering = asyncio.ensure_future(self._dispatch(show if self._is_live else None))
        try:
            await _attend(answering, line, receive)
            answer = answering.result()
        except RequestFailedError as failed:
            _note(scope, failed.record, failed.error)
            await self._fail(failed, line, scope, receive)
            return
        except asyncio.CancelledError:
            if answering.cancelled():  # the caller was gone before anything was sent upstream
                return
            raise
        except CallerError as error:
            if line.is_open:
                _note(scope, None, error)
                await _break_off(line, error, scope=scope)
                return
            raise
        _note(scope, answer.record)
        facts = http_responses.answer_facts(answer)
        await line.finish(self._ending(answer, late=line.late(facts)), facts)

    async def _fail(self, failed: RequestFailedError, line: _Line, scope: Scope, receive: Receive) -> None:
        if not line.is_open:
            await http_responses.failed(failed.error, failed.record)(scope, receive, line.send)
            return
        await _break_off(line, failed.error, failed.record, scope=scope)

    def _ending(self, answer: Answer, *, late: Mapping[str, object]) -> list[bytes]:
        """The events from the finish reasons on, with the usage and the cost where the caller looks for them."""
        usage = completions.usage(answer.record.attempts[-1].tokens, answer.record.cost, answer.completion.get("usage"))
        told = http_responses.told(answer.record, late=late)
        shown = self._is_live and answer.closing
        chunks = [_chunk(data) for data in answer.closing] if shown else completions.as_chunks(answer.completion)
        if self._wants_usage:
            frame = {name: value for name, value in chunks[-1].items() if name not in ("choices", "usage")}
            chunks = [{**chunk, "usage": None} for chunk in chunks] + [{**frame, "choices": [], "usage": usage, **told}]
        else:
            chunks[-1] = {**chunks[-1], "usage": usage, **told}
        return [*(json_text.encode(chunk) for chunk in chunks), b"[DONE]"]


async def _break_off(line: _Line, error: CallerError, record: UsageRecord | None = None, *, scope: Scope) -> None:
    """The end of a stream that has begun and cannot be whole."""
    event = http_responses.error_event(error, record, request_id=scope["state"]["request_id"]())
    await line.finish([json_text.encode(event)], {})


async def _attend(answering: asyncio.Future[Answer], line: _Line, receive: Receive) -> None:
    """Wait for the answer; keep the line alive, and call the work off when the caller hangs up."""
    hanging_up = asyncio.ensure_future(_hang_up(receive))
    both: set[asyncio.Future[Any]] = {answering, hanging_up}
    try:
        while not answering.done():
            await asyncio.wait(both, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
            if hanging_up.done() and not answering.done():
                answering.cancel()
                await asyncio.wait({answering})
            if not answering.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        await line.write(b": waiting\n\n", {})
    finally:
        hanging_up.cancel()
        await asyncio.wait({hanging_up})


async def in_one_piece(dispatch: Dispatch, receive: Receive) -> Answer:
    """The whole answer, for a caller who asked for no stream. Nobody pays on for one who has hung up.

    OpenAI's SDKs ask again after a time-out of their own: what went on then would be paid for once more each time.
    Raises AbandonedError where nothing had been sent upstream.
    """
    answering = asyncio.ensure_future(dispatch(None))
    hanging_up = asyncio.ensure_future(_hang_up(receive))
    both: set[asyncio.Future[Any]] = {answering, hanging_up}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for work in both:
            work.cancel()  # of no effect on what is done
        await asyncio.wait(both)
    if answering.cancelled():
        raise AbandonedError("The caller hung up before anything was sent upstream.")
    return answering.result()


async def _hang_up(receive: Receive) -> None:
    message: Message = {"type": "http.request"}
    while message["type"] != "http.disconnect":
        message = await receive()


def _event(data: bytes) -> bytes:
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _chunk(data: bytes) -> dict[str, object]:
    chunk = json_text.decode(data)
    return chunk if isinstance(chunk, dict) else {}


def _note(scope: Scope, record: UsageRecord | None, error: CallerError | None = None) -> None:
    """For the line in the log."""
    state = scope.setdefault("state", {})
    state["record"] = record
    state["error_code"] = error.code if error else None
