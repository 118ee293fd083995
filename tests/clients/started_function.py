"""Starts the streaming function for tests that run in another environment: a program of the project's own one.

    python started_function.py FOLDER PROVIDERS_FILE [BUILD]

Writes one line of JSON when it is ready, `{"url": …, "key": …}`, and ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "layers/shared"), str(ROOT / "tests")]

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

import streaming_function  # noqa: E402  # found by the path above


def main(folder: Path, providers: str, build: str | None) -> None:
    layout = (
        streaming_function.from_build(folder / "lambda", build=Path(build), providers=providers)
        if build
        else streaming_function.from_sources(folder / "lambda", providers=providers)
    )
    with (
        streaming_function.emulated_aws(folder / "aws") as aws,
        streaming_function.deployed(layout, aws, log=folder / "function.log") as instance,
    ):
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{instance.port}", "key": aws.client_key}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).read_text(), sys.argv[3] if len(sys.argv) > 3 else None)
