"""Callers of the routers, a process of many: at either door, streamed or not, and some hang up.

Each notes on disk what it asked before it asks, and what it was told. No request is asked twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import simplejson

from infra.proof.judge import NONCE
from infra.proof.tariff import MOST_TOKENS, OFFERS, TIMEOUT_S

ANSWERED_WITHIN_S = TIMEOUT_S + 20
"""The routers' own deadline, and what a restart under load takes."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")


class Door(StrEnum):
    GENERATE = "generate"
    CHAT = "chat"
    LIVE = "live stream"
    VERIFIED = "verified stream"


class HangUp(StrEnum):
    NEVER = "never"
    BEFORE_THE_FIRST_BYTE = "before the first byte"
    IN_THE_MIDDLE = "in the middle"
    JUST_BEFORE_THE_END = "just before the end"


DOORS = {Door.GENERATE: 35, Door.CHAT: 25, Door.LIVE: 30, Door.VERIFIED: 10}
HANG_UPS = {HangUp.NEVER: 85, HangUp.BEFORE_THE_FIRST_BYTE: 5, HangUp.IN_THE_MIDDLE: 5, HangUp.JUST_BEFORE_THE_END: 5}


@dataclass(frozen=True, slots=True)
class Request:
    nonce: str
    door: Door
    model: str
    cap: int | None
    hang_up: HangUp = HangUp.NEVER
    after_s: float = 0.0

    @property
    def is_streamed(self) -> bool:
        return self.door in (Door.LIVE, Door.VERIFIED)

    def raw(self) -> bytes:
        """The first word of the prompt is the nonce, and so is what the record keeps."""
        prompt = f"{self.nonce} is what this is about. Say something."
        body: dict[str, object] = {"model": self.model, "metadata": {NONCE: self.nonce, "door": self.door.value}}
        if self.cap:
            body["max_tokens"] = self.cap
        if self.door is Door.GENERATE:
            body["prompt"] = prompt
        else:
            body |= {"messages": [{"role": "user", "content": prompt}], "stream": self.is_streamed}
        path = "/generate" if self.door is Door.GENERATE else "/v1/chat/completions"
        sent = json.dumps(body).encode()
        head = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(sent)}", "connection: close"]
        head += ["content-type: application/json"]
        head += ["x-router-delivery: verified"] if self.door is Door.VERIFIED else []
        return "\r\n".join([*head, "", ""]).encode() + sent


def drawn(nonce: str, seed: int) -> Request:
    chance = random.Random(f"{seed}/{nonce}")  # noqa: S311  # to be told again, not a secret
    models = ["auto", "auto", *(offer.candidate for offer in OFFERS)]
    return Request(
        nonce,
        chance.choices(list(DOORS), list(DOORS.values()))[0],
        chance.choice(models),
        chance.choice([None, None, chance.randint(2, MOST_TOKENS)]),
        chance.choices(list(HANG_UPS), list(HANG_UPS.values()))[0],
        chance.uniform(0, 0.1),
    )


async def ask(request: Request, url: str) -> dict[str, object]:
    """What came of it, in words of JSON."""
    received = bytearray()
    try:
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            writer.write(request.raw())
            await _read(request, reader, received)
    except TimeoutError:
        return {NONCE: request.nonce, "told": "nothing in time"}
    except OSError:
        return {NONCE: request.nonce, "told": "connection lost"}
    writer.close()
    return {NONCE: request.nonce, **_told(request, bytes(received))}


async def _read(request: Request, reader: asyncio.StreamReader, received: bytearray) -> None:
    """To the end, or to where this caller hangs up."""
    if request.hang_up is HangUp.BEFORE_THE_FIRST_BYTE:
        with suppress(TimeoutError):
            async with asyncio.timeout(request.after_s):
                received += await reader.read(1)
        return
    enough = {HangUp.IN_THE_MIDDLE: b"\r\n\r\n", HangUp.JUST_BEFORE_THE_END: b'"finish_reason": "'}.get(request.hang_up)
    while data := await reader.read(65536):
        received += data
        if enough and (enough in received or enough.replace(b" ", b"") in received):
            return


def _told(request: Request, received: bytes) -> dict[str, object]:
    status = _STATUS.match(received)
    if request.hang_up is not HangUp.NEVER:
        return {"told": f"hung up {request.hang_up}"}
    if status is None:
        return {"told": "connection lost"}
    head, _, body = received.partition(b"\r\n\r\n")
    if status[1] != b"200":
        return {"told": f"status {status[1].decode()}"}
    if request.is_streamed:
        return _told_by_stream(body)
    found = re.search(rb"\r\nx-router-cost-usd: *([^\r]+)", head), re.search(rb"\r\nx-router-cost-basis: *(\w+)", head)
    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
    if not (all(found) and length and int(length[1]) == len(body)):
        return {"told": "answer broken off"}
    usd, basis = (match[1].decode() if match else "" for match in found)
    return {"told": "answer", "usd": usd, "basis": basis}


def _told_by_stream(body: bytes) -> dict[str, object]:
    if b"data: [DONE]" not in body:
        return {"told": "stream ended with an error" if b'"error"' in body else "stream broken off"}
    for line in body.splitlines():
        if line.startswith(b"data: {") and b'"usage"' in line:
            usage = simplejson.loads(line[6:], use_decimal=True).get("usage")
            if usage:
                return {"told": "answer", "usd": f"{usage['cost']:f}", "basis": usage["cost_basis"]}
    return {"told": "stream without usage"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="what the nonces of this process begin with")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--urls", nargs="+", required=True)
    asyncio.run(_ask_all(parser.parse_args()))


async def _ask_all(arguments: argparse.Namespace) -> None:
    asked = _appended(arguments.folder / f"{arguments.name}.asked")
    told = _appended(arguments.folder / f"{arguments.name}.told")
    numbers = count()
    urls: Sequence[str] = arguments.urls

    async def keep_asking() -> None:
        while (number := next(numbers)) < arguments.requests:
            request = drawn(f"{arguments.name}-{number}", arguments.seed)
            os.write(asked, request.nonce.encode() + b"\n")
            found = await ask(request, urls[number % len(urls)])
            os.write(told, json.dumps(found).encode() + b"\n")

    await asyncio.gather(*(keep_asking() for _ in range(arguments.at_once)))


def _appended(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


if __name__ == "__main__":
    main()
