"""A stand-in for DynamoDB that takes as long as DynamoDB does, however many ask at once.

The emulator of `make run` serves one request at a time: under load it would be what is measured. This one keeps the
state table's items, so that a client key can be found, and acknowledges what is written to the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from functools import partial
from typing import Any

from infra.bench import wire
from infra.local import processes

Items = dict[str, dict[str, Any]]


def answer(head: bytes, body: bytes, write: wire.Write, *, items: Items, delay_s: float) -> None:
    operation = wire.header(head, "x-amz-target").rpartition(".")[2]
    asked = json.loads(body) if operation else {}
    wire.later(delay_s, write, wire.as_json(json.dumps(_found(operation, asked, items)).encode()))


def _found(operation: str, asked: dict[str, Any], items: Items) -> dict[str, Any]:
    if operation == "GetItem":
        item = items.get(asked["Key"]["pk"]["S"])
        return {"Item": item} if item else {}
    if operation == "BatchGetItem":
        return {"Responses": {table: [] for table in asked["RequestItems"]}, "UnprocessedKeys": {}}
    if operation == "PutItem" and "sk" not in asked["Item"]:
        items[asked["Item"]["pk"]["S"]] = asked["Item"]
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--delay-ms", type=float, required=True, help="from a request to its answer")
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    items: Items = {}
    answering = partial(answer, items=items, delay_s=arguments.delay_ms / 1000)
    asyncio.run(wire.serve(answering, fd=arguments.fd))


if __name__ == "__main__":
    main()
