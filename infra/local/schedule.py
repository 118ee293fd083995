"""Runs the stats function every few seconds, as EventBridge does every few minutes."""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.local import processes

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60.0

logger = logging.getLogger("schedule")

Handler = Callable[[object, "Context"], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Context:
    """What the handler asks of Lambda's context."""

    ends_s: float

    def get_remaining_time_in_millis(self) -> int:
        return round((self.ends_s - time.monotonic()) * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every-s", type=float, required=True)
    arguments = parser.parse_args()
    processes.stop_when_orphaned()
    handler = _handler()
    event = json.loads((ROOT / "events" / "schedule.json").read_text())
    while True:
        try:
            handler(event, Context(time.monotonic() + TIMEOUT_S))
        except Exception:  # as on Lambda: a failed run is logged, and the next one comes
            logger.exception("the stats function failed")
        time.sleep(arguments.every_s)


def _handler() -> Handler:
    spec = importlib.util.spec_from_file_location("stats_handler", ROOT / "functions" / "stats" / "handler.py")
    if spec is None or spec.loader is None:
        raise ImportError("functions/stats/handler.py can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


if __name__ == "__main__":
    main()
