"""Providers that misbehave and keep their own count of what they bill.

A call is billed, in full, from the moment its whole body is here and it was not refused: before a byte of the answer
leaves, whether or not anybody is there to read it. That is the worst that a provider does, so nothing that the router
may be charged for goes uncounted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.local import processes
from infra.proof import messages, scripts
from infra.proof.scripts import Script
from infra.proof.tariff import BY_CANDIDATE, MOST_TOKENS, Bill, Books, Offer

WORD_S = 0.01
SLOW_WORD_S = 0.05
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Moment(StrEnum):
    """Of a call, as its provider sees it."""

    CONNECTED = "the connection is there"
    HEAD = "the head is read"
    BODY = "the body is read, and billed"
    BEGUN = "the answer's head is sent"
    FIRST = "the first word is sent"
    MIDDLE = "half of the words are sent"
    USAGE = "the usage is sent"
    DONE = "the end is sent"


@dataclass(frozen=True, slots=True)
class Call:
    """`nonce` is the first word of its prompt."""

    nonce: str
    offer: Offer
    is_streamed: bool
    cap: int


Choose = Callable[[Call, int], Script]
Watch = Callable[[Moment], None]


def _unwatched(_: Moment) -> None:
    pass


@dataclass(slots=True)
class Providers:
    """All offers behind one address. `watch` is told of each step before the next is made."""

    books: Books
    choose: Choose
    watch: Watch = _unwatched
    word_s: float = WORD_S
    base_url: str = ""
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.watch(Moment.CONNECTED)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._is_kept(reader, writer):
                pass
        writer.close()

    async def _is_kept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await messages.read_head(reader)
        if head is None:
            return False
        self.watch(Moment.HEAD)
        message = messages.Message(head, await messages.read_body(reader, head))
        call = _call(message)
        if call.is_streamed and not call.offer.streams:
            writer.write(_refusal("400 Bad Request", "unsupported_parameter", param="stream"))
            return True
        self._asked[call.nonce, call.offer.candidate] += 1
        script = self.choose(call, self._asked[call.nonce, call.offer.candidate])
        if script in scripts.REFUSALS:
            writer.write(_refusal(*scripts.REFUSALS[script]))
            return True
        bill = _bill(call, script, self.books.count + 1)
        self.books.write(bill)
        self.watch(Moment.BODY)
        if script is Script.SILENT:
            await reader.read()  # until the other side hangs up
            return False
        answer = self._stream if call.is_streamed else self._whole
        return await answer(call, bill, script, reader, writer)

    async def _stream(
        self, call: Call, bill: Bill, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        pause_s = SLOW_WORD_S if script is Script.SLOW else self.word_s
        await _send(writer, STREAM_HEAD)
        self.watch(Moment.BEGUN)
        for number in range(1, bill.completion + 1):
            if script in (Script.CUT, Script.STALL) and number > bill.completion // 2:
                return await _broken_off(script, reader)
            await _send(writer, _event({"choices": [_delta(content=f" word{number}")]}, call))
            if number == 1:
                self.watch(Moment.FIRST)
            if number == bill.completion // 2:
                self.watch(Moment.MIDDLE)
            await asyncio.sleep(pause_s)
        reason = "content_filter" if script is Script.FILTERED else "stop"
        await _send(writer, _event({"choices": [_delta(reason)]}, call))
        if bill.says_usage:
            await _send(writer, _event({"choices": [], "usage": _usage(bill)}, call))
            self.watch(Moment.USAGE)
        await _send(writer, _chunk(b"data: [DONE]\n\n") + _chunk(b""))
        self.watch(Moment.DONE)
        return True

    async def _whole(
        self, call: Call, bill: Bill, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await asyncio.sleep(bill.completion * (SLOW_WORD_S if script is Script.SLOW else self.word_s))
        text = "".join(f" word{number}" for number in range(1, bill.completion + 1))
        reason = "content_filter" if script is Script.FILTERED else "stop"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        usage = {"usage": _usage(bill)} if bill.says_usage else {}
        body = {"id": call.nonce, "object": "chat.completion", "model": call.offer.model, "choices": [choice], **usage}
        whole = messages.response("200 OK", json.dumps(body).encode())
        half = whole.index(b"\r\n\r\n") + 4 + len(text) // 2
        await _send(writer, whole[:half])
        self.watch(Moment.MIDDLE)
        if script in (Script.CUT, Script.STALL):
            return await _broken_off(script, reader)
        await _send(writer, whole[half:])
        self.watch(Moment.DONE)
        return True


@asynccontextmanager
async def serving(providers: Providers, *, sock: socket.socket | None = None) -> AsyncIterator[Providers]:
    taken = sock or processes.listening("127.0.0.1", 0)
    server = await asyncio.start_server(providers.meet, sock=taken, backlog=512)
    providers.base_url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    try:
        yield providers
    finally:
        server.close()


def by_seed(seed: int) -> Choose:
    return lambda call, number: scripts.drawn(seed, call.nonce, call.offer.candidate, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--bills", type=Path, required=True, help="where its own count is kept")
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    providers = Providers(Books(arguments.bills), by_seed(arguments.seed))
    asyncio.run(_serve(providers, arguments.fd))


async def _serve(providers: Providers, fd: int) -> None:
    async with serving(providers, sock=socket.socket(fileno=fd)):
        await asyncio.Event().wait()


def _call(message: messages.Message) -> Call:
    asked: dict[str, Any] = json.loads(message.body)
    offer = BY_CANDIDATE[f"{message.path.split('/')[1]}/{asked['model']}"]
    nonce = str(asked["messages"][-1]["content"]).split()[0]
    cap = min(MOST_TOKENS, int(asked.get("max_tokens") or asked.get("max_completion_tokens") or MOST_TOKENS))
    return Call(nonce, offer, bool(asked.get("stream")), cap)


def _bill(call: Call, script: Script, number: int) -> Bill:
    """Counts of the provider's own choosing, within what the request allows: a token of a prompt is a byte at least."""
    chance = random.Random(f"{call.nonce}/{call.offer.candidate}")  # noqa: S311  # to be told again
    prompt = chance.randint(8, 40)
    cached = chance.choice([0, 0, chance.randint(1, prompt)])
    completion = chance.randint(2, call.cap)
    usd = call.offer.usd(prompt=prompt, cached=cached, completion=completion)
    is_whole = script in (Script.WHOLE, Script.SLOW, Script.NO_USAGE, Script.FILTERED)
    says = is_whole and script is not Script.NO_USAGE
    return Bill(number, call.nonce, call.offer.candidate, prompt, cached, completion, usd, script, says, is_whole)


def _usage(bill: Bill) -> dict[str, object]:
    return {
        "prompt_tokens": bill.prompt,
        "completion_tokens": bill.completion,
        "total_tokens": bill.prompt + bill.completion,
        "prompt_tokens_details": {"cached_tokens": bill.cached},
    }


def _delta(finish: str | None = None, **parts: str) -> dict[str, object]:
    return {"index": 0, "delta": parts, "finish_reason": finish}


def _event(fields: dict[str, object], call: Call) -> bytes:
    frame = {"id": call.nonce, "object": "chat.completion.chunk", "model": call.offer.model, **fields}
    return _chunk(b"data: " + json.dumps(frame).encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _refusal(status: str, code: str | None, *, param: str | None = None) -> bytes:
    error = {"message": "told by the provider", "type": "t", "param": param, "code": code}
    retry = ("retry-after: 1",) if status.startswith("429") else ()
    return messages.response(status, json.dumps({"error": error}).encode(), *retry)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _broken_off(script: Script, reader: asyncio.StreamReader) -> bool:
    """The connection is closed, at once or when the other side has had enough of the silence."""
    if script is Script.STALL:
        await reader.read()
    return False


if __name__ == "__main__":
    main()
