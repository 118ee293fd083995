"""Builds what is deployed: runs `sam build`, compiles the Python in it, and checks what came out.

Runs under .venv-sam, whose Python is the one that Lambda has: compiled files are good for one version only.
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam" / "build"

LAYERS = {
    "SharedLayer": BUILD / "SharedLayer",
    "ConfigLayer": ROOT / "layers/config",
    "VocabularyLayer": ROOT / "layers/vocabulary",
    "PageLayer": ROOT / "infra/dashboard",
}
"""Where each layer's content lies after the build. Those that need no building are deployed from where they are."""

FUNCTIONS = {name: BUILD / name for name in ("RouterFunction", "StreamingFunction", "StatsFunction")}
STARTED = ("StreamingFunction/run.sh",)
"""What Lambda starts as a program; the zip keeps whether it may."""

LAYER_MB_AT_MOST = 60

ELF_MACHINES = {"arm64": 183, "x86_64": 62}
"""`e_machine` in the ELF header (elf.h: EM_AARCH64, EM_X86_64)."""

BROUGHT_BY_LAMBDA = ("boto3", "botocore")
"""They would add 36 MB to the layer."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=sorted(ELF_MACHINES), default="arm64")
    arch: str = parser.parse_args().arch
    _sam_build(arch)
    compile_all(LAYERS["SharedLayer"] / "python", runs_at="/opt/python")
    for folder in FUNCTIONS.values():
        compile_all(folder, runs_at="/var/task")
    for name, folder in {**LAYERS, **FUNCTIONS}.items():
        print(f"{name:<17} {megabytes(folder):7.3f} MB unzipped")
    found = [*problems(LAYERS, arch=arch), *foreign(FUNCTIONS, arch=arch), *unstartable(BUILD)]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


def _sam_build(arch: str) -> None:
    """With the environment's own programs first on the path: SAM looks there for python3.13."""
    programs = Path(sys.executable).parent
    environ = {"AWS_DEFAULT_REGION": "us-east-1", **os.environ, "SAM_CLI_TELEMETRY": "0"}
    environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [str(programs / "sam"), "build", "--parameter-overrides", f"Architecture={arch}"]
    if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode != 0:
        sys.exit("sam build failed; its own words stand above.")


def compile_all(folder: Path, *, runs_at: str) -> None:
    """Write the .pyc files that every cold start would else make for itself and throw away.

    Unchecked, because nothing changes a deployed file, and because zipping does not keep the times that Python would
    compare. The paths in them are those at run time, so that the same source gives the same bytes on every machine.
    """
    done = compileall.compile_dir(
        folder,
        quiet=1,
        force=True,
        stripdir=str(folder),
        prependdir=runs_at,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        sys.exit(f"{folder} has Python that does not compile.")


def problems(layers: dict[str, Path], *, arch: str) -> list[str]:
    """What must not be deployed like this, in words."""
    return [*_missing_or_too_large(layers), *_unwanted(layers["SharedLayer"] / "python"), *foreign(layers, arch=arch)]


def _missing_or_too_large(layers: dict[str, Path]) -> Iterator[str]:
    for name, folder in layers.items():
        size_mb = megabytes(folder)
        if size_mb == 0:
            yield f"{name} is empty: there is nothing in {folder}."
        if size_mb >= LAYER_MB_AT_MOST:
            yield f"{name} has {size_mb:.1f} MB; it may have less than {LAYER_MB_AT_MOST}. Cold starts pay for each."


def _unwanted(library: Path) -> Iterator[str]:
    for package in BROUGHT_BY_LAMBDA:
        if (library / package).exists():
            yield f"{package} is in the layer, but Lambda brings it: see what requirements.txt lists or pulls in."


def foreign(folders: dict[str, Path], *, arch: str) -> Iterator[str]:
    """SAM compiles for the machine at hand what it finds no wheel for, and would ship it to another."""
    for path in (path for folder in folders.values() for path in folder.rglob("*.so*")):
        header = path.read_bytes()[:20]
        if header[:4] != b"\x7fELF" or int.from_bytes(header[18:20], "little") != ELF_MACHINES[arch]:
            yield f"{path} is not built for Linux on {arch}."


def unstartable(build: Path) -> Iterator[str]:
    for path in (build / name for name in STARTED):
        if not (path.is_file() and path.stat().st_mode & 0o111 == 0o111):
            yield f"{path} is not there or not executable, so Lambda could not start it: chmod 755 its source."
        elif not path.read_bytes().startswith(b"#!/bin/sh\n"):
            yield f"{path} must begin with #!/bin/sh and a plain line end, or Lambda finds no program to run it."


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1_000_000


if __name__ == "__main__":
    sys.exit(main())
