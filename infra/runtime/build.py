"""Builds what is deployed for this machine's processor, into a folder of its own, and only when sources have changed.

`make deploy` builds for Lambda's processor into .aws-sam; nothing that is only tried out here may end up there. Runs
under .venv-sam, as infra/sam/build.py does and for the same reason.
"""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
from pathlib import Path

from infra.sam import build
from infra.sam.build import ROOT
from infra.sam.fresh_build import SOURCES, fingerprint

HOME = ROOT / ".build" / "runtime"
BUILD = HOME / "sam"
LAYERS = {**build.LAYERS, "SharedLayer": BUILD / "SharedLayer"}
"""Where each layer's content lies; two of them are deployed as they are."""

_MARK = BUILD / "built-from"


def main() -> int:
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ensure(arch())


def arch() -> str:
    """What Lambda would call this machine's processor."""
    return {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64"}[platform.machine()]


def _ensure(arch: str) -> int:
    wanted = f"{arch} {fingerprint(ROOT / source for source in SOURCES)}"
    if _MARK.is_file() and _MARK.read_text() == wanted:
        return 0
    print(f"Building for {arch} into {BUILD.relative_to(ROOT)} (about half a minute) ...", flush=True)
    _sam_build(arch)
    build.compile_all(BUILD / "SharedLayer" / "python", runs_at="/opt/python")
    for function in build.FUNCTIONS:
        build.compile_all(BUILD / function, runs_at="/var/task")
    found = build.problems(LAYERS, arch=arch)
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        _MARK.write_text(wanted)
    return 1 if found else 0


def _sam_build(arch: str) -> None:
    """With the environment's own programs first on the path: SAM looks there for python3.13."""
    programs = Path(sys.executable).parent
    environ = {"AWS_DEFAULT_REGION": "us-east-1", **os.environ, "SAM_CLI_TELEMETRY": "0"}
    environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    options = ["--build-dir", str(BUILD), "--parameter-overrides", f"Architecture={arch}"]
    done = subprocess.run(
        [str(programs / "sam"), "build", *options],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"sam build failed:\n{done.stdout}")


if __name__ == "__main__":
    sys.exit(main())
