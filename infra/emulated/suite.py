"""How the suite of a deployed stack is called: against the emulated one, or against a real one by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from subprocess import Popen

from infra.emulated import deployment, emulated_stack
from infra.emulated.emulated_stack import Running
from infra.local import processes
from infra.sam.build import ROOT

KEY_VARIABLE = "LLM_ROUTER_KEY"
STACK, REGION, PROVIDERS_FD = "E2E_STACK", "E2E_REGION", "E2E_PROVIDERS_FD"
"""Which stack is meant, where it is, and, where its providers are scripted, the socket at which it expects them."""


def against_emulated(stack: Running, arguments: Sequence[str] = (), *, quiet: bool = False) -> tuple[int, str]:
    """Exit code and, where `quiet`, what was printed."""
    environ = _without_aws(os.environ) | {
        **deployment.CREDENTIALS,
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        STACK: stack.deployed.stack_name,
        REGION: deployment.REGION,
        KEY_VARIABLE: stack.deployed.client_key,
        PROVIDERS_FD: str(stack.providers.fileno()),
    }
    return _run(arguments, environ, fds=(stack.providers.fileno(),), quiet=quiet)


def against_real(name: str, *, region: str, arguments: Sequence[str] = ()) -> int:
    """With the caller's own AWS credentials, and their client key in LLM_ROUTER_KEY."""
    environ = {key: value for key, value in os.environ.items() if key != PROVIDERS_FD} | {STACK: name, REGION: region}
    return _run(arguments, environ)[0]


def _without_aws(environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing that could lead to a real account, nor through a proxy."""
    kept = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def _run(
    arguments: Sequence[str], environ: Mapping[str, str], *, fds: Sequence[int] = (), quiet: bool = False
) -> tuple[int, str]:
    """`--confcutdir` keeps out the rules of the other tests, which may know no AWS at all."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        f"--confcutdir={emulated_stack.SUITE}",
        "--tb=short",
        "-p",
        "no:cacheprovider",
    ]
    process = Popen(
        [*command, *arguments, str(emulated_stack.SUITE)],
        cwd=ROOT,
        env={**environ, "PYTHONPATH": str(ROOT / "layers" / "shared")},
        pass_fds=fds,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )
    try:
        output, _ = process.communicate()
    finally:
        _stop(process)
    return process.returncode, output or ""


def _stop(process: Popen[str]) -> None:
    """By an interrupt, on which the tests stop what they have started; then insist."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(processes.STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
