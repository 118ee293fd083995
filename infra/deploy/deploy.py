"""`make deploy`: from a checkout to an address that works, with its first client key and its first figures.

Nothing is built before the credentials and the configuration are known to be good, and each part may be repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from infra.deploy import first_key, next_steps, provider_key, stack
from infra.deploy.stack import Deployment, Outputs
from llm_router import aws, configuration
from llm_router.catalogue import Catalogue
from llm_router.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient

ROOT = Path(__file__).resolve().parents[2]
SAM_PROGRAMS = ROOT / ".venv-sam" / "bin"

STATS_READ_TIMEOUT_S = 150
"""Longer than the stats function may run."""


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3's, of the region that is deployed to. `functions` is Lambda's."""

    dynamodb: DynamoDBClient
    ssm: SSMClient
    functions: Any


class DeploymentError(Exception):
    """Ends the deployment; its words are for the operator."""


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        session = boto3.Session()
        _deploy(session, deployment(arguments, default_region=session.region_name or stack.DEFAULT_REGION))
    except (DeploymentError, ConfigurationError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except aws.UNREACHABLE as error:
        print(f"\nAWS could not be used: {error}\nIt is safe to run make deploy again.", file=sys.stderr)
        return 1
    return 0


def deployment(arguments: Sequence[str] | None, *, default_region: str) -> Deployment:
    """What the command line asks for; ends the process where that cannot be."""
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--stage", type=stack.stage_name, default="prod")
    parser.add_argument("--region", default="")
    parser.add_argument("--arch", choices=["arm64", "x86_64"], default="arm64")
    parser.add_argument("--alarm-email", type=stack.parameter_value, default="")
    parser.add_argument(
        "parameters", nargs="*", type=stack.parameter, metavar="Name=value", help="parameters of template.yaml"
    )
    asked = parser.parse_args(arguments)
    return Deployment(
        stage=asked.stage,
        region=asked.region or default_region,
        arch=asked.arch,
        alarm_email=asked.alarm_email,
        parameters=tuple(asked.parameters),
    )


def _deploy(session: boto3.Session, asked: Deployment) -> None:
    account = account_of(session.client("sts", region_name=asked.region))
    configured = configuration.load(ROOT / provider_key.CONFIGURATION_FILE, catalogue=Catalogue())
    print(f"Deploying stage {asked.stage} to account {account}, region {asked.region}.", flush=True)
    build = [str(SAM_PROGRAMS / "python"), str(ROOT / "infra/sam/build.py"), "--arch", asked.arch]
    _run(build, failed="The build failed, so nothing was deployed.")
    _run(
        stack.deploy_command(str(SAM_PROGRAMS / "sam"), asked),
        failed="sam deploy failed; its own words stand above. What was deployed before is still there.",
    )
    cloudformation = session.client("cloudformation", region_name=asked.region)
    patient = Config(read_timeout=STATS_READ_TIMEOUT_S, retries={"total_max_attempts": 1})
    finish(
        asked,
        stack.read_outputs(cloudformation, stage=asked.stage),
        provider_key.providers_with_keys(configured),
        Clients(
            dynamodb=session.client("dynamodb", region_name=asked.region),
            ssm=session.client("ssm", region_name=asked.region),
            functions=session.client("lambda", region_name=asked.region, config=patient),
        ),
    )


def _run(command: Sequence[str], *, failed: str) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise DeploymentError(failed)


def account_of(sts: Any) -> str:
    """The account that will be deployed to. Raises DeploymentError where AWS does not know who is asking."""
    try:
        return str(sts.get_caller_identity()["Account"])
    except aws.UNREACHABLE as error:
        raise DeploymentError(
            f"AWS credentials are missing or not accepted ({error}).\n"
            "Sign in (aws sso login, or aws configure), or choose a profile with AWS_PROFILE=name, and try again."
        ) from error


def finish(asked: Deployment, outputs: Outputs, providers: Sequence[str], clients: Clients) -> None:
    """Make the stack usable and say how to use it. Raises DeploymentError, last of all, where the stats fail."""
    print("", next_steps.addresses(outputs), "", sep="\n")
    made = first_key.make_first(clients.dynamodb, table=outputs.state_table, now=datetime.now(UTC))
    # At once: whatever fails from here on, the key would not be seen again.
    print(next_steps.client_key(made), "", sep="\n", flush=True)
    failure = stats_failure(clients.functions, outputs)
    stored = provider_key.stored(clients.ssm, providers, stage=asked.stage)
    print(next_steps.provider_keys(providers, stored=stored, stage=asked.stage, region=asked.region), "", sep="\n")
    print(next_steps.first_request(outputs), flush=True)
    if failure:
        raise DeploymentError(failure)


def stats_failure(functions: Any, outputs: Outputs) -> str | None:
    """Run the stats function once, so that the page is there at once; what went wrong, or None."""
    try:
        answer = functions.invoke(FunctionName=outputs.stats_function, Payload=b"{}")
        report = json.loads(answer["Payload"].read())
    except aws.UNREACHABLE as error:
        report = {"errorType": str(error)}
    if isinstance(report, dict) and "as_of" in report:
        return None
    kind = report.get("errorType") if isinstance(report, dict) else None
    return (
        f"The router is deployed, but the stats function failed ({kind or 'without a report'}): the page is not up to\n"
        f"date. It is tried again on its schedule. See why with: aws logs tail {outputs.stats_logs}"
    )


if __name__ == "__main__":
    sys.exit(main())
