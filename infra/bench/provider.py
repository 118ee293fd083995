"""A provider on this machine that answers every chat completion with the same few words, streamed or not.

At once, or at the pace of a quick provider where the request's `user` says so: a field that all pass on.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from infra.bench import wire
from infra.local import processes

USAGE = {"prompt_tokens": 14, "completion_tokens": 40, "total_tokens": 54}
FRAME = {"id": "chatcmpl-1", "created": 1, "model": "same-words"}
COMPLETION = {
    **FRAME,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A few words."}, "finish_reason": "stop"}],
    "usage": USAGE,
}

WORDS = 40
LAST_WORD = " last"
"""Distinct, so that a reader can tell when it has come."""

PACED = "paced"
THINKS_S = 0.2
A_WORD_S = 0.01


def events() -> list[bytes]:
    """The role, the words one by one, why it ended, the usage, the end."""

    def chunk(choices: list[object], **beside: object) -> bytes:
        return _event(json.dumps({**FRAME, "object": "chat.completion.chunk", "choices": choices, **beside}))

    def said(delta: dict[str, str], reason: str | None = None) -> bytes:
        return chunk([{"index": 0, "delta": delta, "finish_reason": reason}])

    words = [*(" word" for _ in range(WORDS - 1)), LAST_WORD]
    return [
        said({"role": "assistant", "content": ""}),
        *(said({"content": word}) for word in words),
        said({}, "stop"),
        chunk([], usage=USAGE),
        _event("[DONE]"),
    ]


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


_WHOLE = wire.as_json(json.dumps(COMPLETION).encode())
_PIECES = [wire.STREAM_HEAD, *map(wire.as_chunk, events()), wire.as_chunk(b"")]


def answer(_: bytes, body: bytes, write: wire.Write) -> None:
    """Each event is written by itself, as providers do."""
    asked = json.loads(body) if body else {}
    thinks_s, a_word_s = (THINKS_S, A_WORD_S) if asked.get("user") == PACED else (0.0, 0.0)
    if asked.get("stream"):
        for number, piece in enumerate(_PIECES):
            wire.later(thinks_s + number * a_word_s, write, piece)
    else:
        wire.later(thinks_s + WORDS * a_word_s, write, _WHOLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    asyncio.run(wire.serve(answer, fd=arguments.fd))


if __name__ == "__main__":
    main()
