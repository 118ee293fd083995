"""What AWS's clients raise, in this project's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from llm_router.errors import StoreError

UNREACHABLE = (BotoCoreError, ClientError)
"""What is raised when a service is down, slow, throttling or refusing."""


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
