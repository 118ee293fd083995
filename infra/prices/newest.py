"""Fetches the newest published prices into a folder of its own and prints how they differ from the catalogue.

In a process of its own, because this one may have loaded, or lack, the prices that are installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

DIFFERS = 3
"""The exit code of a comparison that finds differences: 1 is Python's own, of a failure."""


class NotFetchedError(Exception):
    """The newest prices can't be had; pip's own words are on stderr already."""


def differences(options: Sequence[str] = ()) -> bool:
    """Prints them; whether there are any. Raises NotFetchedError."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
        ]
        if subprocess.run([*pip, "--no-deps", "--target", folder, "genai-prices"], check=False).returncode:
            raise NotFetchedError("The newest genai-prices could not be installed.")
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        compare = [sys.executable, "-m", "infra.prices.update", "--diff", *options]
        code = subprocess.run(compare, env=os.environ | {"PYTHONPATH": path}, check=False).returncode
    if code not in (0, DIFFERS):
        raise NotFetchedError("The published prices could not be compared.")
    return code == DIFFERS


def main() -> int:
    try:
        differences()
    except NotFetchedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
