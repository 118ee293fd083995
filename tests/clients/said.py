"""What clients of all kinds say and are told in these tests."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from streaming_provider import Gate, Script, Wire, chunk, completion, delta, fragments, streams

ROOT = Path(__file__).resolve().parents[2]
README, GUIDE = ROOT / "README.md", ROOT / "docs/openai-clients.md"
FENCED = re.compile(r"^```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)

HELLO = [{"role": "user", "content": "Hello"}]
PNG = base64.b64encode(bytes.fromhex("89504e470d0a1a0a0000000d49484452")).decode()
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
CITIES = ("Zürich", "Oslo")

TOKENS = [
    {"token": piece, "logprob": -0.25, "bytes": list(piece.encode()), "top_logprobs": []} for piece in ("Hel", "lo")
]


def choice(index: int = 0, finish: str = "stop", logprobs: object = None, **message: object) -> dict[str, object]:
    said = {"role": "assistant", "content": None, **message}
    return {"index": index, "message": said, "logprobs": logprobs, "finish_reason": finish}


def call(at: int, city: str) -> dict[str, object]:
    arguments = json.dumps({"city": city}, ensure_ascii=False)
    return {"id": f"call_{at}", "type": "function", "function": {"name": "weather", "arguments": arguments}}


TWO_CALLS = choice(finish="tool_calls", tool_calls=[call(at, city) for at, city in enumerate(CITIES)])


def answers(*choices: dict[str, object], size: int = 3) -> Script:
    """A whole answer, in pieces of `size`."""
    return streams(*fragments(completion(choices=list(choices)), size=size))


def says_then_waits(piece: str, *pieces: str) -> tuple[Script, Gate]:
    """The first piece at once, the others when the gate is opened."""
    gate = Gate()

    def script(wire: Wire) -> None:
        wire.event(chunk(delta(role="assistant", content=piece)))
        gate.pass_through()
        streams(*(chunk(delta(content=more)) for more in pieces), chunk(delta(finish="stop")))(wire)

    return script, gate


def breaks_off_after(*pieces: str) -> Script:
    def script(wire: Wire) -> None:
        for piece in pieces:
            wire.event(chunk(delta(content=piece)))
        wire.cut()

    return script


def falls_silent_after(*pieces: str) -> Script:
    """Until it is hung up on."""

    def script(wire: Wire) -> None:
        wire.begin()
        for piece in pieces:
            wire.event(chunk(delta(content=piece)))
        wire.wait_for_hang_up()

    return script


def documented(heading: str, *, url: str, key: str) -> list[str]:
    """The examples below a heading of the guide, for this router."""
    section = GUIDE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return _for_router(section, url=url, key=key)


def first_example(*, url: str, key: str) -> str:
    """What the README's first screen shows."""
    return _for_router(README.read_text(), url=url, key=key)[0]


def _for_router(text: str, *, url: str, key: str) -> list[str]:
    found = [example.replace("http://127.0.0.1:8080", url).replace("llmr_…", key) for example in FENCED.findall(text)]
    assert found
    assert all(url in example for example in found[:1])
    return found
