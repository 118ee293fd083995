"""Who may ask the embedded AWS for what.

The emulator behind it does all of AWS, Lambda too, which runs code, and lets any web page read its answers. So only the
run's own parts come through, for what they need: no browser, no name but this machine's own (a page can point a name
of its own at 127.0.0.1), nothing but DynamoDB, SSM and the page's bucket.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from infra.local import asgi
from infra.local.asgi import App, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
TARGETS = ("DynamoDB_20120810.", "AmazonSSM.")
S3_SCOPE = re.compile(r"Credential=[^/,\s]+/[0-9]+/[a-z0-9-]+/s3/aws4_request")
"""In the header `authorization`: which service a request is signed for decides where the emulator sends it."""


class AwsDoor:
    def __init__(self, app: App, *, bucket: str) -> None:
        self._app = app
        self._bucket = bucket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif not self._is_let_in(scope):
            reason = "The embedded AWS serves the local run alone: DynamoDB, SSM and the page's bucket."
            await asgi.refuse(send, reason, status=403, kind="AccessDeniedException")
        else:
            await self._app(scope, receive, send)

    def _is_let_in(self, scope: Scope) -> bool:
        if _values(scope, "origin") or not _is_this_machine(_values(scope, "host")):
            return False
        if targets := _values(scope, "x-amz-target"):
            return len(targets) == 1 and targets[0].startswith(TARGETS) and _is_bare_post(scope)
        signed = _values(scope, "authorization")
        in_bucket = scope["path"] == f"/{self._bucket}" or scope["path"].startswith(f"/{self._bucket}/")
        return in_bucket and len(signed) == 1 and S3_SCOPE.search(signed[0]) is not None


def _is_bare_post(scope: Scope) -> bool:
    """As the SDKs send it: the emulator looks at some paths before it looks at the target."""
    return scope["method"] == "POST" and scope["path"] == "/" and not scope["query_string"]


def _is_this_machine(hosts: Sequence[str]) -> bool:
    try:
        return len(hosts) == 1 and urlsplit(f"//{hosts[0]}").hostname in HOSTS
    except ValueError:
        return False


def _values(scope: Scope, name: str) -> list[str]:
    return [value.decode("latin-1") for found, value in scope["headers"] if found.lower() == name.encode()]
