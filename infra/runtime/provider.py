"""A provider on this machine that streams the same answer to every chat completion, after a wait that is known.

The wait is there because a function does some of its work in it, as it would with a real provider.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.local import processes

NAME, MODEL = "ready", "same-words"
WAIT_S = 0.3
WORDS = 50
"""A chunk each, all sent at once: an answer of some sentences."""


def row(base_url: str) -> dict[str, object]:
    """The provider as it stands in providers.yaml; no window, so that the largest request is sent too."""
    model = {"name": MODEL, "price": {"input": 0.5, "output": 1.0}}
    return {"name": NAME, "base_url": f"{base_url}/v1", "auth": "bearer", "models": [model]}


def stream() -> bytes:
    deltas = [{"role": "assistant", "content": ""}, *({"content": f"word{number} "} for number in range(WORDS))]
    chunks = [_chunk(delta, None) for delta in deltas] + [_chunk({}, "stop")]
    usage = {"prompt_tokens": 14, "completion_tokens": WORDS, "total_tokens": 14 + WORDS}
    chunks.append({**_chunk({}, None), "choices": [], "usage": usage})
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks) + b"data: [DONE]\n\n"


def _chunk(delta: dict[str, str], finish: str | None) -> dict[str, object]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def _complete(request: Request) -> Response:
    await request.body()
    await asyncio.sleep(WAIT_S)
    return Response(STREAM, media_type="text/event-stream")


STREAM = stream()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    app = Starlette(routes=[Route("/v1/chat/completions", _complete, methods=["POST"])])
    asyncio.run(processes.serve(app, fd=arguments.fd))


if __name__ == "__main__":
    main()
