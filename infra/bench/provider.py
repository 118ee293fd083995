"""A provider on this machine that answers every chat completion at once with the same few words."""

from __future__ import annotations

import argparse
import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local import processes

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "same-words",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A few words."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 14, "completion_tokens": 4, "total_tokens": 18},
}


async def complete(request: Request) -> Response:
    await request.body()
    return JSONResponse(COMPLETION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    asyncio.run(processes.serve(app, fd=arguments.fd))


if __name__ == "__main__":
    main()
