"""Two demonstration providers on this machine, so that the router can be tried without any key.

They speak OpenAI's chat completions and say plainly what they are. `demo-cheap` fails at every third request, which
shows a failover; `demo-steady` costs ten times as much and never fails.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from infra.local import processes

FAILS_EVERY = 3
BYTES_PER_TOKEN = 4
WORDS_PER_CHUNK = 3
CHUNK_EVERY_S = 0.02


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
        completion = _completion(demo, body, number)
        if not body.get("stream"):
            return JSONResponse(completion)
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return StreamingResponse(_events(completion, with_usage=with_usage), media_type="text/event-stream")

    return answer


async def _events(completion: dict[str, Any], *, with_usage: bool) -> AsyncIterator[str]:
    for chunk in _chunks(completion, with_usage=with_usage):
        yield f"data: {json.dumps(chunk)}\n\n"
        await asyncio.sleep(CHUNK_EVERY_S)
    yield "data: [DONE]\n\n"


def _chunks(completion: dict[str, Any], *, with_usage: bool) -> Iterator[dict[str, object]]:
    """The same completion a few words at a time, as OpenAI streams it: the usage last, in a chunk without choices."""
    (choice,) = completion["choices"]
    head = {name: completion[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    deltas = [
        {"role": "assistant", "content": ""},
        *({"content": text} for text in _pieces(choice["message"]["content"])),
    ]
    for delta in deltas:
        yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield head | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    if with_usage:
        yield head | {"choices": [], "usage": completion["usage"]}


def _pieces(text: str) -> Iterator[str]:
    """Put together they are the text, blanks included."""
    words = text.split(" ")
    for start in range(0, len(words), WORDS_PER_CHUNK):
        yield (" " if start else "") + " ".join(words[start : start + WORDS_PER_CHUNK])


def _completion(demo: Demo, body: dict[str, Any], number: int) -> dict[str, object]:
    said = [_text(message) for message in body["messages"]]
    whole = (
        f"This is {demo.name}, a demonstration on your own machine: no model was asked. You sent {len(said[-1])} "
        f"characters, beginning with: {said[-1][:80]}"
    )
    text = _within(whole, body.get("max_completion_tokens") or body.get("max_tokens"))
    prompt, completion = _tokens("".join(said)), _tokens(text)
    finish = "stop" if text == whole else "length"
    return {
        "id": f"chatcmpl-{demo.name}-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": demo.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def _text(message: dict[str, Any]) -> str:
    """A message that calls tools has no content; one with images has its text in parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(text for part in content if isinstance(text := part.get("text"), str))
    return content or ""


def _within(text: str, limit: int | None) -> str:
    """As much of the text as so many tokens are taken to be."""
    return text if limit is None else text.encode()[: limit * BYTES_PER_TOKEN].decode(errors="ignore")


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    asyncio.run(processes.serve(create_app(), fd=arguments.fd))


if __name__ == "__main__":
    main()
