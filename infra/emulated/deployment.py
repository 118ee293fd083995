"""Puts the built stack into an emulated AWS: uploads, creates the stack, stores the keys."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.deploy import first_key, provider_key, stack
from infra.emulated import translation
from infra.emulated.translation import Adaptation, Document, UntranslatableError
from llm_router import json_text

REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "emulated", "AWS_SECRET_ACCESS_KEY": "emulated"}
"""Root's in the emulator. Roles get their own from it."""

BUCKET = "deployment-artifacts"
STAGE = "emulated"
READY_WITHIN_S = 120.0


class DeploymentError(Exception):
    """The stack could not be made of the template; says what was said of it."""


@dataclass(frozen=True, slots=True)
class Built:
    """A template of SAM's and, by logical name, the folder of each function and layer in it."""

    template: Document
    folders: Mapping[str, Path]


def read(template_file: Path) -> Built:
    """What a build has left."""
    template = translation.yaml_of(template_file.read_text())
    return Built(template, translation.folders(template, directory=template_file.parent))


@dataclass(frozen=True, slots=True)
class Deployed:
    """`client_key` is the first one, which nothing else remembers."""

    stack_name: str
    client_key: str
    adaptations: list[Adaptation]


def session() -> boto3.Session:
    return boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)


def deploy(endpoint: str, built: Built, *, arch: str, provider_keys: Mapping[str, str]) -> Deployed:
    """`provider_keys` are by provider. Raises DeploymentError."""
    clients = Clients(endpoint)
    _upload(clients.of("s3"), built.folders)
    parameters = {"Stage": STAGE, "Architecture": arch}
    template, adaptations = _translated(built, parameters)
    name = stack.stack_name(STAGE)
    _create(clients.of("cloudformation"), template, name=name, parameters=parameters)
    outputs = stack.read_outputs(clients.of("cloudformation"), stage=STAGE)
    for provider, key in provider_keys.items():
        provider_key.store(clients.of("ssm"), provider=provider, stage=STAGE, key=key)
    client_key = first_key.make_first(clients.of("dynamodb"), table=outputs.state_table, now=datetime.now(UTC))
    if client_key is None:
        raise DeploymentError("A new state table holds a client key already.")
    return Deployed(name, client_key, adaptations)


def _translated(built: Built, parameters: Mapping[str, str]) -> tuple[Document, list[Adaptation]]:
    uploaded = translation.uploaded(built.template, bucket=BUCKET, keys={name: _key(name) for name in built.folders})
    try:
        expanded = translation.expanded(uploaded, parameters=parameters)
        return translation.adapted(
            expanded, folder_of_key={_key(name): folder for name, folder in built.folders.items()}
        )
    except UntranslatableError as error:
        raise DeploymentError(str(error)) from error


def _key(name: str) -> str:
    """In the bucket, of a function's or a layer's archive."""
    return f"{name}.zip"


class Clients:
    """boto3's, of one emulator."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._session = session()

    def of(self, service: str) -> Any:
        config = Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return self._session.client(service, endpoint_url=self._endpoint, config=config)  # type: ignore[call-overload]  # a name at run time


def zipped(folder: Path) -> bytes:
    """With the times left out, so that the same content is the same archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = (path.stat().st_mode & 0o777) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, path.read_bytes())
    return archive.getvalue()


def _upload(s3: Any, folders: Mapping[str, Path]) -> None:
    s3.create_bucket(Bucket=BUCKET)
    for name, folder in folders.items():
        s3.put_object(Bucket=BUCKET, Key=_key(name), Body=zipped(folder))


def _create(cloudformation: Any, template: Document, *, name: str, parameters: Mapping[str, str]) -> None:
    try:
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=json_text.encode(template).decode(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        raise DeploymentError(f"The template is refused: {error}") from error
    ends_s = time.monotonic() + READY_WITHIN_S
    while (status := _status(cloudformation, name)) == "CREATE_IN_PROGRESS":
        if time.monotonic() > ends_s:
            raise DeploymentError(f"The stack is not there after {READY_WITHIN_S:.0f} s.")
        time.sleep(0.1)
    if status != "CREATE_COMPLETE":
        raise DeploymentError(f"The stack is {status}:\n{_reasons(cloudformation, name)}")


def _status(cloudformation: Any, name: str) -> str:
    return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])


def _reasons(cloudformation: Any, name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    return "\n".join(
        f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("FAILED")
    )
