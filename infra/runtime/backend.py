"""The AWS around the functions: the embedded emulator, with tables, bucket, client keys and providers' keys."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from infra.local import aws_resources, processes, template
from infra.sam.build import ROOT
from llm_router import client_keys, key_names
from llm_router.client_keys import Role

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

READY_WITHIN_S = 60.0
_DIRECT = Config(proxies={})


@dataclass(frozen=True, slots=True)
class Resources:
    """What one test or measurement has for itself."""

    ledger_table: str
    state_table: str
    page_bucket: str
    client_key: str

    def names(self) -> dict[str, str]:
        """By their logical names in the template."""
        return {"LedgerTable": self.ledger_table, "StateTable": self.state_table, "PageBucket": self.page_bucket}


@dataclass(frozen=True, slots=True)
class Backend:
    endpoint: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fresh(self) -> Resources:
        """New tables as the template declares them, the emulator's one bucket, emptied, and a client key."""
        number = next(self._numbers)
        ledger, state = f"ledger-{number}", f"state-{number}"
        dynamodb = self.dynamodb()
        template.create_table(dynamodb, logical_name="LedgerTable", name=ledger)
        template.create_table(dynamodb, logical_name="StateTable", name=state)
        self._empty_bucket()
        issued = client_keys.issue(role=Role.OPERATOR, label="runtime", now=datetime.now(UTC))
        dynamodb.put_item(TableName=state, Item={name: {"S": value} for name, value in issued.item.items()})
        return Resources(ledger, state, aws_resources.PAGE_BUCKET, issued.text)

    def store_provider_key(self, provider: str, key: str, *, stage: str) -> None:
        name = key_names.parameter(provider, stage=stage)
        self.ssm().put_parameter(Name=name, Value=key, Type="SecureString", Overwrite=True)

    def _empty_bucket(self) -> None:
        s3 = self.s3()
        s3.create_bucket(Bucket=aws_resources.PAGE_BUCKET)  # one that is there already is left as it is
        for row in s3.list_objects_v2(Bucket=aws_resources.PAGE_BUCKET).get("Contents", []):
            s3.delete_object(Bucket=aws_resources.PAGE_BUCKET, Key=row["Key"])

    def dynamodb(self) -> DynamoDBClient:
        return _session().client("dynamodb", endpoint_url=self.endpoint, config=_DIRECT)

    def ssm(self) -> SSMClient:
        return _session().client("ssm", endpoint_url=self.endpoint, config=_DIRECT)

    def s3(self) -> S3Client:
        return _session().client("s3", endpoint_url=self.endpoint, config=_DIRECT)


@contextmanager
def running(home: Path) -> Iterator[Backend]:
    """Raises TimeoutError with the emulator's last words where it does not come up."""
    with child("infra.local.emulator", "--state-dir", str(home / "aws"), home=home) as endpoint:
        yield Backend(endpoint)


@contextmanager
def child(module: str, *arguments: str, home: Path) -> Iterator[str]:
    """A local server in a process of its own, at the address that is yielded."""
    with processes.listening("127.0.0.1", 0) as listens:
        url = f"http://127.0.0.1:{listens.getsockname()[1]}"
        fd = listens.fileno()
        started = processes.start(
            module, [*arguments, "--fd", str(fd)], environ=_environ(), log=home / f"{module}.log", fd=fd
        )
    try:
        processes.until(lambda: started.has_ended or processes.answers(url), limit_s=READY_WITHIN_S)
        if started.has_ended:
            raise ChildProcessError(f"{module} has ended:\n{started.last_words()}")
        yield url
    finally:
        processes.stop(started)
        if started.process.stdin:
            started.process.stdin.close()


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "shared"), str(ROOT)])}


def _session() -> boto3.Session:
    return boto3.Session(aws_resources.ACCESS_KEY_ID, aws_resources.SECRET_ACCESS_KEY, region_name=aws_resources.REGION)
