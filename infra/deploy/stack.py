"""A stack as the operator's scripts see it: its names, the command that deploys it, what it says of itself."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from llm_router import infrastructure
from llm_router.books import Cover

STAGE_PATTERN = "[a-z][a-z0-9-]{0,19}"
"""The template's own, so that a wrong name is refused before anything is built."""

PARAMETER_PATTERN = "[A-Za-z0-9]+"
"""CloudFormation's, for a parameter's name."""

DEFAULT_REGION = "us-east-1"


def stage_name(text: str) -> str:
    """For argparse."""
    if not re.fullmatch(STAGE_PATTERN, text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no stage: give a lower-case letter, then up to 19 lower-case letters, digits and dashes"
        )
    return text


def stack_name(stage: str) -> str:
    return f"llm-router-{stage}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is asked for. `parameters` are further ones of template.yaml, names and values."""

    stage: str
    region: str
    arch: str
    alarm_email: str = ""
    parameters: Sequence[tuple[str, str]] = ()


def deploy_command(sam: str, asked: Deployment) -> list[str]:
    """What is not named here keeps the value of the deployment before; samconfig.toml holds what never changes."""
    parameters = [("Stage", asked.stage), ("Architecture", asked.arch)]
    parameters += [("AlarmEmail", asked.alarm_email)] if asked.alarm_email else []
    parameters += asked.parameters
    return [
        *(sam, "deploy"),
        *("--stack-name", stack_name(asked.stage)),
        *("--region", asked.region),
        *("--s3-prefix", stack_name(asked.stage)),
        *("--parameter-overrides", *(override(name, value) for name, value in parameters)),
    ]


def parameter(text: str) -> tuple[str, str]:
    """A parameter's name and value, for argparse."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(PARAMETER_PATTERN, name):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no Name=value. A value with blanks stands in quotes: PARAMETERS=\"Name='two words'\""
        )
    return name, parameter_value(value)


def parameter_value(text: str) -> str:
    """For argparse. SAM has no way to be given every backslash as it stands, nor a second line."""
    if "\\" in text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} can't be handed to SAM: leave out backslashes and line ends")
    return text


def override(name: str, value: str) -> str:
    """As SAM reads it whatever the value is: unquoted, an empty one is refused and one with blanks is cut."""
    escaped = value.replace('"', '\\"').replace("'", "\\'")
    return f'{name}="{escaped}"'


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the template says of itself once it is deployed. `page_url` is None where the page has no address."""

    api_url: str
    page_url: str | None
    state_table: str
    stats_function: str
    router_logs: str
    streaming_logs: str
    stats_logs: str
    alarm_topic: str


def read_outputs(cloudformation: Any, *, stage: str) -> Outputs:
    """`cloudformation` is a boto3 client. Raises botocore's ClientError where there is no such stack."""
    found = cloudformation.describe_stacks(StackName=stack_name(stage))["Stacks"][0].get("Outputs", [])
    return outputs_of({output["OutputKey"]: output["OutputValue"] for output in found})


def outputs_of(values: Mapping[str, str]) -> Outputs:
    return Outputs(
        api_url=values["ApiUrl"],
        page_url=values.get("PageUrl"),
        state_table=values["StateTable"],
        stats_function=values["StatsFunction"],
        router_logs=values["RouterLogs"],
        streaming_logs=values["StreamingLogs"],
        stats_logs=values["StatsLogs"],
        alarm_topic=values["AlarmTopic"],
    )


class NoStackError(Exception):
    """There is no such stack, or it can't be read; its words are for the operator."""


@dataclass(frozen=True, slots=True)
class Described:
    """A deployed stack's own words on itself."""

    outputs: Mapping[str, str]
    parameters: Mapping[str, str]

    @property
    def log_groups(self) -> list[str]:
        """Of the functions that settle requests."""
        return [self.outputs[name] for name in ("RouterLogs", "StreamingLogs") if name in self.outputs]

    @property
    def cover(self) -> Cover:
        """Of its ledger, as the functions open it."""
        published = infrastructure.published(self.parameters["Architecture"])
        return Cover(
            table=self.outputs["LedgerTable"],
            shards=int(self.parameters["LedgerShards"]),
            retention_days=int(self.parameters["RecordRetentionDays"]),
            prices=replace(published, **infrastructure.parsed(self.parameters["InfrastructurePrices"])),
        )


def described(cloudformation: Any, *, stage: str) -> Described:
    """`cloudformation` is a boto3 client. Raises NoStackError."""
    name = stack_name(stage)
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        raise NoStackError(f"There is no stack {name} here: {error}") from error
    return Described(
        outputs={output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])},
        parameters={given["ParameterKey"]: given["ParameterValue"] for given in found.get("Parameters", [])},
    )
