"""Stands in for AWS's Lambda Web Adapter: starts a function's server, and hands it the runtime's events as HTTP.

AWS publishes the adapter as a layer of an account's own region. This one does what the streaming function counts on: it
waits until the readiness path answers, passes the event's headers and body on, tells Lambda's context in a header, and
ends as the server has ended, which on Lambda is the runtime itself. Answers go back in one piece: the emulator of the
runtime hands over no streams.

Its arguments are the command that becomes the server. It has the standard library alone, as it runs in the runtime's
own Python.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

POLL_S = 0.01
"""The adapter's own: every 10 ms (readiness_check_interval in awslabs/aws-lambda-web-adapter)."""

READY_WITHIN_S = 120.0
INVOCATION = "/2018-06-01/runtime/invocation"


def main(command: list[str], environ: Mapping[str, str]) -> int:
    server = subprocess.Popen(command)
    address = f"127.0.0.1:{environ['AWS_LWA_PORT']}"
    if not _is_ready(server, address, environ["AWS_LWA_READINESS_CHECK_PATH"]):
        print("the server has not become ready", file=sys.stderr)
        return 1
    runtime = http.client.HTTPConnection(environ["AWS_LAMBDA_RUNTIME_API"])
    function = http.client.HTTPConnection(address)
    while True:
        invocation = _asked(runtime, "GET", f"{INVOCATION}/next")
        try:
            answer = _asked(function, *_request(invocation))
        except OSError as error:
            print(f"the server is gone: {type(error).__name__}", file=sys.stderr)
            return _ended_as(server)
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        _asked(runtime, "POST", f"{INVOCATION}/{request_id}/response", _gateways_answer(answer))


def _ended_as(server: subprocess.Popen[bytes]) -> int:
    status = server.wait()
    if status < 0:
        os.kill(os.getpid(), -status)
    return status or 1


class _Answered:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content = response.read()


def _is_ready(server: subprocess.Popen[bytes], address: str, path: str) -> bool:
    ends_s = time.monotonic() + READY_WITHIN_S
    while server.poll() is None and time.monotonic() < ends_s:
        connection = http.client.HTTPConnection(address)
        try:
            return _asked(connection, "GET", path).status == 200
        except OSError:
            time.sleep(POLL_S)
        finally:
            connection.close()
    return False


def _request(invocation: _Answered) -> tuple[str, str, bytes, dict[str, str]]:
    event: dict[str, Any] = json.loads(invocation.content)
    context = {
        "request_id": invocation.headers["Lambda-Runtime-Aws-Request-Id"],
        "deadline": int(invocation.headers["Lambda-Runtime-Deadline-Ms"]),
        "invoked_function_arn": invocation.headers["Lambda-Runtime-Invoked-Function-Arn"],
    }
    body = event["body"] or ""
    content = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    headers = {
        **event["headers"],
        "x-amzn-request-context": json.dumps(event["requestContext"]),
        "x-amzn-lambda-context": json.dumps(context),
    }
    return event["httpMethod"], event["path"], content, headers


def _gateways_answer(answer: _Answered) -> bytes:
    headers = dict(answer.headers.items())
    return json.dumps({"statusCode": answer.status, "headers": headers, "body": answer.content.decode()}).encode()


def _asked(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> _Answered:
    connection.request(method, path, content, dict(headers or {}))
    return _Answered(connection.getresponse())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
