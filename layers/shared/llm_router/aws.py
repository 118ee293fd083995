"""Clients of AWS that give up quickly, so that a slow service never eats a request's deadline.

They are botocore's, as boto3's are too: boto3 itself would add 40 ms to a cold start, most of it for S3 transfers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from llm_router.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient

UNREACHABLE = (BotoCoreError, ClientError)
"""What is raised when a service is down, slow, throttling or refusing."""

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
    client: DynamoDBClient = _client("dynamodb")
    return client


@cache
def ssm() -> SSMClient:
    client: SSMClient = _client("ssm")
    return client


@cache
def s3() -> S3Client:
    client: S3Client = _client("s3")
    return client


def _client(service: str) -> Any:
    return _session().create_client(service, config=_QUICK)


@cache
def _session() -> botocore.session.Session:
    """One, because what it reads (credentials, endpoints) serves all clients."""
    return botocore.session.get_session()


@contextmanager
def asking(operation: str) -> Iterator[None]:
    """Turns what a client raises, and an answer that is not the service's, into a StoreError."""
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
