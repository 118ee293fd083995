"""An OpenAI-compatible provider for tests: a real HTTP server on this machine, scripted, that counts what it billed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]
Script = Callable[["Call"], Answer]


@dataclass(frozen=True)
class Call:
    """One request as it arrived. `number` counts from 1."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Provider:
    """Answers by its script; a script may sleep, or raise ConnectionError to drop the connection."""

    name: str
    script: Script
    calls: list[Call] = field(default_factory=list)
    billed: int = 0


def completion(text: str = "Hello.", *, prompt: int = 10, completion: int = 5, **changes: object) -> Answer:
    body: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }
    return answer(200, {name: value for name, value in (body | changes).items() if value is not None})


def answer(status: int, body: object, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"content-type": "application/json", **named}, json.dumps(body).encode()


def error(status: int, code: str | None = None, **headers: str) -> Answer:
    return answer(status, {"error": {"message": "no", "type": "t", "param": None, "code": code}}, **headers)


def always(reply: Answer) -> Script:
    return lambda _: reply


def slowly(reply: Answer, *, seconds: float) -> Script:
    def script(_: Call) -> Answer:
        time.sleep(seconds)
        return reply

    return script


def in_turn(*replies: Answer) -> Script:
    """The last one for ever."""
    return lambda call: replies[min(call.number, len(replies)) - 1]


class ProviderServer(ThreadingHTTPServer):
    """Serves each provider under `/<name>/v1`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.providers: dict[str, Provider] = {}
        self.turn = threading.Lock()

    def add(self, name: str, script: Script) -> Provider:
        self.providers[name] = Provider(name, script)
        return self.providers[name]

    def base_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A dropped connection is part of the script."""


@contextmanager
def serving() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ProviderServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        provider = self.server.providers[self.path.split("/")[1]]
        with self.server.turn:
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(len(provider.calls) + 1, self.path, headers, body)
            provider.calls.append(call)
        status, sent, content = provider.script(call)
        with self.server.turn:
            provider.billed += status == 200
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the standard library's
        """Quiet: pytest shows what matters."""
