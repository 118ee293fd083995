"""The router under a real uvicorn on this machine, with its tables on moto, for tests that stream."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
import httpx
import simplejson
import uvicorn
import yaml

import streaming_provider
from builders import VOCABULARY_DIR
from integration.conftest import LEDGER_TABLE, STATE_TABLE
from llm_router import journal_items, wiring
from llm_router.usage import UsageRecord
from streaming_provider import Script, StreamingProvider, StreamingServer

COMES_TO_BE_WITHIN_S = 30.0
PRICES = {"first": (0.05, 0.1), "groq": (0.05, 0.1), "second": (5, 10), "third": (50, 100)}
"""USD per million tokens: the first named is the cheapest."""


def until(condition: Callable[[], object]) -> Any:
    """Waits for what must come to be; how long it takes says nothing."""
    ends_s = time.monotonic() + COMES_TO_BE_WITHIN_S
    while not (found := condition()):
        assert time.monotonic() < ends_s, "it did not come to be"
        time.sleep(0.01)
    return found


@dataclass
class Streamed:
    """An event stream as a client saw it: the data of its events, and its comments."""

    status: int
    headers: httpx.Headers
    data: list[str] = field(default_factory=list)
    comments: int = 0
    broke_off: bool = False

    @property
    def is_done(self) -> bool:
        return bool(self.data) and self.data[-1] == "[DONE]"

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """Decimals stay decimals."""
        return [decoded(data) for data in self.data if data != "[DONE]"]

    @property
    def error(self) -> dict[str, Any] | None:
        return next((chunk["error"] for chunk in self.chunks if "error" in chunk), None)

    @property
    def text(self) -> str:
        return "".join(
            choice["delta"].get("content") or ""
            for chunk in self.chunks
            for choice in chunk.get("choices", [])
            if choice["index"] == 0
        )

    @property
    def usages(self) -> list[dict[str, Any]]:
        return [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]


@dataclass
class ServedRouter:
    """A running router and what lies around it."""

    url: str
    providers: dict[str, StreamingProvider]
    loop: asyncio.AbstractEventLoop
    client: httpx.Client

    def ask(self, *, headers: Mapping[str, str] | None = None, **body: object) -> httpx.Response:
        return self.client.post("/v1/chat/completions", json=request(**body), headers=headers)

    @contextmanager
    def open(self, *, headers: Mapping[str, str] | None = None, **body: object) -> Iterator[OpenStream]:
        """A stream that is still on its way; leaving the block early hangs up."""
        asked = request(stream=True, **body)
        with self.client.stream("POST", "/v1/chat/completions", json=asked, headers=headers) as response:
            yield OpenStream(response)

    def stream(self, *, headers: Mapping[str, str] | None = None, **body: object) -> Streamed:
        """A stream to its end."""
        with self.open(headers=headers, **body) as stream:
            return stream.rest()

    def records(self) -> list[UsageRecord]:
        items = boto3.client("dynamodb").scan(TableName=LEDGER_TABLE)["Items"]
        return [journal_items.record_of(item) for item in items if item["pk"]["S"].startswith("journal#")]

    def record(self) -> UsageRecord:
        """The only one, once it is settled."""
        (record,) = until(lambda: [found for found in self.records() if found.state.value != "pending"])
        return record

    def tasks(self) -> set[str]:
        """What the router's event loop is still at, beside uvicorn itself and its connections."""

        async def running() -> set[str]:
            names = {str(task.get_coro()) for task in asyncio.all_tasks() if task is not asyncio.current_task()}
            return {name for name in names if "Server.serve" not in name and "serve_until_stopped" not in name}

        return asyncio.run_coroutine_threadsafe(running(), self.loop).result(COMES_TO_BE_WITHIN_S)

    def comes_to_rest(self) -> bool:
        until(lambda: not self.tasks())
        return True


@dataclass
class OpenStream:
    response: httpx.Response
    _parts: Iterator[str] | None = None
    _buffer: str = ""

    @property
    def status(self) -> int:
        return self.response.status_code

    def next_event(self) -> str:
        """The next event or comment, whole. Raises StopIteration at the end."""
        self._parts = self._parts or self.response.iter_text()
        while "\n\n" not in self._buffer:
            self._buffer += next(self._parts)
        event, _, self._buffer = self._buffer.partition("\n\n")
        return event

    def next_chunk(self) -> dict[str, Any]:
        return decoded(self.next_event().removeprefix("data: "))

    def rest(self) -> Streamed:
        found = Streamed(self.status, self.response.headers)
        try:
            while True:
                event = self.next_event()
                if event.startswith(":"):
                    found.comments += 1
                else:
                    found.data.append("\n".join(line.removeprefix("data: ") for line in event.split("\n")))
        except StopIteration:
            if self._buffer:
                found.data.append(self._buffer)
        except httpx.TransportError:
            found.broke_off = True
        return found


def request(*, model: str | None = "auto", **body: object) -> dict[str, object]:
    """Without `model` where that is None."""
    named = {} if model is None else {"model": model}
    return {**named, "messages": [{"role": "user", "content": "Hello"}], **body}


def decoded(text: str) -> Any:
    return simplejson.loads(text, use_decimal=True)


def priced(name: str = "model", *, usd: tuple[float, float], **limits: object) -> dict[str, object]:
    return {"name": name, "price": {"input": usd[0], "output": usd[1]}, **limits}


def configuration(
    server: StreamingServer,
    *,
    limits: Mapping[str, object] | None = None,
    routes: Mapping[str, object] | None = None,
    **auto: object,
) -> str:
    """Each of the server's providers with one model, the first added the cheapest; `auto` changes the route."""
    providers = [
        {
            "name": name,
            "base_url": server.base_url(name),
            "auth": "none",
            "models": [priced(usd=PRICES[name], **(limits or {}))],
        }
        for name in server.providers
    ]
    candidates = [f"{name}/model" for name in server.providers]
    named = {"auto": {"candidates": candidates, **auto}, **(routes or {})}
    return yaml.safe_dump({"providers": providers, "routes": named})


@contextmanager
def serving(file: Path, providers: StreamingServer, **changes: str) -> Iterator[ServedRouter]:
    """`changes` are environment variables. Needs the tables."""
    environ = {
        "LEDGER_TABLE": LEDGER_TABLE,
        "STATE_TABLE": STATE_TABLE,
        "PROVIDERS_FILE": str(file),
        "VOCABULARY_DIR": str(VOCABULARY_DIR),
        "PROVIDER_KEYS": "environment",
        "REQUIRE_CLIENT_KEY": "false",
        "STAGE": "test",
    }
    reach = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    logging.Logger.manager.loggerDict.pop("router", None)  # it would write to the output of the test before
    app = wiring.router(reach | environ | changes)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve_until_stopped() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve()
        await app.state.transport.close()
        app.state.access.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve_until_stopped()))
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield ServedRouter(url, providers.providers, loops[0], client)
    finally:
        server.should_exit = True
        thread.join()


class Start(Protocol):
    def __call__(
        self,
        *,
        limits: Mapping[str, object] | None = None,
        route: Mapping[str, object] | None = None,
        routes: Mapping[str, object] | None = None,
        **scripts: Script,
    ) -> ServedRouter: ...


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Starts routers over scripted providers, the first named the cheapest; ends all that it started."""
    with ExitStack() as started:

        def start(
            *,
            limits: Mapping[str, object] | None = None,
            route: Mapping[str, object] | None = None,
            routes: Mapping[str, object] | None = None,
            **scripts: Script,
        ) -> ServedRouter:
            server = started.enter_context(streaming_provider.serving())
            for name, script in scripts.items():
                server.add(name, script)
            file = folder / "providers.yaml"
            file.write_text(configuration(server, limits=limits, routes=routes, **(route or {})))
            return started.enter_context(serving(file, server))

        yield start
