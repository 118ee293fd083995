"""The cells of the table: each fault met at each door, in each delivery, alone and with a healthy second candidate.

A router for each way serves them all, many at a time. Each cell has providers, candidates and a route of its own, so
that no breaker and no count is shared.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import certifi
import httpx
import yaml

import served_router
from faults import certificates
from faults.faults import ATTEMPT_S, FAULTS, FIRST_TOKEN_S, IDLE_S, Expected, Fault, Line
from integration.tables import LEDGER_TABLE
from llm_router import journal_items, tls
from llm_router.usage import UsageRecord
from served_router import ServedRouter, decoded, priced
from streaming_provider import StreamingProvider, StreamingServer, says

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

AT_A_TIME = 16
SECOND_TEXT = "Second, whole."
PRICES = {"first": (0.05, 0.1), "second": (5, 10)}
EXACT_USD = {"first": Decimal("0.000001"), "second": Decimal("0.0001")}
"""Of the tokens that the scripts report, at these prices."""

GENERATE, CHAT = "/generate", "/v1/chat/completions"
UNSTREAMED, VERIFIED, LIVE = "unstreamed", "verified", "live"
Way = tuple[str, str]
WAYS: tuple[Way, ...] = ((GENERATE, UNSTREAMED), (CHAT, UNSTREAMED), (CHAT, VERIFIED), (CHAT, LIVE))


@dataclass(frozen=True)
class Cell:
    number: int
    fault: Fault
    door: str
    delivery: str
    several: bool

    @property
    def route(self) -> str:
        return f"c{self.number}"

    @property
    def providers(self) -> tuple[str, ...]:
        return (f"{self.route}-first", f"{self.route}-second") if self.several else (f"{self.route}-first",)

    @property
    def label(self) -> str:
        return f"{self.fault.name}: {self.door}, {self.delivery}, {'several' if self.several else 'alone'}"

    @property
    def expected(self) -> Expected:
        return self.fault.expected(several=self.several, live=self.delivery == LIVE)


CELLS = tuple(
    Cell(number, fault, door, delivery, several)
    for number, (fault, (door, delivery), several) in enumerate(itertools.product(FAULTS, WAYS, (False, True)))
)


@dataclass(frozen=True)
class Seen:
    """What a caller got: an answer's text, or an error; `is_clean` says that it looked like a whole answer."""

    status: int
    headers: httpx.Headers
    text: str
    error: Mapping[str, Any] | None
    attempts: Sequence[Mapping[str, Any]]
    cost: Decimal | None
    is_clean: bool
    broke_off: bool
    body: str
    seconds: float

    @property
    def end(self) -> str:
        """In a word or two, for the table."""
        if self.is_clean:
            return "whole"
        code = (self.error or {}).get("code", "no error")
        return f"error event {code}" if self.status == 200 else f"{self.status} {code}"


@dataclass(frozen=True)
class Result:
    """The last request of a cell, its record, how many requests of it each provider saw, and all requests' ends."""

    cell: Cell
    seen: Seen
    record: UsageRecord
    calls: tuple[int, ...]
    earlier: tuple[Seen, ...]


class Table:
    """Meets every cell; `results` are there after `fill`."""

    def __init__(
        self,
        routers: Mapping[Way, ServedRouter],
        providers: Mapping[str, StreamingProvider],
        dynamodb: DynamoDBClient,
    ) -> None:
        self._routers = routers
        self._providers = providers
        self._dynamodb = dynamodb
        self.seconds = 0.0
        self.requests = 0

    def fill(self) -> dict[Cell, Result]:
        started_s = time.monotonic()
        delicate = [self._met(cell) for cell in CELLS if cell.fault.is_delicate]
        longest_first = sorted(
            (cell for cell in CELLS if not cell.fault.is_delicate), key=lambda cell: -(cell.fault.limit_s or 0)
        )
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            rest = list(pool.map(self._met, longest_first))
        self.seconds = time.monotonic() - started_s
        records = {record.request_id: record for record in self._records()}
        self.requests = len(records)
        met = [*delicate, *rest]
        return {
            cell: Result(cell, seen, records[seen.headers["x-request-id"]], calls, earlier)
            for cell, seen, calls, earlier in met
        }

    def _records(self) -> Iterator[UsageRecord]:
        for page in self._dynamodb.get_paginator("scan").paginate(TableName=LEDGER_TABLE):
            yield from (
                journal_items.record_of(item) for item in page["Items"] if item["pk"]["S"].startswith("journal#")
            )

    def _met(self, cell: Cell) -> tuple[Cell, Seen, tuple[int, ...], tuple[Seen, ...]]:
        earlier = tuple(self._ask(cell) for _ in range(cell.fault.before))
        before = self._calls(cell)
        seen = self._ask(cell)
        calls = tuple(after - was for after, was in zip(self._calls(cell), before, strict=True))
        return cell, seen, calls, earlier

    def _calls(self, cell: Cell) -> tuple[int, ...]:
        return tuple(len(self._providers[name].calls) for name in cell.providers)

    def _ask(self, cell: Cell) -> Seen:
        router, started_s = self._routers[cell.door, cell.delivery], time.monotonic()
        if cell.door == GENERATE:
            response = router.client.post(GENERATE, json={"prompt": "Hello", "model": cell.route})
            return _in_one_piece(response, started_s, lambda body: (body["response"], body["cost"]))
        if cell.delivery == UNSTREAMED:
            response = router.ask(model=cell.route)
            return _in_one_piece(response, started_s, _chat_text)
        headers = {"x-router-delivery": cell.delivery}
        asked = served_router.request(stream=True, model=cell.route)
        with router.client.stream("POST", CHAT, json=asked, headers=headers) as response:
            if response.status_code != 200:
                response.read()
                return _in_one_piece(response, started_s, _chat_text)
            return _streamed(served_router.OpenStream(response).rest(), started_s)


def _chat_text(body: Mapping[str, Any]) -> tuple[str, Decimal]:
    return body["choices"][0]["message"]["content"], body["usage"]["cost"]


def _in_one_piece(
    response: httpx.Response, started_s: float, read: Callable[[Mapping[str, Any]], tuple[str, Decimal]]
) -> Seen:
    body = decoded(response.text)
    is_clean = response.status_code == 200
    text, cost = read(body) if is_clean else ("", None)
    return Seen(
        status=response.status_code,
        headers=response.headers,
        text=text,
        error=body.get("error"),
        attempts=body.get("attempts", []),
        cost=cost,
        is_clean=is_clean,
        broke_off=False,
        body=response.text,
        seconds=time.monotonic() - started_s,
    )


def _streamed(stream: served_router.Streamed, started_s: float) -> Seen:
    told = next((chunk for chunk in stream.chunks if "error" in chunk), {})
    return Seen(
        status=stream.status,
        headers=stream.headers,
        text=stream.text,
        error=stream.error,
        attempts=told.get("attempts", []),
        cost=stream.usages[-1]["cost"] if stream.usages else told.get("x_router", {}).get("cost_usd"),
        is_clean=stream.is_done,
        broke_off=stream.broke_off,
        body="\n".join(stream.data),
        seconds=time.monotonic() - started_s,
    )


# The servers, and the router before them.


@contextmanager
def met(folder: Path, dynamodb: DynamoDBClient) -> Iterator[Table]:
    """The routers with every cell's providers behind them. Needs the tables."""
    trusted, stranger = certificates.authority(folder / "trusted"), certificates.authority(folder / "stranger")
    contexts = {
        Line.TLS: trusted.context(certificates.LOOPBACK),
        Line.TLS_OF_ANOTHER_NAME: trusted.context(certificates.ELSEWHERE),
        Line.TLS_OF_A_STRANGER: stranger.context(certificates.LOOPBACK),
    }
    with ExitStack() as open_things:
        street = _Street(open_things, contexts)
        street.move_in(CELLS)
        # The only way in: the library trusts this file's authorities and no environment variable.
        open_things.enter_context(mock.patch.object(certifi, "where", return_value=str(trusted.file)))
        tls.context.cache_clear()
        open_things.callback(tls.context.cache_clear)
        routers = {}
        for number, way in enumerate(WAYS):
            file = folder / f"providers-{number}.yaml"
            cells = [cell for cell in CELLS if (cell.door, cell.delivery) == way]
            file.write_text(yaml.safe_dump(street.configuration(cells)))
            routers[way] = open_things.enter_context(served_router.serving(file, street.shared))
        yield Table(routers, street.providers, dynamodb)


class _Street:
    """Where each provider is reached."""

    def __init__(self, open_things: ExitStack, contexts: Mapping[Line, ssl.SSLContext]) -> None:
        self._open_things = open_things
        self._contexts = contexts
        self.shared = self._serving(None)
        self.providers: dict[str, StreamingProvider] = {}
        self._urls: dict[str, str] = {}

    def move_in(self, cells: Sequence[Cell]) -> None:
        """A line of its own is each cell's own: a connection that another has left would tell of another fault."""
        for cell in cells:
            first, *second = cell.providers
            is_shared = cell.fault.line is Line.SHARED
            server = self.shared if is_shared else self._serving(self._contexts.get(cell.fault.line))
            self._add(first, cell.fault, server)
            for name in second:
                self.providers[name] = self.shared.add(name, says(SECOND_TEXT))
                self._urls[name] = self.shared.base_url(name)

    def configuration(self, cells: Sequence[Cell]) -> dict[str, object]:
        return {
            "providers": [self._entry(cell, at, name) for cell in cells for at, name in enumerate(cell.providers)],
            "routes": {
                cell.route: {
                    "candidates": [f"{name}/model" for name in cell.providers],
                    "timeout_s": cell.fault.request_s,
                }
                for cell in cells
            },
        }

    def _add(self, name: str, fault: Fault, server: StreamingServer) -> None:
        self.providers[name] = server.add(name, fault.script)
        url = server.base_url(name)
        if fault.line is Line.NOBODY_LISTENS:
            url = f"http://127.0.0.1:{self._closed_port()}/v1"
        elif fault.line in self._contexts:
            url = url.replace("http://", "https://")
        self._urls[name] = url

    def _closed_port(self) -> int:
        """Bound, so that nobody else takes it, and not listened at."""
        bound = self._open_things.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])

    def _entry(self, cell: Cell, at: int, name: str) -> dict[str, object]:
        place = ("first", "second")[at]
        model = priced(usd=PRICES[place], context_window=cell.fault.windows[at])
        entry: dict[str, object] = {"name": name, "base_url": self._urls[name], "auth": "none", "models": [model]}
        if place == "first":
            model |= {"first_token_timeout_s": FIRST_TOKEN_S, "idle_timeout_s": IDLE_S}
            entry["timeout_s"] = ATTEMPT_S
        return entry

    def _serving(self, context: ssl.SSLContext | None) -> StreamingServer:
        server = self._open_things.enter_context(StreamingServer())
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        self._open_things.callback(thread.join)
        self._open_things.callback(server.shutdown)
        return server
