"""Starts the local processes, waits until they answer, and makes sure that none outlives the one that started it.

A child gets its listening socket from its parent, so that a port is taken before anything else happens, and holds the
parent's end of a pipe as its standard input: when the parent dies, however it dies, the pipe closes and the child
stops.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local.logs import Log

if TYPE_CHECKING:
    from subprocess import Popen

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without a proxy: what is asked is on this machine."""

THREADS = 64
"""Many callers at once wait for DynamoDB in threads; a Lambda environment has one caller."""

STOP_WITHIN_S = 8.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: Popen[bytes]
    log: Log

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def last_words(self) -> str:
        return self.log.last_words()


def start(
    module: str, arguments: Sequence[str], *, environ: Mapping[str, str], log: Path, fd: int | None = None
) -> Child:
    """Run `python -m module` in a session of its own: a Ctrl-C reaches the parent alone."""
    written = Log(log)
    with written.opened() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=() if fd is None else (fd,),
            start_new_session=True,
        )
    return Child(module.rpartition(".")[2], process, written)


def stop(child: Child, *, within_s: float = STOP_WITHIN_S) -> None:
    """Ask, then insist."""
    if not child.has_ended:
        child.process.terminate()
    try:
        child.process.wait(within_s)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
    if child.process.stdin:
        child.process.stdin.close()


def stop_when_orphaned() -> None:
    """Called by a child: ends this process as if asked to when the one that started it is gone."""

    def wait_for_the_end() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


def listening(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(128)
    except OSError:
        found.close()
        raise
    return found


async def serve(app: Any, *, fd: int) -> None:
    """Serve an ASGI app on a listening socket until a signal comes."""
    import uvicorn  # noqa: PLC0415  # the parent has no need of it

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=5)
    await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)])


def answers(url: str, *, with_success: bool = False) -> bool:
    """Whether an HTTP server is there, or also has what is asked for."""
    try:
        with _DIRECT.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return not with_success
    except OSError:
        return False


def until(condition: Callable[[], bool], *, limit_s: float) -> None:
    """Raises TimeoutError."""
    ends_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > ends_s:
            raise TimeoutError
        time.sleep(POLL_S)
