"""A scripted provider that streams: a real HTTP server on this machine whose every byte a test decides.

A script gets a `Wire` for each request and writes what it likes when it likes. Nothing here waits for a time: a script
that must wait for the test waits at a `Gate`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GATE_OPENS_WITHIN_S = 30.0
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
EVENT_STREAM = "text/event-stream"


class Gate(threading.Event):
    """Where a script waits for the test, or the test for a script."""

    def pass_through(self) -> None:
        assert self.wait(GATE_OPENS_WITHIN_S), "nobody opened the gate"


@dataclass
class Wire:
    """One request as it arrived, and the way back. `number` counts a provider's requests from 1."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    handler: BaseHTTPRequestHandler
    has_begun: bool = False
    has_ended: bool = False

    @property
    def is_streamed(self) -> bool:
        return bool(self.body.get("stream"))

    def begin(self, status: int = 200, content_type: str = EVENT_STREAM, **headers: str) -> None:
        self.has_begun = True
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.handler.send_response(status)
        for name, value in {"content-type": content_type, "transfer-encoding": "chunked", **named}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.flush()

    def send(self, data: bytes) -> None:
        """Some bytes of the body, as one chunk of the transfer: cut where you like."""
        if not self.has_begun:
            self.begin()
        if data:
            self.handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.handler.wfile.flush()

    def event(self, value: object, line_end: bytes = b"\n") -> None:
        self.send(as_event(value, line_end))

    def comment(self, text: str = "keep-alive") -> None:
        self.send(f": {text}\n\n".encode())

    def done(self) -> None:
        self.send(b"data: [DONE]\n\n")

    def end(self) -> None:
        """The body is whole, as far as HTTP goes."""
        if self.has_begun and not self.has_ended:
            self.handler.wfile.write(b"0\r\n\r\n")
            self.handler.wfile.flush()
        self.has_ended = True

    def cut(self) -> None:
        """The connection closes in the middle of the body."""
        self.has_ended = True
        self.handler.close_connection = True
        with contextlib.suppress(OSError):
            self.handler.connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """The connection is reset (RST)."""
        self.has_ended = True
        self.handler.close_connection = True
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()

    def json(self, status: int, value: object, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.has_begun = self.has_ended = True
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.handler.send_response(status)
        for name, text in {"content-type": "application/json", "content-length": str(len(body)), **named}.items():
            self.handler.send_header(name, text)
        self.handler.end_headers()
        self.handler.wfile.write(body)
        self.handler.wfile.flush()

    def wait_for_hang_up(self) -> None:
        """Until the other side closes its end of this connection."""
        self.handler.connection.settimeout(GATE_OPENS_WITHIN_S)
        with contextlib.suppress(ConnectionError):
            while self.handler.connection.recv(4096):
                pass
        self.has_ended = True
        self.handler.close_connection = True


Script = Callable[[Wire], None]


@dataclass
class StreamingProvider:
    """`failures` are what scripts raised that is not a broken connection: an assertion of theirs, say."""

    name: str
    script: Script
    calls: list[Wire] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)
    hung_up_on: int = 0


class StreamingServer(ThreadingHTTPServer):
    """Serves each provider under `/<name>/v1`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.providers: dict[str, StreamingProvider] = {}
        self.turn = threading.Lock()

    def add(self, name: str, script: Script) -> StreamingProvider:
        self.providers[name] = StreamingProvider(name, script)
        return self.providers[name]

    def base_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A dropped connection is part of the script."""


@contextmanager
def serving() -> Iterator[StreamingServer]:
    """Whatever a script asserted is raised at the end."""
    with StreamingServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
    for provider in server.providers.values():
        for failure in provider.failures:
            raise failure


class _Handler(BaseHTTPRequestHandler):
    server: StreamingServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        provider = self.server.providers[self.path.split("/")[1]]
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.turn:
            wire = Wire(len(provider.calls) + 1, self.path, headers, body, self)
            provider.calls.append(wire)
            provider.connections.add(self.client_address)
        try:
            provider.script(wire)
            wire.end()
        except OSError:
            self.close_connection = True
            with self.server.turn:
                provider.hung_up_on += 1
        except BaseException as failure:  # noqa: BLE001  # told where the test can see it
            self.close_connection = True
            provider.failures.append(failure)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the standard library's
        """Quiet: pytest shows what matters."""


# What scripts say.


def as_event(value: object, line_end: bytes = b"\n") -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b"data: " + data + line_end * 2


def chunk(*choices: Mapping[str, object], **fields: object) -> dict[str, object]:
    """A chunk of a stream; a field that is None is left out."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "served-model",
        "choices": list(choices),
    }
    return {name: value for name, value in (body | fields).items() if value is not None}


def delta(index: int = 0, *, finish: str | None = None, logprobs: object = None, **parts: object) -> dict[str, object]:
    said = {"index": index, "delta": parts, "finish_reason": finish}
    return said if logprobs is None else {**said, "logprobs": logprobs}


def text_events(*pieces: str, usage: object = USAGE) -> list[dict[str, object]]:
    """A whole answer: its role, its text in pieces, why it ended, and what it used, each in a chunk."""
    return [
        chunk(delta(role="assistant", content="")),
        *(chunk(delta(content=piece)) for piece in pieces),
        chunk(delta(finish="stop")),
        *([chunk(usage=usage)] if usage else []),
    ]


def completion(text: str | None = "Hello.", *, finish: str = "stop", **changes: object) -> dict[str, object]:
    """A whole answer in one piece; a field that is None is left out."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": USAGE,
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def streams(*events: object, line_end: bytes = b"\n", with_done: bool = True) -> Script:
    """Each event by itself, then the end, whatever was asked for."""

    def script(wire: Wire) -> None:
        if not wire.has_begun:
            wire.begin()
        for event in events:
            wire.event(event, line_end)
        if with_done:
            wire.send(b"data: [DONE]" + line_end * 2)

    return script


def says(*pieces: str, usage: object = USAGE) -> Script:
    """A whole answer, streamed where that was asked for, in one piece where not."""
    stream = streams(*text_events(*pieces, usage=usage))

    def script(wire: Wire) -> None:
        if wire.is_streamed:
            stream(wire)
        else:
            wire.json(200, completion("".join(pieces), usage=usage))

    return script


def refuses(status: int, code: str | None = None, param: str | None = None, **headers: str) -> Script:
    error = {"message": "told by the provider", "type": "t", "param": param, "code": code}
    return lambda wire: wire.json(status, {"error": error}, **headers)


def in_turn(*scripts: Script) -> Script:
    """The last one for ever."""
    return lambda wire: scripts[min(wire.number, len(scripts)) - 1](wire)


def refuses_streams(whole: object) -> Script:
    """A provider that can only answer in one piece."""
    no = refuses(400, "unsupported_parameter", "stream")
    return lambda wire: no(wire) if wire.is_streamed else wire.json(200, whole)


def refuses_stream_options(*pieces: str) -> Script:
    """A provider that streams, and may not be asked to count: Mistral in 2025."""
    place = {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "Not permitted"}
    no = {"object": "error", "message": {"detail": [place]}, "type": "invalid_request_error", "param": None}
    answer = says(*pieces)
    return lambda wire: wire.json(422, no) if "stream_options" in wire.body else answer(wire)


def fragments(whole: Mapping[str, Any], *, size: int) -> list[dict[str, object]]:
    """A completion as a provider streams it: texts and arguments in pieces of `size`, the choices in turn."""
    frame = {name: value for name, value in whole.items() if name not in ("choices", "usage", "object")}
    per_choice = [list(_choice_parts(choice, size)) for choice in whole["choices"]]
    rounds = max(len(parts) for parts in per_choice)
    mixed = [parts[at] for at in range(rounds) for parts in per_choice if at < len(parts)]
    ends = [delta(choice["index"], finish=choice["finish_reason"]) for choice in whole["choices"]]
    chunks = [chunk(part, **frame) for part in (*mixed, *ends)]
    return [*chunks, *([chunk(**frame, usage=whole["usage"])] if whole.get("usage") else [])]


def _choice_parts(choice: Mapping[str, Any], size: int) -> Iterator[dict[str, object]]:
    index, message = choice["index"], choice["message"]
    yield delta(index, role=message["role"])
    for token in ((choice.get("logprobs") or {}).get("content")) or []:
        yield delta(index, logprobs={"content": [token], "refusal": None})
    for name in ("reasoning_content", "content", "refusal"):
        for piece in _pieces(message.get(name) or "", size):
            yield delta(index, **{name: piece})
    for at, call in enumerate(message.get("tool_calls") or []):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield delta(index, tool_calls=[{"index": at, "id": call["id"], "type": "function", "function": function}])
        for piece in _pieces(call["function"]["arguments"], size):
            yield delta(index, tool_calls=[{"index": at, "function": {"arguments": piece}}])


def _pieces(text: str, size: int) -> Iterator[str]:
    yield from (text[at : at + size] for at in range(0, len(text), size))
