"""Serves the dashboard's page on 127.0.0.1 as it will be served: one origin, a strict content security policy."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from browser.figures import NOW

PAGE_DIR = Path(__file__).resolve().parents[2] / "infra" / "dashboard" / "page"
GENERATE_META = '<meta name="generate-url" content="">'
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    # Stricter than what is deployed: a text that reached the page as markup would be a violation.
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


class PageServer(ThreadingHTTPServer):
    """What the next answers are is set by the test; what was asked is kept for it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stats: tuple[int, bytes] = (200, b"{}")
        self.headers: dict[str, str] = {}
        self.generate_url = ""
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.posted: list[bytes] = []
        self.asked: list[str] = []
        self.now: datetime = NOW

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def reads(self) -> int:
        """How often the figures were asked for."""
        return self.asked.count("/stats.json")


@contextmanager
def serving() -> Iterator[PageServer]:
    with PageServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.may_answer.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        if path == "/stats.json":
            self._send(*self.server.stats, "application/json")
            return
        file = PAGE_DIR / (path.lstrip("/") or "index.html")
        if file.parent != PAGE_DIR or not file.is_file():
            self._send(404, b"not found", "text/plain")
            return
        body = file.read_bytes()
        if file.name == "index.html":
            filled = GENERATE_META.replace('""', f'"{self.server.generate_url}"')
            body = body.replace(GENERATE_META.encode(), filled.encode())
        self._send(200, body, mimetypes.guess_type(file.name)[0] or "application/octet-stream")

    def do_POST(self) -> None:
        self.server.posted.append(self.rfile.read(int(self.headers["content-length"])))
        self.server.may_answer.wait(30)
        self._send(*self.server.answer, "application/json")

    def _send(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": content_type, "Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        for name, value in (headers | self.server.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        return format_datetime(self.server.now, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the standard library's)
        """Quiet: pytest shows what matters."""
