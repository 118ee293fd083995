"""A door between the router's processes and the emulated DynamoDB, at which calls can fail in every way they do.

Each call passes through three steps: it has arrived, it has been applied, it has been acknowledged. A fault is what
happens instead of going on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from infra.local import processes
from infra.proof import messages
from infra.proof.messages import Message
from infra.proof.weather import Fault, Weather

LATER_S = 2.5
"""Longer than the router's clients wait for an answer (2 s): what they have given up is applied all the same."""


class Step(StrEnum):
    ARRIVED = "arrived"
    APPLIED = "applied, not acknowledged"
    ACKNOWLEDGED = "acknowledged"


Decide = Callable[[Message], Fault]
Watch = Callable[[Step, Message], None]

_ERRORS = {
    Fault.ERROR: ("500 Internal Server Error", "InternalServerError"),
    Fault.THROTTLED: ("400 Bad Request", "ThrottlingException"),
}


def _no_fault(_: Message) -> Fault:
    return Fault.NONE


def _unwatched(_: Step, __: Message) -> None:
    pass


@dataclass(slots=True)
class Door:
    """`decide` says what becomes of a call; `watch` is told of each step before the next is made."""

    upstream: str
    decide: Decide = _no_fault
    watch: Watch = _unwatched
    later_s: float = LATER_S
    url: str = ""
    _late: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_busy(self) -> bool:
        """Whether something that its client has given up is still to be applied."""
        return bool(self._late)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, with one of its own to the emulator."""
        behind: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        with suppress(OSError, asyncio.IncompleteReadError):
            while message := await messages.read(reader):
                self.watch(Step.ARRIVED, message)
                fault = self.decide(message)
                if fault in (Fault.CUT, Fault.DEAD):
                    break
                if fault in _ERRORS:
                    writer.write(_error(*_ERRORS[fault]))
                    continue
                if fault is Fault.LATE:
                    self._apply_later(message)
                    await reader.read()  # until the client has given up
                    break
                behind = behind or await self._connection()
                answer = await _passed_on(message, *behind)
                self.watch(Step.APPLIED, message)
                if fault is Fault.LOST:
                    break
                writer.write(answer)
                await writer.drain()
                self.watch(Step.ACKNOWLEDGED, message)
        if behind:
            behind[1].close()
        writer.close()

    def _apply_later(self, message: Message) -> None:
        task = asyncio.create_task(self._late_call(message))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _late_call(self, message: Message) -> None:
        await asyncio.sleep(self.later_s)
        reader, writer = await self._connection()
        await _passed_on(message, reader, writer)
        writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = urlsplit(self.upstream)
        return await asyncio.open_connection(address.hostname, address.port)


@asynccontextmanager
async def standing(door: Door, *, sock: socket.socket | None = None) -> AsyncIterator[Door]:
    taken = sock or processes.listening("127.0.0.1", 0)
    server = await asyncio.start_server(door.meet, sock=taken, backlog=512)
    door.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    try:
        yield door
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--upstream", required=True, help="the emulator's address")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calm", action="store_true", help="let every call pass")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    weather = Weather(arguments.seed)
    door = Door(arguments.upstream, _no_fault if arguments.calm else lambda _: weather.next_fault())
    asyncio.run(_stand(door, arguments.fd))


async def _stand(door: Door, fd: int) -> None:
    async with standing(door, sock=socket.socket(fileno=fd)):
        await asyncio.Event().wait()


async def _passed_on(message: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(message.head + message.body)
    await writer.drain()
    answer = await messages.read(reader)
    if answer is None:
        raise ConnectionResetError
    return answer.head + answer.body


def _error(status: str, kind: str) -> bytes:
    return messages.response(status, json.dumps({"__type": kind, "message": "told by the door"}).encode())


if __name__ == "__main__":
    main()
