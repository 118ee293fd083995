"""Sees to it that .aws-sam holds a build of these sources for this machine's processor, and builds only when not.

The mark of a build lies in the folder that `sam build` empties, so a build of anything else takes it away.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.sam.build import BUILD, ROOT
from infra.sam.obstacles import ObstacleError

SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
MARK = BUILD / "built-from"

SOURCES = ("functions", "layers/shared", "template.yaml", "infra/sam/build.py", "infra/sam/requirements.txt")
"""What goes into the build. The configuration and the page are used from where they are."""


def ensure(*, arch: str) -> None:
    """Raises ObstacleError."""
    wanted = f"{arch} {fingerprint(ROOT / source for source in SOURCES)}"
    if MARK.is_file() and MARK.read_text() == wanted:
        return
    print(
        f"Building for {arch}, as .aws-sam holds no build of these sources (about half a minute) ...",
        file=sys.stderr,
        flush=True,
    )
    done = subprocess.run(
        [str(SAM_PYTHON), str(ROOT / "infra" / "sam" / "build.py"), "--arch", arch],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise ObstacleError(f"The build failed:\n{done.stdout}")
    MARK.write_text(wanted)


def fingerprint(sources: Iterable[Path]) -> str:
    """Changes with any file's name or content, and with nothing else."""
    digest = hashlib.sha256()
    for source in sources:
        for path in _files(source):
            digest.update(
                f"{path.relative_to(source.parent)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
            )
    return digest.hexdigest()


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
