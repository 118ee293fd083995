"""The emulated AWS of a deployment: ministack in a process of its own, IAM enforced, mended where it differs from AWS.

It runs the functions under the Python that runs it, so that must be Lambda's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from infra.local import processes

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

LAMBDAS_PYTHON = (3, 13)
ROOT = Path(__file__).resolve().parents[2]
RUNTIME = Path(__file__).resolve().parent / "runtime"
GET_PARAMETERS = "ssm:GetParameters"
_BETWEEN_ARNS = "\n"

MENDED = {
    "a function's Python has the AWS SDK and its layers, and no other package": "the emulator runs it under its own",
    "ssm:GetParameters is checked against the parameters that are asked for": "the emulator checks it against *",
    "a log group is named with the :* at its end when permissions are checked": "AWS does so, the emulator does not",
    "each request counts as sent over TLS": "on AWS it is; here nothing leaves the machine",
}
"""What is different from ministack as it comes, and why."""


def environ(inherited: Mapping[str, str], *, port: int, folder: Path, domain: str) -> dict[str, str]:
    """For the emulator and the functions that it starts: nothing of the operator's but how to run Python.

    `domain` is what AWS has in the addresses of its APIs; `folder` takes all that is written.
    """
    kept = {name: inherited[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ") if name in inherited}
    return kept | {
        "PYTHONPATH": os.pathsep.join([str(RUNTIME), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": domain,
        "TMPDIR": str(folder),
        "S3_DATA_DIR": str(folder / "s3"),
        "STATE_DIR": str(folder / "state"),
        "LOG_LEVEL": "INFO",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",  # an engine on this machine is none of its business
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    if not is_lambdas_python():
        sys.exit("The emulator runs the functions under its own Python, which must be 3.13, as on Lambda.")
    processes.stop_when_orphaned()
    from ministack.app import app  # noqa: PLC0415  # reads its environment when it is imported

    _mend_permissions()
    asyncio.run(_serve(over_tls(app), arguments.fd))


def is_lambdas_python() -> bool:
    return sys.version_info[:2] == LAMBDAS_PYTHON


def over_tls(app: App) -> App:
    """Each request as if TLS had ended in front of here, which the bucket's policy and CloudFront ask for."""
    header = (b"x-forwarded-proto", b"https")

    async def told(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and header[0] not in dict(scope["headers"]):
            scope["headers"] = [*scope["headers"], header]
        await app(scope, receive, send)

    return told


def _mend_permissions() -> None:
    """Both functions are looked up anew at each request.

    Each parameter that a call names must be allowed, and a log group's ARN ends in :* in permissions:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html, 2026-11-24.
    """
    from ministack.core import iam_actions, iam_evaluator  # noqa: PLC0415  # as in main

    find, enforce = iam_actions.extract_resource_arn, iam_evaluator.enforce

    def found(service: str, *asked: Any) -> str:
        _method, _path, headers, body, _query, region, account = asked
        if service == "ssm" and headers.get("x-amz-target", "").endswith(".GetParameters"):
            return _BETWEEN_ARNS.join(_parameter_arns(body, region, account)) or "*"
        arn = str(find(service, *asked))
        is_group = service == "logs" and ":log-group:" in arn and not arn.endswith(":*")
        return f"{arn}:*" if is_group else arn

    def enforced(access_key: str, action: str, *place: str, resource_arn: str = "*", **more: Any) -> Any:
        arns = resource_arn.split(_BETWEEN_ARNS) if action == GET_PARAMETERS else [resource_arn]
        verdicts = [enforce(access_key, action, *place, resource_arn=arn, **more) for arn in arns]
        return next((denied for denied in verdicts if denied), None)

    iam_actions.extract_resource_arn, iam_evaluator.enforce = found, enforced


def _parameter_arns(body: bytes, region: str, account: str) -> Iterator[str]:
    for name in json.loads(body).get("Names", []):
        yield f"arn:aws:ssm:{region}:{account}:parameter/{name.lstrip('/')}"


async def _serve(app: App, fd: int) -> None:
    """With its start-up and shut-down, which begin and end the scheduler."""
    import uvicorn  # noqa: PLC0415  # the parent has no need of it

    config = uvicorn.Config(app, access_log=False, log_level="warning", timeout_graceful_shutdown=5)
    await uvicorn.Server(config).serve(sockets=[socket.socket(fileno=fd)])


if __name__ == "__main__":
    main()
