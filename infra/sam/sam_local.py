"""`make sam-local`: the built functions in containers, every event and the API, against a run of its own.

The memory of the template is enforced by the engine. The local API's containers also get the share of a processor that
Lambda gives at that size: one at 1,769 MB (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import processes
from infra.sam import invoke, local_lambda
from infra.sam.build import ROOT
from infra.sam.local_lambda import LocalLambda
from infra.sam.obstacles import ObstacleError

READY_WITHIN_S = 180.0
STOP_WITHIN_S = 30.0
MB_A_PROCESSOR = 1769
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the local API, and the status that it must get."""

    method: str
    path: str
    status: int
    body: bytes | None = None


CALLS = (
    Call("GET", "/health", 200),
    Call("HEAD", "/health", 200),
    Call("POST", "/generate", 200, b'{"prompt": "What is a router?"}'),
    Call("POST", "/generate", 400, b'{"prompt": 42}'),
    Call("POST", "/generate", 400, b"{"),
    Call("POST", "/estimate", 200, b'{"prompt": "What is a router?"}'),
    Call("GET", "/stats", 200),
    Call("GET", "/providers", 200),
    Call("PUT", "/providers/demo-steady", 200, b'{"enabled": true}'),
    Call("PUT", "/providers/nobody", 404, b'{"enabled": true}'),
    Call("GET", "/v1/models", 200),
    Call("GET", "/v1/models/auto", 200),
)


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    started_s = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="sam-local-") as scratch:
            state_dir = Path(scratch)
            with _run(state_dir), local_lambda.ready(state_dir) as prepared:
                broken = invoke.run_all(prepared) + _drive_api(prepared)
    except ObstacleError as obstacle:
        print(f"\n{obstacle}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    print(f"sam local took {time.monotonic() - started_s:.0f} s in all.")
    return 1 if broken else 0


@contextmanager
def _run(state_dir: Path) -> Iterator[None]:
    """A run of its own, with the demonstrations for providers whatever keys are in the environment."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    environ |= {"PORT": str(_free_port()), "STATE_DIR": str(state_dir), "HOST": "127.0.0.1"}
    for name in ("PROVIDERS_FILE", "REQUIRE_CLIENT_KEY"):
        environ.pop(name, None)
    child = processes.start("infra.local.run", [], environ=environ, log=state_dir / "log" / "run.log")
    try:
        _until(lambda: child.has_ended or (state_dir / "run.json").exists(), what="the local run")
        if child.has_ended:
            raise ObstacleError(f"The local run did not start:\n{child.last_words()}")
        yield
    finally:
        processes.stop(child)


def _drive_api(prepared: LocalLambda) -> int:
    """The number of calls that did not get what they must."""
    port = _free_port()
    before = _containers(prepared)
    log = prepared.logs / "start-api.log"
    command = prepared.sam_local("start-api", "--port", str(port), "--warm-containers", "EAGER")
    with log.open("wb") as noise:
        api = subprocess.Popen(command, env=prepared.environ, stdout=noise, stderr=noise, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            _until(lambda: api.poll() is not None or processes.answers(f"{url}/health"), what="sam local start-api")
            if api.poll() is not None:
                raise ObstacleError(f"sam local start-api ended:\n{_end_of(log)}")
            shared = _share_processor(prepared, _containers(prepared) - before)
            print(f"The API in {len(shared)} containers: {', '.join(shared)}.")
            return sum(not _call(url, call) for call in CALLS)
        finally:
            api.send_signal(signal.SIGINT)
            try:
                api.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                api.kill()


def _call(url: str, call: Call) -> bool:
    started_s = time.monotonic()
    request = urllib.request.Request(url + call.path, data=call.body, method=call.method)  # noqa: S310  # our own server
    request.add_header("content-type", "application/json")
    try:
        with _DIRECT.open(request, timeout=60) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
    took_ms = (time.monotonic() - started_s) * 1000
    verdict = "" if status == call.status else f"  NOT {call.status}"
    print(f"{call.method:<5}{call.path:<24}{took_ms:7.0f} ms  status {status}{verdict}", flush=True)
    return not verdict


def _share_processor(prepared: LocalLambda, containers: set[str]) -> list[str]:
    """Each container's memory and the share of a processor that it now has."""
    told = []
    for container in sorted(containers):
        found = json.loads(_docker(prepared, "inspect", "--format", "{{json .HostConfig.Memory}}", container))
        memory_mb = int(found) // 2**20
        share = min(1.0, memory_mb / MB_A_PROCESSOR)
        _docker(prepared, "update", "--cpus", f"{share:.3f}", container)
        told.append(f"{memory_mb} MB and {share:.2f} of a processor")
    return told


def _containers(prepared: LocalLambda) -> set[str]:
    return set(_docker(prepared, "ps", "--quiet", "--no-trunc").split())


def _docker(prepared: LocalLambda, *arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], env=prepared.environ, check=False, capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        raise ObstacleError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _until(condition: Callable[[], bool], *, what: str) -> None:
    try:
        processes.until(condition, limit_s=READY_WITHIN_S)
    except TimeoutError as error:
        raise ObstacleError(f"{what}: not ready within {READY_WITHIN_S:.0f} s") from error


def _free_port() -> int:
    with processes.listening("127.0.0.1", 0) as found:
        port: int = found.getsockname()[1]
        return port


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
