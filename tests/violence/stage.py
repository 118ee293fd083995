"""One router at a time, between a provider and a DynamoDB of which each step can be made to do something.

The provider and the door to DynamoDB run in a thread of the test's own process, so that what a test does at a step is
done before the next one is made.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from infra.local import processes
from infra.local.aws_resources import LEDGER_TABLE, STATE_TABLE
from infra.proof import callers, judge, ledgers, logs, provider, sums, tariff
from infra.proof.door import Door, Step, standing
from infra.proof.judge import NONCE, Evidence, Verdict
from infra.proof.members import Member, Surroundings
from infra.proof.messages import Message
from infra.proof.provider import Moment, Providers
from infra.proof.scripts import Script
from infra.proof.tariff import Books
from infra.proof.weather import Fault
from llm_router.usage import UsageRecord

CANDIDATE = "north/small"
QUIET_WITHIN_S = 30.0
WORD_S = 0.01
SHARDS = 2
PATHS = ('"path":"/generate"', '"path":"/v1/chat/completions"')


@dataclass(slots=True)
class Once:
    """Does something at the first step that is the one."""

    is_it: Callable[..., bool]
    do: Callable[[], object]
    is_done: bool = False

    def __call__(self, *step: object) -> None:
        if not self.is_done and self.is_it(*step):
            self.is_done = True
            self.do()


@dataclass(frozen=True, slots=True)
class Write:
    """The `number`th call of an operation on the ledger since the case began, and how far it has come."""

    operation: str
    number: int
    step: Step


@dataclass(slots=True)
class Stage:
    """`routers` take turns: while one is being started, the other one serves."""

    providers: Providers
    door: Door
    surroundings: Surroundings
    dynamodb: object
    bills: Path
    routers: list[Member] = field(default_factory=list)
    caller: socket.socket | None = None
    nonces: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _seen: dict[tuple[str, Step], int] = field(default_factory=dict)
    _logged_before: int = 0

    @property
    def router(self) -> Member:
        return self.routers[0]

    def begin(self) -> None:
        """A new case: no faults, whole answers, nobody watching."""
        self.providers.choose, self.providers.watch = (lambda *_: Script.WHOLE), (lambda _: None)
        self.door.decide = lambda _: Fault.NONE
        self.door.watch = lambda *_: None
        self.nonces.clear()
        self._seen.clear()
        if self.router.child.has_ended:
            self.router.stop()
            self.router.start()
            self.routers.reverse()
        self.router.await_answer("/health")
        self.dynamodb.delete_item(TableName=STATE_TABLE, Key={"pk": {"S": "fleet"}})
        processes.until(self._are_breakers_closed, limit_s=QUIET_WITHIN_S)
        self._logged_before = self._requests_logged()

    def at(self, moment: Moment, do: Callable[[], object]) -> None:
        self.providers.watch = Once(lambda now: now is moment, do)

    def at_write(self, write: Write, do: Callable[[], object]) -> None:
        self.door.watch = Once(lambda step, message: self._is(write, step, message), do)

    def fails(self, operation: str, number: int, fault: Fault, *, for_ever: bool) -> None:
        """From the `number`th call of an operation on the ledger on: that one alone, or all."""
        calls = itertools.count(1)

        def decide(message: Message) -> Fault:
            if not _is_of_ledger(message) or message.operation != operation:
                return Fault.NONE
            called = next(calls)
            return fault if called == number or (for_ever and called > number) else Fault.NONE

        self.door.decide = decide

    def kill(self) -> None:
        os.kill(self.router.child.process.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        if self.caller:
            self.caller.shutdown(socket.SHUT_RDWR)

    def ask(
        self,
        door: callers.Door,
        *,
        model: str = CANDIDATE,
        at_first_byte: Callable[[], object] = lambda: None,
    ) -> bytes:
        """All that the caller gets until one of the two hangs up."""
        nonce = f"case-{next(self._numbers)}"
        self.nonces.append(nonce)
        request = callers.Request(nonce, door, model, cap=None)
        received = bytearray()
        with socket.create_connection(("127.0.0.1", urlsplit(self.router.url).port)) as self.caller:
            self.caller.sendall(request.raw())
            try:
                while data := self.caller.recv(65536):
                    if not received:
                        at_first_byte()
                    received += data
            except ConnectionError:
                pass
        self.caller = None
        return bytes(received)

    def aggregate(self, *, ahead: timedelta = ledgers.PAST_ALL_DEADLINES) -> None:
        """Beside all that goes on, past the door."""
        ledgers.settle_orphans(self._opened(ahead))

    def verdict(self) -> Verdict:
        """Of this case, when all of it is over: the log replayed, orphans given up, the sums added up."""
        self.await_quiet()
        opened = self._opened(ledgers.PAST_ALL_DEADLINES)
        logs.replay(self.logged(), self._opened(timedelta()).ledger, clock=ledgers.clock())
        ledgers.settle_orphans(opened)
        verdict = judge.judged(Evidence(self.billed(), self.recorded()))
        walked = sums.by_hand(opened.items())
        for place, known in sums.of_rollups(opened.checkpoints):
            verdict.problems += sums.differences(place, known, walked.whole)
        verdict.problems += sums.of_candidates(opened.checkpoints, walked)
        return verdict

    def recorded(self) -> list[UsageRecord]:
        records = self._opened(timedelta()).records()
        return [record for record in records if record.metadata[NONCE] in self.nonces]

    def billed(self) -> list[tariff.Bill]:
        return [bill for bill in tariff.read(self.bills) if bill.nonce in self.nonces]

    def logged(self) -> list[str]:
        """What the logs say of this case."""
        lines = logs.lines(path for router in self.routers for path in router.logs())
        return [line for line in lines if any(nonce in line for nonce in self.nonces)]

    def await_quiet(self) -> None:
        """The router has ended, or has written its line on each request; nothing is on its way to the table."""

        def is_quiet() -> bool:
            has_told = self._requests_logged() - self._logged_before >= len(self.nonces)
            return (has_told or self.router.child.has_ended) and not self.door.is_busy

        processes.until(is_quiet, limit_s=QUIET_WITHIN_S)

    def _are_breakers_closed(self) -> bool:
        url = f"{self.router.url}/providers"
        with urllib.request.urlopen(url, timeout=QUIET_WITHIN_S) as answer:  # noqa: S310  # our own router
            return all(each["state"] == "closed" for each in json.load(answer)["candidates"])

    def _requests_logged(self) -> int:
        lines = logs.lines(self.router.logs())
        return sum('"event":"request"' in line and any(path in line for path in PATHS) for line in lines)

    def _opened(self, ahead: timedelta) -> ledgers.Ledgers:
        return ledgers.opened(self.dynamodb, table=LEDGER_TABLE, ahead=ahead, shards=SHARDS)

    def _is(self, write: Write, step: Step, message: Message) -> bool:
        if not _is_of_ledger(message):
            return False
        seen = self._seen[message.operation, step] = self._seen.get((message.operation, step), 0) + 1
        return (message.operation, seen, step) == (write.operation, write.number, write.step)


def _is_of_ledger(message: Message) -> bool:
    return f'"{LEDGER_TABLE}"'.encode() in message.body


@contextmanager
def built(folder: Path, aws_url: str) -> Iterator[Stage]:
    bills = folder / "bills.jsonl"
    providers = Providers(Books(bills), lambda *_: Script.WHOLE, word_s=WORD_S)
    door = Door(aws_url)
    with _in_a_thread(providers, door):
        surroundings = Surroundings(folder, aws_url, door.url, providers.base_url, shards=SHARDS)
        stage = Stage(providers, door, surroundings, ledgers.patient_client(aws_url), bills)
        stage.routers = [surroundings.router(number) for number in range(2)]
        try:
            for router in stage.routers:
                router.start()
            yield stage
        finally:
            for router in stage.routers:
                router.stop()
                router.sock.close()


@contextmanager
def _in_a_thread(providers: Providers, door: Door) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = AsyncExitStack()

    async def open_both() -> None:
        await stack.enter_async_context(provider.serving(providers))
        await stack.enter_async_context(standing(door))

    try:
        asyncio.run_coroutine_threadsafe(open_both(), loop).result()
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_all_over(stack), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _all_over(stack: AsyncExitStack) -> None:
    await stack.aclose()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
