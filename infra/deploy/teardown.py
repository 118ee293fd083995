"""`make teardown`: deletes a stage's stack and keeps its data, unless the data is to go as well.

All is asked before anything is done, and each part may be repeated: a run finishes what an earlier one left.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

import boto3
from botocore.exceptions import ClientError, WaiterError

from infra.deploy import deploy, stack
from infra.deploy.deploy import DeploymentError
from infra.deploy.kept import Keepers, Kept
from llm_router import aws

LOOKED_AT_EVERY_S = 5.0
AGAIN = "It is safe to run make teardown again: it goes on where this run ended."

GOES = """  the functions, the address and its throttling, the alarms and their topic, the page's address, the roles,
  the logs, and with them records that only the log holds (llm-router replay puts those into the ledger)"""


class TeardownError(Exception):
    """Ends the teardown; its words are for the operator."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`confirm` is the stack's name where no terminal is there to type it at."""

    stage: str
    region: str
    delete_data: bool = False
    confirm: str = ""

    @property
    def stack_name(self) -> str:
        return stack.stack_name(self.stage)


def main(arguments: Sequence[str] | None = None) -> int:
    session = boto3.Session()
    asked = _asked(arguments, default_region=session.region_name or stack.DEFAULT_REGION)
    try:
        account = deploy.account_of(session.client("sts", region_name=asked.region))
        print(f"Stage {asked.stage} in account {account}, region {asked.region}.", flush=True)
        cloudformation = session.client("cloudformation", region_name=asked.region)
        keepers = Keepers(
            dynamodb=session.client("dynamodb", region_name=asked.region),
            s3=session.client("s3", region_name=asked.region),
            ssm=session.client("ssm", region_name=asked.region),
        )
        tear_down(asked, cloudformation, keepers, terminal=sys.stdin)
    except (TeardownError, DeploymentError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except (*aws.UNREACHABLE, WaiterError) as error:
        print(f"\nAWS could not be used: {error}\n{AGAIN}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nEnded. What AWS was told to delete, it goes on deleting. {AGAIN}", file=sys.stderr)
        return 130
    return 0


def _asked(arguments: Sequence[str] | None, *, default_region: str) -> Asked:
    parser = argparse.ArgumentParser(prog="make teardown", description=__doc__)
    parser.add_argument("--stage", type=stack.stage_name, default="prod")
    parser.add_argument("--region", default="")
    parser.add_argument("--delete-data", choices=["", "true", "false"], default="")
    parser.add_argument("--confirm", default="")
    given = parser.parse_args(arguments)
    return Asked(
        stage=given.stage,
        region=given.region or default_region,
        delete_data=given.delete_data == "true",
        confirm=given.confirm,
    )


def tear_down(
    asked: Asked,
    cloudformation: Any,
    keepers: Keepers,
    *,
    terminal: TextIO,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Raises TeardownError where nobody has agreed, or where the stack stays."""
    found = Deletion.of(cloudformation, asked.stack_name, sleep=sleep)
    kept = keepers.kept(stage=asked.stage, region=asked.region)
    if found is None and not kept:
        print(f"There is no stack {asked.stack_name}, and nothing is left of it.")
        return
    print(_plan(asked, kept, is_there=found is not None), flush=True)
    _agree(asked, kept, terminal, is_there=found is not None)
    if found:
        found.finish()
        print(f"The stack {asked.stack_name} is deleted.", flush=True)
        kept = keepers.kept(stage=asked.stage, region=asked.region)
    if asked.delete_data:
        for deleted in keepers.delete(kept):
            print(f"  deleted: {deleted}", flush=True)
    elif kept:
        print("\n".join(["", "Kept:", *kept.lines(), "To delete it for good:", *kept.commands(region=asked.region)]))


def _plan(asked: Asked, kept: Kept, *, is_there: bool) -> str:
    lines = ["", f"The stack {asked.stack_name} will be deleted, and with it", GOES] if is_there else []
    lines += [] if is_there else ["", f"There is no stack {asked.stack_name}."]
    if kept and asked.delete_data:
        lines += ["", "DELETED FOR GOOD AS WELL (usage, client keys, the page, providers' keys):", *kept.lines()]
    elif kept:
        lines += ["", "What stays:", *kept.lines()]
    return "\n".join(lines)


def _agree(asked: Asked, kept: Kept, terminal: TextIO, *, is_there: bool) -> None:
    """Both questions come before anything is done. Raises TeardownError without a yes to each that is due."""
    questions = [f"Type {asked.stack_name} to delete the stack: "] if is_there else []
    questions += [f"Type {asked.stack_name} to delete its data for good: "] if kept and asked.delete_data else []
    for question in questions:
        if asked.confirm:
            typed = asked.confirm
        elif terminal.isatty():
            print(question, end="", flush=True)
            typed = terminal.readline().strip()
        else:
            raise TeardownError(
                "There is no terminal to ask at, so nothing was deleted. "
                f"If it is what you want, say CONFIRM={asked.stack_name}."
            )
        if typed != asked.stack_name:
            raise TeardownError(f"That is not {asked.stack_name}, so nothing was deleted.")


@dataclass(slots=True)
class Deletion:
    """A stack on its way out. Followed by its id, under which AWS knows it also when it is gone."""

    cloudformation: Any
    name: str
    stack_id: str
    status: str
    sleep: Callable[[float], None]
    told: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, cloudformation: Any, name: str, *, sleep: Callable[[float], None]) -> Deletion | None:
        """None where there is no stack of that name."""
        try:
            found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if aws.error_code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        return cls(cloudformation, name, found["StackId"], found["StackStatus"], sleep)

    def finish(self) -> None:
        """Delete it and wait, telling what happens. Raises TeardownError with AWS's reasons where it stays."""
        if self.status == "DELETE_IN_PROGRESS":
            print("It is being deleted already.", flush=True)
        elif self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS":
            raise TeardownError(f"AWS is still at work on {self.name} ({self.status}). Wait for its end and try again.")
        else:
            self._start()
        while (status := self._status()) == "DELETE_IN_PROGRESS":
            self._tell()
            self.sleep(LOOKED_AT_EVERY_S)
        self._tell()
        if status != "DELETE_COMPLETE":
            raise TeardownError(f"The stack was not deleted ({status}):\n{self._reasons()}\nMend that. {AGAIN}")

    def _start(self) -> None:
        """What happened before is not told."""
        self.told.update(event["EventId"] for event in self._events())
        print("Deleting; the page's address alone takes AWS some minutes.", flush=True)
        self.cloudformation.delete_stack(StackName=self.stack_id)

    def _status(self) -> str:
        return str(self.cloudformation.describe_stacks(StackName=self.stack_id)["Stacks"][0]["StackStatus"])

    def _tell(self) -> None:
        for event in self._events():
            if event["EventId"] not in self.told:
                self.told.add(event["EventId"])
                at: datetime = event["Timestamp"]
                print(f"  {at:%H:%M:%S} {event['ResourceStatus']:18} {event['LogicalResourceId']}", flush=True)

    def _reasons(self) -> str:
        failed = [event for event in self._events() if event["ResourceStatus"] == "DELETE_FAILED"]
        lines = [
            f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason')}" for event in failed
        ]
        return "\n".join(lines) or "  AWS gives no reason."

    def _events(self) -> list[Any]:
        """Of the deletion under way, or else of what was last done; oldest first."""
        pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.stack_id)
        events: list[Any] = []
        for event in (event for page in pages for event in page["StackEvents"]):
            events.append(event)
            own = event.get("PhysicalResourceId") == self.stack_id
            if own and event["ResourceStatus"].endswith("_IN_PROGRESS"):
                break
        return events[::-1]


if __name__ == "__main__":
    sys.exit(main())
