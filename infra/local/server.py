"""The router and the page under uvicorn: the app that is deployed, and what the page's bucket holds."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.local import processes, template
from infra.local.addresses import is_loopback
from llm_router import aws, aws_session, http_responses, wiring
from llm_router.errors import CallerError, NotFoundError

PAGE_SUFFIXES = {".html", ".js", ".css", ".svg", ".json"}
NOT_THERE = {"NoSuchKey", "NoSuchBucket"}
GENERATE_META = '<meta name="generate-url" content="">'


class ForeignOriginError(CallerError):
    status = 403
    code = "foreign_origin"
    type = "permission_error"


class PageUnavailableError(CallerError):
    status = 503
    code = "page_unavailable"


class Page:
    """The page's files as the stats function has published them."""

    def __init__(self, *, bucket: str, has_prompt_box: bool) -> None:
        self._bucket = bucket
        self._has_prompt_box = has_prompt_box
        self._headers = template.page_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].lstrip("/") or "index.html"
        try:
            body, content_type = await asyncio.to_thread(self._read, name)
        except aws.UNREACHABLE as error:
            response = http_responses.failed(_unread(error))
        else:
            response = Response(body, headers=self._headers, media_type=content_type)
        await response(scope, receive, send)

    def _read(self, name: str) -> tuple[bytes, str]:
        found = aws_session.s3().get_object(Bucket=self._bucket, Key=name)
        body = found["Body"].read()
        if name == "index.html" and self._has_prompt_box:
            body = body.replace(GENERATE_META.encode(), GENERATE_META.replace('""', '"/generate"').encode())
        return body, found["ContentType"]


def _unread(error: Exception) -> CallerError:
    if aws.error_code(error) in NOT_THERE:
        return NotFoundError("Not there (yet): the page is published in the first seconds.")
    return PageUnavailableError("The page's bucket can't be read right now.", retry_after_s=5)


class Doors:
    """Sends page requests to the page and the rest to the router.

    On one machine no key is asked for, so a page from elsewhere, open in the same browser, must not be able to spend:
    requests that come from another origin, or under a name that is not this machine's, are refused.
    """

    def __init__(self, router: ASGIApp, page: ASGIApp, *, is_public: bool) -> None:
        self._router = router
        self._page = page
        self._is_public = is_public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if not self._is_from_here(request.headers):
            refusal = ForeignOriginError("Not from this origin.")
            await http_responses.failed(refusal)(scope, receive, send)
        elif _is_for_page(request.method, request.url.path):
            await self._page(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    def _is_from_here(self, headers: Mapping[str, str]) -> bool:
        host = headers.get("host", "")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return False
        return self._is_public or is_loopback(urlsplit(f"//{host}").hostname or "")


def _is_for_page(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and (path == "/" or PurePosixPath(path).suffix in PAGE_SUFFIXES)


def create_app(router: FastAPI, environ: Mapping[str, str], *, host: str) -> Doors:
    asks_for_key = environ["REQUIRE_CLIENT_KEY"] == "true"
    page = Page(bucket=environ["PAGE_BUCKET"], has_prompt_box=not asks_for_key)
    return Doors(router, page, is_public=not is_loopback(host))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--host", required=True, help="the address that the socket listens on")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    app = create_app(wiring.router(os.environ), os.environ, host=arguments.host)
    asyncio.run(processes.serve(app, fd=arguments.fd))


if __name__ == "__main__":
    main()
