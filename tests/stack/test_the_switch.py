"""The way an owner of an account checks a deployment, tried on the emulated one: by its name, its region and a key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack.deployed_stack import leaked

ROOT = Path(__file__).parents[2]
TAKES_S = 170
BY_NAME = ["--stack", "llm-router-emulated", "--region", "us-east-1"]


def make_e2e(*arguments, **environ):
    """What `make e2e STACK=...` runs, with nothing of this run but the address of its AWS and a client key."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("E2E_", "PYTEST_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.emulated.run", *arguments],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": f"{ROOT / 'layers/shared'}:{ROOT}"} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = process.communicate(timeout=TAKES_S)
    finally:
        if process.poll() is None:
            process.terminate()  # on which it stops its own
            process.wait(20)
    return process.returncode, output


@pytest.mark.emulated_only("is a run against a stack by its name itself")
def test_the_suite_runs_against_a_stack_that_is_only_named(stack):
    # What the emulator does not keep cannot be asked of it; every other test of a real stack runs.
    code, output = make_e2e(*BY_NAME, "--", "-k", "not encrypted and not policy_is_not_public")
    assert code == 0, output[-3000:]
    assert int(re.search(r"(\d+) passed", output)[1]) > 100
    assert "what it costs:" in output
    assert "not applicable to a real stack, as it needs providers that fail on command:" in output
    assert not leaked(output, stack=stack)


@pytest.mark.emulated_only("is a run against a stack by its name itself")
def test_without_a_client_key_it_says_what_to_do():
    code, output = make_e2e(*BY_NAME, LLM_ROUTER_KEY="")
    assert code != 0
    assert "LLM_ROUTER_KEY not set" in output
    assert "make e2e STACK=" in output
    assert "Traceback" not in output


@pytest.mark.emulated_only("is a run against a stack by its name itself")
def test_a_stack_that_does_not_exist_turns_it_red():
    code, output = make_e2e("--stack", "no-such-stack", "--region", "us-east-1", "--", "-x")
    assert code != 0
    assert "no-such-stack" in output
