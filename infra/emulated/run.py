"""`make e2e`: checks a deployed stack from outside. Its own, in an emulated AWS, or a real one that is named.

Without STACK it builds what has changed, starts an emulated AWS that enforces IAM, deploys the built template to it as
far as the emulator goes, and drives it. What had to be adapted for the emulator is printed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import boto3

from infra.deploy import deploy, stack
from infra.emulated import deployment, emulated_stack, emulator, suite
from infra.emulated.emulated_stack import StartError, say, timed
from llm_router import aws

CLIENT_KEY_PATTERN = "llmr_[^_]+_.+"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make e2e", description=__doc__)
    parser.add_argument("--stack", default="", help="a deployed stack's name; without one, an emulated stack is made")
    parser.add_argument("--region", default="", help="the stack's region; without one, your profile's")
    parser.add_argument("pytest", nargs="*", help="further arguments of pytest's, after --")
    asked = parser.parse_args(arguments)
    if asked.region and not asked.stack:
        parser.error("REGION is where a stack of yours is: give its name too, STACK=llm-router-prod")
    stop_on_signals()
    started_s = time.monotonic()
    try:
        code = _real(asked) if asked.stack else _emulated(asked.pytest)
    except StartError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped, with all that was started.", file=sys.stderr)
        return 130
    say(f"{'Green' if code == 0 else 'Red'} after {time.monotonic() - started_s:.0f} s in all.")
    return code


def stop_on_signals() -> None:
    """As an exception, so that all that was started is stopped on the way out."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)  # a shell that runs this in its background has it ignored


def _real(asked: argparse.Namespace) -> int:
    """Raises StartError before any test, where each of them would fail for one and the same reason."""
    if not re.fullmatch(CLIENT_KEY_PATTERN, os.environ.get(suite.KEY_VARIABLE, "")):
        raise StartError(
            f"{suite.KEY_VARIABLE} holds no client key of the stack. Give one that opens its door:\n"
            f"  export {suite.KEY_VARIABLE}=llmr_...\n  make e2e STACK={asked.stack} REGION={asked.region or '...'}"
        )
    session = boto3.Session()
    region = asked.region or session.region_name or stack.DEFAULT_REGION
    account = _account(session.client("sts", region_name=region))
    _require_stack(session.client("cloudformation", region_name=region), asked.stack)
    say(f"Checking the stack {asked.stack} in {region}, account {account}.")
    return suite.against_real(asked.stack, region=region, arguments=asked.pytest)


def _account(sts: Any) -> str:
    try:
        return deploy.account_of(sts)
    except deploy.DeploymentError as error:
        raise StartError(str(error)) from error


def _require_stack(cloudformation: Any, name: str) -> None:
    try:
        (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        stack.outputs_of({output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])})
    except aws.UNREACHABLE as error:
        raise StartError(
            f"The stack {name} cannot be read: {error}\nmake deploy names it by its stage: llm-router-prod."
        ) from error
    except KeyError as error:
        raise StartError(f"The stack {name} is none of this router's: it has no output {error}.") from error


def _emulated(arguments: Sequence[str]) -> int:
    arch = emulated_stack.this_arch()
    say(f"The stack of this checkout, for {arch}, in an emulated AWS:")
    with timed("build what has changed", say):
        emulated_stack.ensure_built(arch)
    with emulated_stack.running(deployment.read(emulated_stack.BUILT_TEMPLATE), arch=arch, told=say) as running:
        say("Every resource of the template is deployed. Adapted for the emulator:")
        for adaptation in running.deployed.adaptations:
            say(f"  - {adaptation.what}\n    because {adaptation.why}")
        say("Adapted in the emulator:")
        for what, why in emulator.MENDED.items():
            say(f"  - {what}\n    because {why}")
        with timed("drive the stack", say):
            code, _ = suite.against_emulated(running, arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
