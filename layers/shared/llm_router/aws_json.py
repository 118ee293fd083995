"""Asks AWS's services that speak JSON: DynamoDB and Parameter Store. Blocking, within short limits, over connections
that are kept.

The few operations that a request waits for are written here rather than taken from botocore, whose clients cost a fifth
of a cold start to load and a millisecond of work a call. They have the names, arguments, answers and errors that
boto3's clients have, so that either can be handed to who asks; whoever needs more of AWS takes those.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import ssl
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)

from llm_router import signature, tls
from llm_router.signature import AccessKey, Scope

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 2.0
TRIES = 2
PAUSE_S = 0.1
"""Before the second try, at most; where in it is left to chance, so that a fleet does not come back all at once."""

KEPT_AT_MOST = 64
THROTTLED = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TooManyUpdates",
        "TransactionInProgressException",
    }
)
"""Refusals that pass, https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where it is and how it wants to be spoken to. `target` comes before an operation's name."""

    scope: Scope
    endpoint: str
    target: str
    json_version: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    checksum: str | None
    """DynamoDB's CRC-32 of the body."""


class JsonClient:
    """One service. `access_key` is asked for at each call, for keys may be renewed. Any thread may call."""

    def __init__(self, service: Service, access_key: Callable[[], AccessKey]) -> None:
        self._service = service
        self._access_key = access_key
        address = urlsplit(service.endpoint)
        self._host = address.netloc
        self._is_tls = address.scheme == "https"
        self._kept: deque[http.client.HTTPConnection] = deque()

    def call(self, operation: str, request: Mapping[str, object]) -> dict[str, Any]:
        """The service's answer. Raises botocore's ClientError for a refusal, a BotoCoreError where none came."""
        body = json.dumps(request, separators=(",", ":"), default=_base64).encode()
        for left in reversed(range(TRIES)):
            try:
                return self._asked(operation, body)
            except (ClientError, *_BROKEN) as error:
                if not left or not _may_pass(error):
                    raise self._told(error) from error
            time.sleep(PAUSE_S * random.random())  # noqa: S311  # spreads the second tries, keeps no secret
        raise AssertionError("unreachable")

    def close(self) -> None:
        """All that is kept; whoever calls afterwards connects anew."""
        with suppress(IndexError):  # another thread may take the last one
            while True:
                self._kept.pop().close()

    def _asked(self, operation: str, body: bytes) -> dict[str, Any]:
        answer = self._exchanged(self._headers(operation, body), body)
        if answer.checksum is not None and answer.checksum != str(zlib.crc32(answer.body)):
            raise http.client.IncompleteRead(answer.body)
        try:
            said = json.loads(answer.body, object_hook=_with_bytes if b'"B":' in answer.body else None)
        except ValueError:
            said = None
        if answer.status != 200:
            raise _refusal(operation, answer.status, said if isinstance(said, dict) else {})
        if not isinstance(said, dict):
            raise http.client.HTTPException("not an answer of the service")
        return said

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        headers = {
            "content-type": f"application/x-amz-json-{self._service.json_version}",
            "host": self._host,
            "x-amz-target": f"{self._service.target}.{operation}",
        }
        at = datetime.now(UTC)
        return signature.signed(headers, body, key=self._access_key(), scope=self._service.scope, at=at)

    def _exchanged(self, headers: Mapping[str, str], body: bytes) -> _Answer:
        """A kept connection may have died meanwhile, in a freeze for instance, and others with it: that is no try."""
        if self._kept:
            try:
                return self._exchange(self._kept.pop(), headers, body)
            except (ConnectionError, IndexError):
                self.close()
            except OSError:
                self.close()
                raise
        return self._exchange(self._connection(), headers, body)

    def _exchange(self, connection: http.client.HTTPConnection, headers: Mapping[str, str], body: bytes) -> _Answer:
        try:
            connection.request("POST", "/", body, dict(headers))
            response = connection.getresponse()
            answer = _Answer(response.status, response.read(), response.getheader("x-amz-crc32"))
        except BaseException:
            connection.close()
            raise
        if response.will_close or len(self._kept) >= KEPT_AT_MOST:
            connection.close()
        else:
            self._kept.append(connection)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_tls:
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, timeout=CONNECT_TIMEOUT_S, context=tls.context()
            )
        else:
            made = http.client.HTTPConnection(self._host, timeout=CONNECT_TIMEOUT_S)
        try:
            made.connect()
        except OSError as error:
            raise _UnconnectedError from error
        made.sock.settimeout(READ_TIMEOUT_S)
        return made

    def _told(self, error: Exception) -> Exception:
        """As botocore's clients raise it."""
        endpoint = self._service.endpoint
        if isinstance(error, ClientError):
            return error
        if isinstance(error, _UnconnectedError):
            is_late = isinstance(error.__cause__, TimeoutError)
            return (ConnectTimeoutError if is_late else EndpointConnectionError)(endpoint_url=endpoint, error=error)
        if isinstance(error, TimeoutError):
            return ReadTimeoutError(endpoint_url=endpoint, error=error)
        if isinstance(error, ConnectionError):
            return ConnectionClosedError(endpoint_url=endpoint, error=error)
        return HTTPClientError(error=error)


class _UnconnectedError(Exception):
    """No connection came about."""


_BROKEN = (_UnconnectedError, OSError, http.client.HTTPException, ssl.SSLError)


class _DynamoDB:
    def __init__(self, asking: JsonClient) -> None:
        self._call = asking.call

    def get_item(self, **request: object) -> dict[str, Any]:
        return self._call("GetItem", request)

    def put_item(self, **request: object) -> dict[str, Any]:
        return self._call("PutItem", request)

    def update_item(self, **request: object) -> dict[str, Any]:
        return self._call("UpdateItem", request)

    def delete_item(self, **request: object) -> dict[str, Any]:
        return self._call("DeleteItem", request)

    def query(self, **request: object) -> dict[str, Any]:
        return self._call("Query", request)

    def batch_get_item(self, **request: object) -> dict[str, Any]:
        return self._call("BatchGetItem", request)

    def transact_write_items(self, **request: object) -> dict[str, Any]:
        """By the token the service knows a second try of the same transaction."""
        return self._call("TransactWriteItems", {"ClientRequestToken": str(uuid.uuid4()), **request})


class _ParameterStore:
    def __init__(self, asking: JsonClient) -> None:
        self._call = asking.call

    def get_parameters(self, **request: object) -> dict[str, Any]:
        return self._call("GetParameters", request)


def dynamodb(asking: JsonClient) -> DynamoDBClient:
    """The operations of boto3's client that the ledger, the checkpoint, the fleet and the client keys use."""
    return cast("DynamoDBClient", _DynamoDB(asking))


def ssm(asking: JsonClient) -> SSMClient:
    """The one operation of boto3's client that reads the providers' keys."""
    return cast("SSMClient", _ParameterStore(asking))


def _may_pass(error: Exception) -> bool:
    """Whether a second try can help."""
    if not isinstance(error, ClientError):
        return True
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status >= 500 or error.response["Error"]["Code"] in THROTTLED


def _refusal(operation: str, status: int, said: Mapping[str, Any]) -> ClientError:
    """What the service says beside its code (the item that stood in the way, the reasons of each part) is kept."""
    kind = said.get("__type")
    code = kind.rpartition("#")[2] if isinstance(kind, str) else str(status)
    response: Any = {
        **said,
        "Error": {"Code": code, "Message": str(said.get("message", said.get("Message", "")))},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _with_bytes(found: dict[str, Any]) -> dict[str, Any]:
    """Binary values as bytes: an attribute value is an object whose only member is named by its type."""
    if len(found) == 1 and isinstance(found.get("B"), str):
        return {"B": base64.b64decode(found["B"])}
    return found
