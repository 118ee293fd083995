"""One execution environment of a function: the built code under AWS's Runtime Interface Emulator.

What differs from Lambda: a folder of links stands for /opt, the build's folder for /var/task, the region's endpoints
are an emulator's, and web_adapter.py is the Lambda Web Adapter. The emulator of the runtime enforces the timeout, not
the memory, and starts the runtime at the first invocation.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local import aws_resources, processes
from infra.runtime import build
from infra.runtime.declared import Function
from infra.sam.build import ROOT

RUNTIME_PYTHON = build.HOME / "venv" / "bin" / "python"
RUNTIME_LIBRARY = RUNTIME_PYTHON.parents[1] / "lib" / "python3.13" / "site-packages"
WEB_ADAPTER = Path(__file__).with_name("web_adapter.py")
ADAPTED = "AWS_LWA_PORT"
"""The variable that tells a function whose events go through the Lambda Web Adapter."""

SAM_LIBRARY = ROOT / ".venv-sam" / "lib" / "python3.13" / "site-packages"
RIE = SAM_LIBRARY / "samcli" / "local" / "rapid" / f"aws-lambda-rie-{build.arch()}"
OPT = "/opt/"
INVOCATIONS = "/2015-03-31/functions/function/invocations"
ENDED_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "TERM")
"""Of util-linux. The emulator, asked to end, takes its runtime along."""

KILLED_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL")
"""A server with the adapter that the emulator kills."""

READY_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
ANSWERED_AFTER_TIMEOUT_S = 60.0
"""How long the emulator may need beside the function's own timeout, the start of the runtime included."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_INIT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")
_INVOKED = re.compile(r"INVOKE RTDONE\(status: (\w+), produced bytes: \d+, duration: ([0-9.]+)ms\)")


class RuntimeMissingError(Exception):
    """What has to be set up first, in words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for an invocation: of the function, or of the emulator in its place."""

    status: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def value(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True, slots=True)
class Instance:
    """`process` is the emulator; the runtime is its child and may be started again by it."""

    function: Function
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def invoke(self, event: object) -> Answer:
        """One at a time: a second invocation beside the first breaks the emulator."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{INVOCATIONS}", data=body)
        try:
            with _DIRECT.open(request, timeout=self.function.timeout_s + ANSWERED_AFTER_TIMEOUT_S) as response:
                return Answer(response.status, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read())

    def logged(self) -> str:
        return self.log.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """What the function itself logged."""
        return [json.loads(line) for line in self.logged().splitlines() if line.startswith("{")]

    def init_ms(self) -> list[float]:
        """How long each start of the runtime took, until it asked for its first event."""
        return [float(found) for found in _INIT.findall(self.logged())]

    def invoked_ms(self) -> list[float]:
        """How long the function had each event for."""
        return [float(duration) for _, duration in _INVOKED.findall(self.logged())]

    def runtime_pid(self) -> int:
        """Of the function's own process: the server, where an adapter has started one.

        Raises LookupError where no runtime is running.
        """
        children = {parent: pid for pid, parent in _parents()}
        pid = self.process.pid
        while pid in children:
            pid = children[pid]
        if pid == self.process.pid:
            raise LookupError("no runtime is running")
        return pid

    def signal_runtime(self, number: signal.Signals) -> None:
        os.kill(self.runtime_pid(), number)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, and what is put in the place of what the template says.

    `home` takes the log and what stands for /opt; `under` is a command that becomes the runtime; `changes` are
    environment variables; `handler` may lie in a folder of `extra_path`.
    """

    function: Function
    endpoint: str
    home: Path
    providers_file: Path | None = None
    handler: str | None = None
    extra_path: Sequence[Path] = ()
    under: Sequence[str] = ()
    changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def task(self) -> Path:
        """What stands for /var/task."""
        return build.BUILD / self.function.logical_name

    @property
    def command(self) -> list[str]:
        if ADAPTED in self.function.variables:
            server = [*KILLED_WITH_ITS_PARENT, *self.under, str(self.task / self.function.handler)]
            return [str(RUNTIME_PYTHON), str(WEB_ADAPTER), *server]
        handler = self.handler or self.function.handler
        return [*self.under, str(RUNTIME_PYTHON), "-m", "awslambdaric", handler]


@contextmanager
def running(launch: Launch) -> Iterator[Instance]:
    """Raises RuntimeMissingError. The runtime itself is started by the first invocation."""
    if not RIE.is_file() or not RUNTIME_PYTHON.is_file():
        raise RuntimeMissingError("Lambda's runtime is not set up: run `make runtime-build` first.")
    launch.home.mkdir(parents=True, exist_ok=True)
    opt = _linked(launch)
    path = [launch.task, opt / "python", *launch.extra_path]
    environ = _environ(launch.function, endpoint=launch.endpoint, opt=opt) | {
        "LAMBDA_TASK_ROOT": str(launch.task),
        "LAMBDA_RUNTIME_DIR": str(RUNTIME_LIBRARY),
        "PYTHONPATH": os.pathsep.join(str(entry) for entry in path),
        **_port_for_the_server(launch.function),
        **launch.changes,
    }
    instance = _started(launch, environ)
    try:
        yield instance
    finally:
        _stop(instance)


def _linked(launch: Launch) -> Path:
    """The layers' content in one folder, as Lambda unpacks them, one over the other."""
    opt = launch.home / "opt"
    opt.mkdir()
    for layer in launch.function.layers:
        for entry in build.LAYERS[layer].iterdir():
            (opt / entry.name).symlink_to(entry)
    if launch.providers_file:
        (opt / "providers.yaml").unlink()
        (opt / "providers.yaml").symlink_to(launch.providers_file)
    return opt


def _environ(function: Function, *, endpoint: str, opt: Path) -> dict[str, str]:
    """Nothing of this shell's, so that what a function needs and is not given shows."""
    variables = {
        name: f"{opt}/{value.removeprefix(OPT)}" if value.startswith(OPT) else value
        for name, value in function.variables.items()
    }
    return {
        **variables,
        "PATH": f"{RUNTIME_PYTHON.parent}{os.pathsep}{os.defpath}",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_REGION": aws_resources.REGION,
        "AWS_DEFAULT_REGION": aws_resources.REGION,
        "AWS_ACCESS_KEY_ID": aws_resources.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": aws_resources.SECRET_ACCESS_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.logical_name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_s),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
    }


def _port_for_the_server(function: Function) -> dict[str, str]:
    """Any that is free: on Lambda each environment has its ports for itself."""
    return {ADAPTED: str(_free_ports()[0])} if ADAPTED in function.variables else {}


def _started(launch: Launch, environ: Mapping[str, str]) -> Instance:
    port, api_port = _free_ports()
    addresses = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    addresses += ["--runtime-api-address", f"127.0.0.1:{api_port}"]
    log = launch.home / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*ENDED_WITH_ITS_PARENT, str(RIE), *addresses, "--log-level", "info", *launch.command],
            env=dict(environ),
            cwd=launch.task,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    instance = Instance(launch.function, process, port, log)
    try:
        processes.until(lambda: process.poll() is not None or _listens(port), limit_s=READY_WITHIN_S)
    except BaseException:
        _stop(instance)
        raise
    if process.poll() is not None:
        raise RuntimeMissingError(f"The emulator has ended: {instance.logged()}")
    return instance


def _stop(instance: Instance) -> None:
    """The emulator ends its runtime when it is asked to end; where it had to be killed, the runtime is left."""
    try:
        runtime = instance.runtime_pid()
    except LookupError:
        runtime = None
    instance.process.terminate()
    try:
        instance.process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        instance.process.kill()
        instance.process.wait()
        if runtime is not None:
            _end(runtime)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _parents() -> Iterator[tuple[int, int]]:
    """Each process that is alive, with its parent's id."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):  # it ended while it was looked at
            continue
        if state != "Z":
            yield int(stat.parent.name), int(parent)


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        time.sleep(0.01)
        return False
