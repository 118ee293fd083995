"""boto3 clients that give up quickly, so that a slow AWS service never eats a request's deadline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from llm_router.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

UNREACHABLE = (BotoCoreError, ClientError)
"""What boto3 raises when a service is down, slow, throttling or refusing."""

_QUICK = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"total_max_attempts": 2, "mode": "standard"},
    max_pool_connections=64,
    # A fifth of each call's work: what we send is made by our own code, and the service checks it again; and who asks
    # would be spelled out anew at each call.
    parameter_validation=False,
    user_agent="multi-llm-router",
)


@cache
def dynamodb() -> DynamoDBClient:
    return boto3.client("dynamodb", config=_QUICK)


@cache
def ssm() -> SSMClient:
    return boto3.client("ssm", config=_QUICK)


@cache
def s3() -> S3Client:
    return boto3.client("s3", config=_QUICK)


@contextmanager
def asking(operation: str) -> Iterator[None]:
    """Turns what boto3 raises, and an answer that is not the service's, into a StoreError."""
    try:
        yield
    except UNREACHABLE as error:
        raise StoreError(operation, error_code(error)) from error
    except KeyError as error:
        raise StoreError(operation, "not an answer of the service") from error


def error_code(error: Exception) -> str:
    """A short name of what went wrong, free of values: the service's code, or the exception's class."""
    if isinstance(error, ClientError):
        return error.response["Error"].get("Code", "ClientError")
    return type(error).__name__


def cancellation_reasons(error: ClientError) -> list[str]:
    """Why DynamoDB cancelled a transaction, a code for each of its items (`None` where that one was not to blame)."""
    if error_code(error) != "TransactionCanceledException":
        return []
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])]
