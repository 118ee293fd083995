"""`make teardown`: what goes, what stays, who was asked, and what is left to the next run."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.deploy import provider_key, teardown
from infra.deploy.kept import Keepers
from infra.deploy.teardown import Asked, TeardownError
from infra.local import template

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOTHING_LISTENS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
NAME = "llm-router-dev"
LEDGER, STATE, BUCKET = f"{NAME}-LedgerTable-1AB2C", f"{NAME}-StateTable-3DE4F", f"{NAME}-pagebucket-a1b2c3"
NEIGHBOURS = ["llm-router-dev-2-LedgerTable-1AB2C", "llm-router-prod-StateTable-3DE4F", "dev-LedgerTable-1AB2C"]
NEIGHBOUR_BUCKET, BUCKET_ELSEWHERE = "llm-router-dev-2-pagebucket-a1b2c3", f"{NAME}-pagebucket-elsewhere"
GONE = ClientError(
    {"Error": {"Code": "ValidationError", "Message": f"Stack with id {NAME} does not exist"}}, "DescribeStacks"
)


class CloudFormation:
    """One stack. Each look at it while it is being deleted takes the next of `course`: its state and new events."""

    def __init__(self, status="CREATE_COMPLETE", course=(("DELETE_COMPLETE", ()),)):
        self.status = status
        self.course = list(course)
        self.deleted = 0
        self.events = [] if status is None else [event(NAME, "CREATE_IN_PROGRESS", of=NAME)]
        if status == "DELETE_IN_PROGRESS":
            self.events.append(event(NAME, "DELETE_IN_PROGRESS", of=NAME))

    def describe_stacks(self, **asked):
        by_name = asked["StackName"] == NAME
        if self.status is None or (by_name and self.status == "DELETE_COMPLETE"):
            raise GONE
        if not by_name and self.status == "DELETE_IN_PROGRESS" and self.course:
            step = self.course.pop(0)
            if isinstance(step, BaseException):
                raise step
            self.status, told = step
            self.events += told
        return {"Stacks": [{"StackId": f"arn:{NAME}", "StackName": NAME, "StackStatus": self.status}]}

    def delete_stack(self, **asked):
        assert asked["StackName"] == f"arn:{NAME}"
        self.deleted += 1
        self.status = "DELETE_IN_PROGRESS"
        self.events.append(event(NAME, "DELETE_IN_PROGRESS", of=NAME))

    def get_paginator(self, operation):
        assert operation == "describe_stack_events"
        return self

    def paginate(self, **asked):
        assert asked["StackName"] == f"arn:{NAME}"
        yield {"StackEvents": self.events[::-1]}


def event(resource, status, reason=None, *, of=None):
    event.number += 1
    told = {"EventId": str(event.number), "Timestamp": NOW, "LogicalResourceId": resource, "ResourceStatus": status}
    physical = f"arn:{of}" if of else f"physical-{resource}"
    return told | {"PhysicalResourceId": physical} | ({"ResourceStatusReason": reason} if reason else {})


event.number = 0


class Typing(io.StringIO):
    """A terminal at which these lines are typed."""

    def __init__(self, *lines):
        super().__init__("".join(f"{line}\n" for line in lines))

    def isatty(self):
        return True


@pytest.fixture
def account():
    """With what a stage keeps, and with what belongs to others."""
    with mock_aws():
        dynamodb, s3, ssm = (boto3.client(name, region_name=REGION) for name in ("dynamodb", "s3", "ssm"))
        for table in [LEDGER, STATE, *NEIGHBOURS]:
            template.create_table(dynamodb, logical_name="StateTable", name=table)
        for bucket, region in [(BUCKET, REGION), (NEIGHBOUR_BUCKET, REGION), (BUCKET_ELSEWHERE, "eu-west-1")]:
            here = boto3.client("s3", region_name=region)
            here.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
            here.put_object(Bucket=bucket, Key="stats.json", Body=b"{}")
        for provider, stage in [*((f"provider{n}", "dev") for n in range(12)), ("groq", "prod"), ("groq", "dev-2")]:
            provider_key.store(ssm, provider=provider, stage=stage, key="made-up")
        yield Keepers(dynamodb=dynamodb, s3=s3, ssm=ssm)


def tear_down(cloudformation, account, *typed, terminal=None, **options):
    slept = []
    asked = Asked(stage="dev", region=REGION, **options)
    teardown.tear_down(asked, cloudformation, account, terminal=terminal or Typing(*typed), sleep=slept.append)
    return slept


def everything(account):
    tables = set(account.dynamodb.list_tables()["TableNames"])
    buckets = {bucket["Name"] for bucket in account.s3.list_buckets()["Buckets"]}
    pages = account.ssm.get_paginator("describe_parameters").paginate()
    return tables, buckets, {parameter["Name"] for page in pages for parameter in page["Parameters"]}


def test_the_stack_goes_and_its_data_stays_with_the_commands_that_would_delete_it(account, capsys):
    before, stack = everything(account), CloudFormation()
    tear_down(stack, account, NAME)
    assert (stack.deleted, everything(account)) == (1, before)
    shown, told = capsys.readouterr().out.split("is deleted.")
    assert "What stays:" in shown
    for name in (LEDGER, STATE):
        assert f"aws dynamodb delete-table --table-name {name} --region {REGION}" in told
    assert f"aws s3 rb --force s3://{BUCKET} --region {REGION}" in told
    commands = [line for line in told.splitlines() if "ssm delete-parameters" in line]
    assert [line.count("/llm-router/dev/providers/") for line in commands] == [10, 2]
    assert "made-up" not in shown + told


def test_what_belongs_to_another_stage_region_or_project_is_neither_shown_nor_deleted(account, capsys):
    _, _, parameters = everything(account)
    tear_down(CloudFormation(), account, NAME, NAME, delete_data=True)
    assert everything(account) == (
        set(NEIGHBOURS),
        {NEIGHBOUR_BUCKET, BUCKET_ELSEWHERE},
        {name for name in parameters if not name.startswith("/llm-router/dev/")},
    )
    told = capsys.readouterr().out
    assert not [name for name in [*NEIGHBOURS, NEIGHBOUR_BUCKET, BUCKET_ELSEWHERE] if f" {name}\n" in told]


@pytest.mark.parametrize("typed", [[""], ["yes"], ["llm-router-prod"], ["LLM-ROUTER-DEV"], []])
def test_nothing_is_deleted_without_the_stacks_name(account, typed):
    before, stack = everything(account), CloudFormation()
    with pytest.raises(TeardownError, match="nothing was deleted"):
        tear_down(stack, account, *typed, delete_data=True)
    assert (stack.deleted, everything(account)) == (0, before)


def test_a_yes_to_the_stack_is_none_to_the_data(account):
    before, stack = everything(account), CloudFormation()
    with pytest.raises(TeardownError, match="nothing was deleted"):
        tear_down(stack, account, NAME, "no", delete_data=True)
    assert (stack.deleted, everything(account)) == (0, before)


def test_where_no_terminal_is_the_name_must_be_said_otherwise(account):
    stack = CloudFormation()
    with pytest.raises(TeardownError, match=f"CONFIRM={NAME}"):
        tear_down(stack, account, terminal=io.StringIO(f"{NAME}\n"))
    with pytest.raises(TeardownError, match="nothing was deleted"):
        tear_down(stack, account, terminal=io.StringIO(), confirm="llm-router-prod")
    assert stack.deleted == 0
    tear_down(stack, account, terminal=io.StringIO(), confirm=NAME)
    assert stack.deleted == 1


def test_each_step_is_told_once_and_what_came_before_not_at_all(account, capsys):
    course = [
        ("DELETE_IN_PROGRESS", [event("RouterFunction", "DELETE_IN_PROGRESS")]),
        ("DELETE_IN_PROGRESS", [event("RouterFunction", "DELETE_COMPLETE")]),
        ("DELETE_COMPLETE", [event("LedgerTable", "DELETE_SKIPPED"), event(NAME, "DELETE_COMPLETE", of=NAME)]),
    ]
    slept = tear_down(CloudFormation(course=course), account, NAME)
    assert slept == [teardown.LOOKED_AT_EVERY_S] * 2
    told = [line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("  12:00:00")]
    assert told == [
        ["DELETE_IN_PROGRESS", NAME],
        ["DELETE_IN_PROGRESS", "RouterFunction"],
        ["DELETE_COMPLETE", "RouterFunction"],
        ["DELETE_SKIPPED", "LedgerTable"],
        ["DELETE_COMPLETE", NAME],
    ]


def test_a_failed_deletion_gives_its_own_reasons_and_deletes_no_data(account):
    failed = event("RouterRole", "DELETE_FAILED", "Cannot delete entity, must detach all policies first.")
    stack = CloudFormation(course=[("DELETE_FAILED", [failed])])
    stack.events.append(event("Old", "DELETE_FAILED", "of long ago"))
    before = everything(account)
    with pytest.raises(TeardownError, match="RouterRole: Cannot delete entity") as told:
        tear_down(stack, account, NAME, NAME, delete_data=True)
    assert "of long ago" not in str(told.value)
    assert "safe to run make teardown again" in str(told.value)
    assert everything(account) == before


def test_a_failed_deletion_is_finished_by_the_next_run(account):
    stack = CloudFormation(status="DELETE_FAILED")
    tear_down(stack, account, NAME)
    assert stack.status == "DELETE_COMPLETE"


def test_one_that_is_under_way_is_waited_for_and_not_begun_again(account, capsys):
    stack = CloudFormation(status="DELETE_IN_PROGRESS")
    tear_down(stack, account, NAME)
    assert (stack.deleted, stack.status) == (0, "DELETE_COMPLETE")
    assert "is being deleted already" in capsys.readouterr().out


def test_a_stack_that_is_being_deployed_is_left_alone(account):
    stack = CloudFormation(status="UPDATE_IN_PROGRESS")
    with pytest.raises(TeardownError, match="still at work"):
        tear_down(stack, account, NAME)
    assert stack.deleted == 0


def test_a_run_that_was_ended_between_stack_and_data_is_finished_by_the_next(account, capsys):
    stack = CloudFormation(course=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        tear_down(stack, account, NAME, NAME, delete_data=True)
    stack.course = [("DELETE_COMPLETE", ())]
    tear_down(stack, account, NAME)
    capsys.readouterr()
    account.dynamodb.delete_table(TableName=LEDGER)
    tear_down(CloudFormation(status=None), account, NAME, delete_data=True)
    told = capsys.readouterr().out
    assert f"There is no stack {NAME}." in told
    assert f"deleted: table {STATE}" in told
    assert LEDGER not in told
    tear_down(CloudFormation(status=None), account, delete_data=True)
    assert "nothing is left of it" in capsys.readouterr().out


def test_without_a_stack_what_is_left_is_shown_and_nobody_is_asked(account, capsys):
    before = everything(account)
    tear_down(CloudFormation(status=None), account)
    assert f"--table-name {LEDGER}" in capsys.readouterr().out
    assert everything(account) == before


def test_what_is_deleted_by_another_meanwhile_is_no_failure(account):
    kept = account.kept(stage="dev", region=REGION)
    list(account.delete(kept))
    assert len(list(account.delete(kept))) == 15


def test_older_versions_of_the_pages_files_go_too(account):
    account.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        account.s3.put_object(Bucket=BUCKET, Key="stats.json", Body=body)
    account.s3.delete_object(Bucket=BUCKET, Key="stats.json")
    tear_down(CloudFormation(status=None), account, NAME, delete_data=True)
    assert BUCKET not in everything(account)[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--region", "", "--delete-data", "", "--confirm", ""], Asked("prod", REGION)),
        (["--stage", "dev", "--delete-data", "true"], Asked("dev", REGION, delete_data=True)),
        (["--delete-data", "false", "--confirm", "x"], Asked("prod", REGION, confirm="x")),
    ],
)
def test_the_command_line_keeps_the_data_unless_told_otherwise(arguments, expected):
    assert teardown._asked(arguments, default_region=REGION) == expected


@pytest.mark.parametrize("said", ["yes", "TRUE", "1"])
def test_a_half_understood_wish_to_delete_data_deletes_nothing(said, capsys):
    with pytest.raises(SystemExit):
        teardown._asked(["--delete-data", said], default_region=REGION)
    assert "invalid choice" in capsys.readouterr().err


def test_ctrl_c_says_that_aws_goes_on_and_how_to_go_on(account, monkeypatch, capsys):
    del account

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(teardown, "tear_down", interrupted)
    assert teardown.main(["--stage", "dev", "--region", REGION]) == 130
    told = capsys.readouterr().err
    assert "it goes on deleting" in told
    assert teardown.AGAIN in told


def test_an_aws_that_cannot_be_reached_is_told_without_a_traceback():
    ended = subprocess.run(
        [sys.executable, "-m", "infra.deploy.teardown", "--stage", "dev", "--confirm", NAME],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": "layers/shared",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_MAX_ATTEMPTS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "AWS credentials are missing or not accepted" in ended.stderr
    assert "Traceback" not in ended.stderr
