"""Makes the Python of an emulated function see what Lambda's runtime has: the AWS SDK, its layers, and no more.

The emulator runs functions under its own interpreter, whose packages would hide what a layer lacks. Python imports
this file at its start because the emulator is started with the folder in PYTHONPATH.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

RUNTIME = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"})
"""What Lambda's python3.13 brings: the SDK and what it needs."""


class LambdaRuntime:
    """Finds the runtime's packages in the emulator's environment, after all that the layers have."""

    def __init__(self, packages: list[str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002  # importlib's
        if path is None and name in RUNTIME:
            return PathFinder.find_spec(name, self._packages)
        return None


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    installed = [entry for entry in sys.path if entry.endswith("site-packages")]
    foreign = {*installed, *os.environ.pop("PYTHONPATH", "").split(os.pathsep)} - {str(Path(__file__).parent)}
    sys.path[:] = [entry for entry in sys.path if entry not in foreign]
    sys.meta_path.append(LambdaRuntime(installed))
