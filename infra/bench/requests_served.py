"""The measured process: imports the handler, calls it as Lambda does, and writes down what that took.

A program of its own that imports little, run by an environment in which nothing but the deployed packages is.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

EVENT = Path(__file__).resolve().parents[2] / "events" / "generate.json"
TIMEOUT_MS = 30_000


class Context:
    """What the router asks of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        return TIMEOUT_MS


def main() -> None:
    requests, result = int(sys.argv[1]), Path(sys.argv[2])
    began_s = time.perf_counter()
    handler = importlib.import_module("handler").handler
    import_ms = _ms_since(began_s)
    imported_mb = _peak_mb()
    event = _event(os.environ["BENCH_CLIENT_KEY"])

    def ask() -> None:
        answer = handler(event, Context())
        if answer["statusCode"] != 200 or answer["headers"]["x-router-attempts"] != "1":
            sys.exit(f"not the expected answer: {answer}")

    first_ms = _duration_ms(ask)
    store_ms = _note_store_calls()
    used_before_s = time.process_time()
    warm_ms = [_duration_ms(ask) for _ in range(requests)]
    cpu_ms = (time.process_time() - used_before_s) * 1000
    found = {
        "peak_mb": _peak_mb(),
        "imported_mb": imported_mb,
        "import_ms": import_ms,
        "first_ms": first_ms,
        "warm_ms": warm_ms,
        "warm_cpu_ms": cpu_ms / requests,
        "store_ms": store_ms,
        "store_calls": len(store_ms) / requests,
        "direct_ms": _direct_ms(requests),
    }
    result.write_text(json.dumps(found))


def _event(client_key: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(EVENT.read_text())
    event["headers"]["x-api-key"] = client_key
    event["multiValueHeaders"]["x-api-key"] = [client_key]
    return event


def _note_store_calls() -> list[float]:
    """How long each call of DynamoDB takes from here on, in milliseconds."""
    client = importlib.import_module("llm_router.aws_json").JsonClient
    asked = client._asked  # noqa: SLF001  # one try, as the client makes it
    durations_ms: list[float] = []

    def timed(*arguments: object) -> object:
        began_s = time.perf_counter()
        try:
            return asked(*arguments)
        finally:
            durations_ms.append(_ms_since(began_s))

    client._asked = timed  # noqa: SLF001  # the same
    return durations_ms


def _direct_ms(requests: int) -> list[float]:
    """The same provider asked without a router, over one connection."""
    url = urlsplit(os.environ["BENCH_PROVIDER_URL"])
    connection = http.client.HTTPConnection(url.netloc)
    body = json.dumps({"model": "same-words", "messages": [{"role": "user", "content": "What is a router?"}]})

    def ask() -> None:
        connection.request("POST", url.path, body, {"content-type": "application/json"})
        connection.getresponse().read()

    ask()
    return [_duration_ms(ask) for _ in range(requests)]


def _peak_mb() -> float:
    """The most that was ever resident, of 1,048,576 bytes each as Lambda counts them.

    Linux carries `ru_maxrss` over from the process that started this one; `VmHWM` it does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS counts bytes


def _duration_ms(call: Callable[[], None]) -> float:
    began_s = time.perf_counter()
    call()
    return _ms_since(began_s)


def _ms_since(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1000


if __name__ == "__main__":
    main()
