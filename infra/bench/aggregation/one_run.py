"""One run of the stats function's job in a process of its own; prints what it did and took as a line of JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from llm_router import aws_access, stats_wiring

READ_UNIT_BYTES = 4096
TRANSACTED_WRITE_UNITS = 2
KB_PER_MB = 1024


class Counts:
    """What DynamoDB would charge for: by the answers' items, as the emulator doesn't say."""

    def __init__(self) -> None:
        self.records = 0
        self.read_units = 0
        self.write_units = 0
        self.transactions = 0

    def note(self, operation: str, asked: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
        if operation == "query":
            items = parsed["Items"]
            self.records += sum(item["pk"]["S"].startswith("journal#") for item in items)
            self.read_units += max(1, math.ceil(sum(map(_bytes, items)) / READ_UNIT_BYTES))
        elif operation == "batch_get_item":
            found = [item for items in parsed["Responses"].values() for item in items]
            self.read_units += sum(max(1, math.ceil(_bytes(item) / READ_UNIT_BYTES)) for item in found)
        elif operation == "get_item":
            self.read_units += max(1, math.ceil(_bytes(parsed.get("Item", {})) / READ_UNIT_BYTES))
        elif operation == "transact_write_items":
            self.transactions += 1
            self.write_units += TRANSACTED_WRITE_UNITS * len(asked["TransactItems"])


class Counted:
    """The client that the function has, each of its calls noted."""

    def __init__(self, client: object, counts: Counts) -> None:
        self._client = client
        self._counts = counts

    def __getattr__(self, operation: str) -> Callable[..., Mapping[str, Any]]:
        ask = getattr(self._client, operation)

        def noted(**asked: object) -> Mapping[str, Any]:
            answer: Mapping[str, Any] = ask(**asked)
            self._counts.note(operation, asked, answer)
            return answer

        return noted


def _bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """About as DynamoDB counts: names and values in UTF-8.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(typed: Mapping[str, Any]) -> int:
    ((kind, value),) = typed.items()
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value_bytes(inner) for name, inner in value.items())
    if kind == "L":
        return 3 + sum(1 + _value_bytes(inner) for inner in value)
    if kind == "N":
        return len(value) // 2 + 2
    return len(str(value).encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit-s", type=float, required=True, help="the function's timeout")
    limit_s: float = parser.parse_args().limit_s
    counts = Counts()
    client: Any = Counted(aws_access.read(os.environ).dynamodb(), counts)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    report = stats_wiring.stats_job(os.environ, dynamodb=lambda: client).run(limit_s=limit_s)
    taken = {
        "added": report["records"],
        "behind_s": report["behind_s"],
        "records_read": counts.records,
        "read_units": counts.read_units,
        "write_units": counts.write_units,
        "transactions": counts.transactions,
        "seconds": time.monotonic() - began_s,
        "cpu_seconds": time.process_time() - began_cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_MB,
    }
    sys.stdout.write(json.dumps(taken) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
