"""Looks at the totals while everything moves: they may never fall, nor be ahead of what was asked and billed."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

import simplejson

from infra.local.aws_resources import LEDGER_TABLE
from infra.proof import ledgers
from infra.proof.ledgers import Ledgers
from infra.proof.members import Member, Members
from llm_router import figures
from llm_router.errors import StoreError

EVERY_S = 2.0
ANSWERED_WITHIN_S = 15.0

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

GROWING = ("totalRequests", "totalTokens", "totalCost")
"""Estimates are replaced by what was paid only when the log is replayed, so until then the cost grows too."""


@dataclass(slots=True)
class Polls:
    """The figures of one router after the other, through all that goes on."""

    members: Members
    answered: int = 0
    looked: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    _last: Mapping[str, Any] = field(default_factory=dict)
    _turn: cycle[Member] = field(init=False)
    _direct: Ledgers = field(init=False)

    def __post_init__(self) -> None:
        self._turn = cycle(self.members.routers)
        client = ledgers.patient_client(self.members.emulator.url)
        self._direct = ledgers.opened(client, table=LEDGER_TABLE, ahead=timedelta())

    def asked(self) -> int:
        """How many requests the callers had begun by now."""
        return sum(path.read_bytes().count(b"\n") for path in self.members.folder.glob("*.asked"))

    def billed(self) -> int:
        return self.members.bills.read_bytes().count(b"\n") if self.members.bills.exists() else 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """In a thread of its own, as a look takes as long as it takes."""
        has_ended = threading.Event()

        def look() -> None:
            while not has_ended.wait(EVERY_S):
                self._poll()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()

    def _poll(self) -> None:
        """Where a router can't be asked, it is asked of DynamoDB itself, past the door, as a router would."""
        try:
            body = stats(next(self._turn).url)
            self.answered += 1
        except OSError:  # the router is being started, or DynamoDB has one of its fits
            self.refused += 1
            with suppress(StoreError):
                self._hold(figures.document(self._direct.statistics.figures()))
                self.looked += 1
            return
        self._hold(body)

    def _hold(self, body: Mapping[str, Any]) -> None:
        for name in GROWING:
            before, now = Decimal(self._last.get(name) or 0), Decimal(body[name] or 0)
            if now < before:
                self.problems.append(f"{name} fell from {before} to {now}")
        asked, billed = self.asked(), self.billed()
        if body["totalRequests"] + body["pending"] > asked:
            self.problems.append(f"{body['totalRequests']} requests and {body['pending']} pending, {asked} asked")
        if body["requestCounts"]["success"] > billed:
            self.problems.append(f"{body['requestCounts']['success']} successes, {billed} billed")
        self._last = body


def stats(url: str) -> Mapping[str, Any]:
    """Raises OSError."""
    with _DIRECT.open(f"{url}/stats", timeout=ANSWERED_WITHIN_S) as answer:
        found: Mapping[str, Any] = simplejson.loads(answer.read(), use_decimal=True)
        return found
