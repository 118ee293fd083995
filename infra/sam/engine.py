"""The container engine: the one that is running, or Docker's own daemon, started in .build/docker for the while.

Starting one needs Linux and root (sudo, where the caller is not root). The commands that use it at the same time share
it, and the last one stops it, by its process id. Its images are kept.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.sam.obstacles import ObstacleError

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / ".build" / "docker"
OWN_SOCKET = OWN / "docker.sock"
OWN_PIDFILE = OWN / "docker.pid"
OWN_LOG = OWN / "dockerd.log"

PACKAGES = ("docker.io", "iptables", "debootstrap", "debian-archive-keyring")
"""The last two are for the stand-in of Lambda's image, which a fresh engine of this kind tends to need."""

SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where dockerd, iptables and debootstrap are, and what is not on everybody's path."""

SOCKET_PATH_BYTES_AT_MOST = 107  # unix(7): sun_path has 108 bytes, the last one zero
START_WITHIN_S = 30.0
START_GRACE_S = 3.0
STOP_WITHIN_S = 20.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Engine:
    """`host` is what DOCKER_HOST says; empty for Docker's own choice. `told` says in a line which engine it is."""

    host: str
    told: str
    is_own: bool = False

    def environ(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host} if self.host else dict(os.environ)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What came of `docker …`; the caller looks at the return code."""
        return subprocess.run(
            ["docker", *arguments], env=self.environ(), capture_output=True, text=True, errors="replace", check=False
        )


@contextmanager
def ready() -> Iterator[Engine]:
    """An engine that answers, for as long as the block lasts. Raises ObstacleError."""
    found = _running()
    if found is None:
        _refuse_where_none_can_be_started()
        _install()
        found = _running()  # installing Docker starts it on many systems
    if found:
        yield found
        return
    with _own() as own:
        yield own


def as_root(*command: str) -> list[str]:
    return list(command) if os.geteuid() == 0 else ["sudo", *command]


def with_system_programs(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PATH": f"{environ.get('PATH', os.defpath)}{os.pathsep}{SYSTEM_PROGRAMS}"}


def _running() -> Engine | None:
    if not shutil.which("docker"):
        return None
    engine = Engine(host=os.environ.get("DOCKER_HOST", ""), told="")
    asked = engine.docker("info", "--format", "{{.ServerVersion}}, {{.OperatingSystem}}")
    if asked.returncode == 0 and asked.stdout.strip(", \n"):
        return Engine(engine.host, f"the one that is running: Docker {asked.stdout.strip()}")
    if "permission denied" in asked.stderr:
        raise ObstacleError(
            f"A container engine is running, but you may not use it: {_last_line(asked.stderr)}\n"
            "Join its group (sudo usermod -aG docker $USER, then log in anew) and try again."
        )
    if engine.host:
        raise ObstacleError(f"DOCKER_HOST is {engine.host}, but nothing answers there: {_last_line(asked.stderr)}")
    return None


def _refuse_where_none_can_be_started() -> None:
    if platform.system() != "Linux":
        raise ObstacleError("No container engine is running. Start Docker Desktop (or another one) and try again.")
    if os.geteuid() != 0 and not shutil.which("sudo"):
        raise ObstacleError(
            "No container engine is running, and starting one needs root: you are not root, and there is no sudo."
        )
    size = len(os.fsencode(OWN_SOCKET))
    if size > SOCKET_PATH_BYTES_AT_MOST:
        raise ObstacleError(
            f"No container engine is running, and none can be started here: the path of its socket, {OWN_SOCKET}, has "
            f"{size} bytes, and Linux takes {SOCKET_PATH_BYTES_AT_MOST}. Start one yourself, or move the checkout."
        )


def _install() -> None:
    """Debian's and Ubuntu's packages, unless they are there."""
    path = with_system_programs(os.environ)["PATH"]
    if shutil.which("docker") and shutil.which("dockerd", path=path) and shutil.which("iptables", path=path):
        return
    if not shutil.which("apt-get"):
        raise ObstacleError("No container engine is running, and Docker is not installed. Install it and try again.")
    _tell("Installing Docker from the system's packages (once, about half a minute; asks for sudo if need be) ...")
    install_packages(*PACKAGES)


def install_packages(*packages: str) -> None:
    """With apt-get, as root. Raises ObstacleError."""
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-qq"], ["env", "DEBIAN_FRONTEND=noninteractive", *install]):
        done = subprocess.run(
            as_root(*command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise ObstacleError(f"{' '.join(command)} failed:\n{_end_of(done.stdout)}")


@contextmanager
def _own() -> Iterator[Engine]:
    OWN.mkdir(parents=True, exist_ok=True)
    told = "Docker's daemon, started for this in .build/docker and stopped afterwards"
    engine = Engine(f"unix://{OWN_SOCKET}", told, is_own=True)
    with (OWN / "users").open("w") as users:
        with _turn():
            if not _answers(engine):
                _start(engine)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield engine
        finally:
            with _turn():
                if _is_last(users.fileno()):
                    _stop()


@contextmanager
def _turn() -> Iterator[None]:
    """Only one command at a time starts or stops it."""
    with (OWN / "turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(engine: Engine) -> None:
    """In a session of its own, so that a Ctrl-C does not end it before the containers are cleared away."""
    command = [
        *("setsid", "--fork", "dockerd"),
        *("--data-root", str(OWN / "data")),
        *("--exec-root", str(OWN / "exec")),
        *("--host", engine.host),
        *("--pidfile", str(OWN_PIDFILE)),
        *("--group", str(os.getgid())),
    ]
    environ = with_system_programs(os.environ)
    if os.geteuid() != 0:  # sudo has a path of its own
        command = ["env", f"PATH={environ['PATH']}", *command]
    with OWN_LOG.open("wb") as log:
        subprocess.run(as_root(*command), env=environ, stdout=log, stderr=subprocess.STDOUT, check=False)
    started_s = time.monotonic()
    while not _answers(engine):
        waited_s = time.monotonic() - started_s
        if waited_s > START_WITHIN_S or (waited_s > START_GRACE_S and not _is_alive(_pid())):
            _stop()
            raise ObstacleError(
                f"No container engine is running, and Docker's daemon can't be started here. The end of {OWN_LOG}:\n"
                f"{_end_of(OWN_LOG.read_text(errors='replace'))}"
            )
        time.sleep(POLL_S)


def _stop() -> None:
    """Ask, and wait until it is gone."""
    pid = _pid()
    if not _is_alive(pid):
        return
    subprocess.run(as_root("kill", str(pid)), check=False)
    ends_s = time.monotonic() + STOP_WITHIN_S
    while _is_alive(pid):
        if time.monotonic() > ends_s:
            _tell(f"Docker's daemon (process {pid}) does not stop. Its log: {OWN_LOG}")
            return
        time.sleep(POLL_S)


def _answers(engine: Engine) -> bool:
    return OWN_SOCKET.exists() and engine.docker("info", "--format", "{{.ServerVersion}}").returncode == 0


def _pid() -> int | None:
    try:
        return int(OWN_PIDFILE.read_text())
    except (OSError, ValueError):
        return None


def _is_alive(pid: int | None) -> bool:
    """Whether that process is a Docker daemon: the number in an old file may by now be another's."""
    try:
        return pid is not None and Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd"
    except OSError:
        return False


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def _end_of(text: str, *, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
