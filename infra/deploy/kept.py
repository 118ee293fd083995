"""What a stage leaves behind when its stack is deleted: tables, the page's bucket, providers' keys.

It is found by the names that CloudFormation gives, so that it is found also when the stack is long gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import stack
from llm_router import aws

NAMES_A_CALL = 10
"""What one DeleteParameters takes."""

DEFAULT_BUCKET_REGION = "us-east-1"
"""Whose name S3 leaves out."""


@dataclass(frozen=True, slots=True)
class Kept:
    """By name. `parameters` are those that hold providers' keys."""

    tables: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.buckets or self.parameters)

    def lines(self) -> list[str]:
        return [
            *(f"  table   {name}" for name in self.tables),
            *(f"  bucket  {name}" for name in self.buckets),
            *(f"  key     {name}" for name in self.parameters),
        ]

    def commands(self, *, region: str) -> list[str]:
        """What deletes it by hand."""
        tables = [f"  aws dynamodb delete-table --table-name {name} --region {region}" for name in self.tables]
        buckets = [f"  aws s3 rb --force s3://{name} --region {region}" for name in self.buckets]
        keys = [f"  aws ssm delete-parameters --region {region} --names {' '.join(some)}" for some in self.batches()]
        return [*tables, *buckets, *keys]

    def batches(self) -> Iterator[tuple[str, ...]]:
        for start in range(0, len(self.parameters), NAMES_A_CALL):
            yield self.parameters[start : start + NAMES_A_CALL]


@dataclass(frozen=True, slots=True)
class Keepers:
    """boto3's clients of the services that keep something, of one region."""

    dynamodb: Any
    s3: Any
    ssm: Any

    def kept(self, *, stage: str, region: str) -> Kept:
        name = re.escape(stack.stack_name(stage))
        pages = self.dynamodb.get_paginator("list_tables").paginate()
        tables = [table for page in pages for table in page["TableNames"]]
        buckets = [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]
        return Kept(
            tables=tuple(table for table in tables if re.fullmatch(rf"{name}-(Ledger|State)Table-[A-Za-z0-9]+", table)),
            buckets=tuple(
                bucket
                for bucket in buckets
                if re.fullmatch(rf"{name}-pagebucket-[a-z0-9]+", bucket) and self._is_in(region, bucket)
            ),
            parameters=tuple(self._parameters(stage)),
        )

    def delete(self, kept: Kept) -> Iterator[str]:
        """Tells of each thing when it is deleted; what is gone already is no failure."""
        for table in kept.tables:
            with _unless_gone("ResourceNotFoundException"):
                self.dynamodb.delete_table(TableName=table)
            self.dynamodb.get_waiter("table_not_exists").wait(TableName=table)
            yield f"table {table}"
        for bucket in kept.buckets:
            with _unless_gone("NoSuchBucket"):
                self._empty(bucket)
                self.s3.delete_bucket(Bucket=bucket)
            yield f"bucket {bucket}"
        for names in kept.batches():
            self.ssm.delete_parameters(Names=list(names))
            yield from (f"key {name}" for name in names)

    def _parameters(self, stage: str) -> Iterator[str]:
        """Names only: no key is read."""
        path = {"Key": "Path", "Option": "Recursive", "Values": [f"/llm-router/{stage}/providers"]}
        for page in self.ssm.get_paginator("describe_parameters").paginate(ParameterFilters=[path]):
            yield from (parameter["Name"] for parameter in page["Parameters"])

    def _is_in(self, region: str, bucket: str) -> bool:
        """The same stage may live in another region too, and an account's buckets are listed all together."""
        try:
            found = self.s3.get_bucket_location(Bucket=bucket)
        except ClientError as error:
            if aws.error_code(error) != "NoSuchBucket":
                raise
            return False
        return (found.get("LocationConstraint") or DEFAULT_BUCKET_REGION) == region

    def _empty(self, bucket: str) -> None:
        """Older versions of its files too, where somebody has had them kept."""
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            if objects:
                self.s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


@contextmanager
def _unless_gone(code: str) -> Iterator[None]:
    """Passes over `code`, the service's word for what is not there."""
    try:
        yield
    except ClientError as error:
        if aws.error_code(error) != code:
            raise
