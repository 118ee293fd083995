"""Starts `make run` as a user would, and drives it over HTTP."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import simplejson

from llm_router.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
MAKES_OWN = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
WISHES = {"HOST", "PORT", "STATE_DIR"}
READY = "Ctrl-C stops everything."
START_WITHIN_S = 90.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        """Decimals stay decimals."""
        return simplejson.loads(self.text, use_decimal=True)


@dataclass
class LocalRun:
    """One `make run`; what it prints is gathered while it runs."""

    process: subprocess.Popen[str]
    url: str
    state_dir: Path
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def curl_line(self) -> str:
        (line,) = [line.strip() for line in self.lines if line.strip().startswith("curl ")]
        return line

    def noted(self) -> dict[str, Any]:
        return json.loads((self.state_dir / "run.json").read_text())

    def pids(self) -> list[int]:
        return list(self.noted()["processes"].values())

    def wait_until_ready(self) -> None:
        until(lambda: READY in self.output or self.process.poll() is not None, within_s=START_WITHIN_S)
        assert READY in self.output, self.output

    def get(self, path: str, **headers: str) -> Answer:
        return ask(self.url + path, headers=headers)

    def generate(self, body: object, **headers: str) -> Answer:
        return ask(f"{self.url}/generate", body=json.dumps(body).encode(), headers=headers)

    def supervisor(self) -> int:
        """The process that `make` has started: the parent of all others."""
        return self.noted()["supervisor"]

    def interrupt(self) -> int:
        """Ctrl-C: the terminal sends it to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)


def environment(**changes: str) -> dict[str, str]:
    """Of whoever runs the tests, without what would make another run of this one."""
    dropped = {*MAKES_OWN, *WISHES, *(field.name.upper() for field in fields(Settings))}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {name: value for name, value in kept.items() if not name.endswith("_API_KEY")} | changes


@contextmanager
def started(state_dir: Path, **environ: str) -> Iterator[LocalRun]:
    """Ready to be asked. Whatever the test leaves behind is ended."""
    port = environ.pop("PORT", None) or str(free_port())
    run = _start(state_dir, PORT=port, **environ)
    try:
        run.wait_until_ready()
        yield run
    finally:
        _end(run)


def refused(state_dir: Path, **environ: str) -> tuple[int, str]:
    """Exit code and output of a start that does not come to be."""
    run = _start(state_dir, **{"PORT": str(free_port())} | environ)
    try:
        code = run.process.wait(60)
        until(lambda: not run.process.stdout or run.process.stdout.closed, within_s=5)
        return code, run.output
    finally:
        _end(run)


def _start(state_dir: Path, **environ: str) -> LocalRun:
    process = subprocess.Popen(
        ["make", "run"],
        cwd=ROOT,
        env=environment(STATE_DIR=str(state_dir), **environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    run = LocalRun(process, f"http://127.0.0.1:{environ['PORT']}", state_dir)

    def gather() -> None:
        with process.stdout as output:
            for line in output:
                run.lines.append(line)

    threading.Thread(target=gather, daemon=True).start()
    return run


def _end(run: LocalRun) -> None:
    """Its process group is its own, so nothing else can be hit."""
    if run.process.poll() is None:
        os.killpg(run.process.pid, signal.SIGTERM)
        try:
            run.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(run.process.pid, signal.SIGKILL)
            run.process.wait()


def ask(url: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    request = urllib.request.Request(url, data=body, headers=headers or {})  # noqa: S310  # our own server's
    try:
        with _DIRECT.open(request, timeout=40) as response:
            return Answer(response.status, _lower(response.headers), response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _lower(error.headers), error.read().decode())


def paste(curl_line: str) -> Any:
    """Run a printed curl line to the letter; where no curl is installed, do what it says."""
    if shutil.which("curl"):
        output = subprocess.run(["bash", "-c", curl_line], check=True, capture_output=True, text=True).stdout
    else:
        words = shlex.split(curl_line)
        header = dict([words[words.index("-H") + 1].split(": ", 1)])
        output = ask(words[2], body=words[words.index("-d") + 1].encode(), headers=header).text
    return simplejson.loads(output, use_decimal=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def until(condition: Callable[[], bool], *, within_s: float) -> None:
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not come to be in time"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and re.search(r"^State:\s+Z", status.read_text(), re.MULTILINE))


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
