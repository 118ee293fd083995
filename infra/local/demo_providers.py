"""Two demonstration providers on this machine, so that the router can be tried without any key.

They speak OpenAI's chat completions and say plainly what they are. `demo-cheap` fails at every third request, which
shows a failover; `demo-steady` costs ten times as much and never fails.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.local import processes

FAILS_EVERY = 3
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Demo:
    """`usd_per_mtok` are made-up prices for input and output; `fails` says whether every third request does."""

    name: str
    model: str
    usd_per_mtok: tuple[float, float]
    latency_s: float
    fails: bool

    def row(self, base_url: str) -> dict[str, object]:
        """The provider as it stands in providers.yaml."""
        price_in, price_out = self.usd_per_mtok
        model = {"name": self.model, "context_window": 32768, "price": {"input": price_in, "output": price_out}}
        return {"name": self.name, "base_url": f"{base_url}/{self.name}/v1", "auth": "none", "models": [model]}


DEMOS = (
    Demo("demo-cheap", "parrot-small", (0.05, 0.1), latency_s=0.15, fails=True),
    Demo("demo-steady", "parrot-large", (0.5, 1.0), latency_s=0.4, fails=False),
)


def create_app() -> Starlette:
    return Starlette(
        routes=[Route(f"/{demo.name}/v1/chat/completions", _door(demo), methods=["POST"]) for demo in DEMOS]
    )


def _door(demo: Demo) -> Callable[[Request], Awaitable[Response]]:
    numbers = itertools.count(1)

    async def answer(request: Request) -> Response:
        body = await request.json()
        number = next(numbers)
        await asyncio.sleep(demo.latency_s)
        if demo.fails and number % FAILS_EVERY == 0:
            error = {"message": "This demonstration fails at every third request.", "type": "server_error"}
            return JSONResponse({"error": error}, status_code=503)
        return JSONResponse(_completion(demo, body, number))

    return answer


def _completion(demo: Demo, body: dict[str, Any], number: int) -> dict[str, object]:
    asked = str(body["messages"][-1]["content"])
    text = (
        f"This is {demo.name}, a demonstration on your own machine: no model was asked. You sent {len(asked)} "
        f"characters, beginning with: {asked[:80]}"
    )
    sent = sum(len(str(message["content"]).encode()) for message in body["messages"])
    prompt, completion = _tokens(sent), _tokens(len(text.encode()))
    return {
        "id": f"chatcmpl-{demo.name}-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": demo.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def _tokens(size_bytes: int) -> int:
    return -(-size_bytes // BYTES_PER_TOKEN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    asyncio.run(processes.serve(create_app(), fd=arguments.fd))


if __name__ == "__main__":
    main()
