"""A provider that streams word by word, each when the test says so: what arrived by then has not waited for more."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STEP_WITHIN_S = 60.0


@dataclass
class Conversation:
    """One request as it arrived, and what is still to be said to it."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]
    steps: queue.Queue[bytes | None] = field(default_factory=queue.Queue)

    def say(self, text: str) -> None:
        self._chunk([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}])

    def finish(self, *, prompt: int, completion: int) -> None:
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        self._chunk([], usage=usage)
        self.steps.put(b"data: [DONE]\n\n")
        self.hang_up()

    def hang_up(self) -> None:
        self.steps.put(None)

    def _chunk(self, choices: list[object], **more: object) -> None:
        frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        self.steps.put(b"data: " + json.dumps({**frame, "choices": choices, **more}).encode() + b"\n\n")


class SteppedProvider(ThreadingHTTPServer):
    """Speaks under `/speaking/v1`, and refuses every key under `/refusing/v1`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.begun: queue.Queue[Conversation] = queue.Queue()

    def base_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}/v1"

    def next(self) -> Conversation:
        """The next request that arrives, or that has arrived and was not asked for."""
        return self.begun.get(timeout=STEP_WITHIN_S)

    def handle_error(self, request: object, client_address: object) -> None:
        """A router that hangs up is part of the story."""


@contextmanager
def speaking() -> Iterator[SteppedProvider]:
    with SteppedProvider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: SteppedProvider
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.startswith("/refusing/"):
            self._refuse()
            return
        conversation = Conversation({name.lower(): value for name, value in self.headers.items()}, body)
        self.server.begun.put(conversation)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while step := conversation.steps.get(timeout=STEP_WITHIN_S):
            self.wfile.write(f"{len(step):x}\r\n".encode() + step + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self) -> None:
        content = b'{"error": {"message": "no", "type": "t", "param": null, "code": "invalid_api_key"}}'
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the standard library's
        """Quiet: pytest shows what matters."""
