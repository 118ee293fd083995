"""The way an owner of an account checks a deployment, tried on the emulated one: by its name, its region and a key."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stack.deployed_stack import refuse_leaks

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
    not_kept = "encrypted or policy_is_not_public or one_item_of_the_state_table"
    code, output = make_e2e(*BY_NAME, "--", "-k", f"not ({not_kept})")
    assert code == 0, output[-3000:]
    assert int(re.search(r"(\d+) passed", output)[1]) > 100
    assert "what it costs:" in output
    assert "not applicable to a real stack, as it needs providers that fail on command:" in output
    refuse_leaks(output, stack=stack)


@pytest.mark.emulated_only("is a run against a stack by its name itself")
def test_a_red_run_shows_that_the_key_does_not_open_and_not_the_key(stack):
    secret = "B" * 43
    # The places where a test sends the key, or searches what comes back for it.
    code, output = make_e2e(*BY_NAME, "--", "-k", "doors or page or records", LLM_ROUTER_KEY=f"llmr_zzzzzzzz_{secret}")
    assert code != 0
    assert "FAILED tests/stack/test_doors.py::test_a_key_opens_in_either_header" in output
    refuse_leaks(output, secret, stack=stack)


REFUSED = {
    "a region without a stack": (["--region", "us-east-1"], {}, "give its name too, STACK="),
    "no client key": (BY_NAME, {"LLM_ROUTER_KEY": ""}, "export LLM_ROUTER_KEY=llmr_"),
    "a provider's key for a client key": (BY_NAME, {"LLM_ROUTER_KEY": "sk-nothing"}, "holds no client key"),
    "a stack that is not there": (["--stack", "no-such-stack", *BY_NAME[2:]], {}, "no-such-stack"),
    "no credentials": (BY_NAME, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "aws sso login"),
}


@pytest.mark.emulated_only("is a run against a stack by its name itself")
@pytest.mark.parametrize(("arguments", "environ", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_every_test_would_fail_for_is_told_once_before_any(arguments, environ, words):
    code, output = make_e2e(*arguments, **environ)
    assert code != 0
    assert words in output
    assert "test session starts" not in output
    assert "Traceback" not in output
