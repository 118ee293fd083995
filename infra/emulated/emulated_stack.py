"""A stack of this checkout in an emulated AWS, from its start to its end, with each phase timed."""

from __future__ import annotations

import os
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from infra.emulated import deployment, emulator
from infra.emulated.deployment import Built, Deployed, DeploymentError
from infra.local import processes
from infra.sam import build, fresh_build
from infra.sam.obstacles import ObstacleError

SUITE = build.ROOT / "tests" / "stack"
BUILT_TEMPLATE = build.BUILD / "template.yaml"
PROVIDERS_FILE = SUITE / "providers.yaml"
PROVIDERS_ADDRESS = "http://127.0.0.1:0"
"""What stands in the suite's providers.yaml for the address of the scripted providers."""

PROVIDER_KEYS = {"steady": "key-of-steady", "dear": "key-of-dear", "broken": "key-of-broken"}
"""The providers of the suite that have a key."""

DOMAIN = f"{deployment.REGION}.amazonaws.com"
READY_WITHIN_S = 60.0
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class StartError(Exception):
    """What keeps the stack from being there, in words for the reader."""


class UndeployableError(StartError):
    """The emulator is there and takes the stack no further than this."""


@dataclass(frozen=True, slots=True)
class Running:
    """`providers` is the listening socket at which the stack expects its providers."""

    endpoint: str
    deployed: Deployed
    providers: socket.socket
    folder: Path


def this_arch() -> str:
    """The functions run under this machine's Python, so they are built for its processor."""
    found = ARCHITECTURES.get(platform.machine().lower())
    if found is None:
        raise StartError(f"Lambda has no processor like this machine's ({platform.machine()}).")
    return found


def ensure_built(arch: str) -> None:
    if not emulator.is_lambdas_python():
        raise StartError(
            f"This environment has Python {platform.python_version()}, and the functions must run under 3.13, as on\n"
            "Lambda. Install Python 3.13 (pyenv install 3.13, uv python install 3.13, brew install python@3.13),\n"
            "delete .venv and try again."
        )
    try:
        fresh_build.ensure(arch=arch)
    except ObstacleError as error:
        raise StartError(str(error)) from error


@contextmanager
def running(built: Built, *, arch: str, told: Callable[[str], None]) -> Iterator[Running]:
    """The stack of a build. Whatever was started is stopped, and what was written is gone, at the end."""
    os.environ["AWS_DEFAULT_REGION"] = deployment.REGION  # SAM's translator takes it from nowhere else
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="llm-router-e2e-")))
        providers = ends.enter_context(processes.listening("127.0.0.1", 0))
        with timed("start the emulator", told):
            endpoint, child = _start_emulator(folder)
            ends.callback(processes.stop, child)
            _wait(child, endpoint)
        with timed("deploy the stack", told):
            config = _config_layer(folder / "config", f"http://127.0.0.1:{providers.getsockname()[1]}")
            try:
                folders = {**built.folders, "ConfigLayer": config}
                deployed = deployment.deploy(
                    endpoint, Built(built.template, folders), arch=arch, provider_keys=PROVIDER_KEYS
                )
            except (DeploymentError, ClientError) as error:
                raise UndeployableError(str(error)) from error
        yield Running(endpoint, deployed, providers, folder)


@contextmanager
def timed(what: str, told: Callable[[str], None]) -> Iterator[None]:
    started_s = time.monotonic()
    yield
    told(f"  {what}: {time.monotonic() - started_s:.1f} s")


def _start_emulator(folder: Path) -> tuple[str, processes.Child]:
    """The port is taken before the emulator starts, which needs to know it."""
    with processes.listening("127.0.0.1", 0) as listens:
        port = listens.getsockname()[1]
        child = processes.start(
            "infra.emulated.emulator",
            ["--fd", str(listens.fileno())],
            environ=emulator.environ(os.environ, port=port, folder=folder, domain=DOMAIN) | deployment.CREDENTIALS,
            log=folder / "emulator.log",
            fd=listens.fileno(),
        )
    return f"http://127.0.0.1:{port}", child


def _wait(child: processes.Child, endpoint: str) -> None:
    try:
        processes.until(lambda: child.has_ended or processes.answers(endpoint), limit_s=READY_WITHIN_S)
    except TimeoutError as error:
        raise StartError(
            f"The emulator gives no answer within {READY_WITHIN_S:.0f} s:\n{child.last_words()}"
        ) from error
    if child.has_ended:
        raise StartError(f"The emulator has ended:\n{child.last_words()}")


def _config_layer(folder: Path, address: str) -> Path:
    """The configuration layer of the suite's own providers, which answer at `address`."""
    folder.mkdir()
    (folder / "providers.yaml").write_text(PROVIDERS_FILE.read_text().replace(PROVIDERS_ADDRESS, address))
    return folder


def say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)
