"""Loads the functions' real handlers, and calls them as Lambda does."""

from __future__ import annotations

import importlib.util
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EVENTS = ROOT / "events"


@dataclass
class Context:
    """What Lambda hands a handler beside the event."""

    timeout_s: float = 30.0
    function_name: str = "test"
    memory_limit_in_mb: int = 512
    aws_request_id: str = "11111111-2222-3333-4444-555555555555"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:test"
    started_s: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return round((self.started_s + self.timeout_s - time.monotonic()) * 1000)


def load(function: str) -> Any:
    """A fresh environment's handler: its module is run anew."""
    path = ROOT / "functions" / function / "handler.py"
    spec = importlib.util.spec_from_file_location(f"{function}_handler", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


def post(path: str, body: object, **headers: str) -> dict[str, Any]:
    """API Gateway's event for a POST; `body` is sent as it is where it is a string."""
    found = event("generate")
    found["path"] = found["resource"] = path
    found["body"] = body if isinstance(body, str) else json.dumps(body)
    sent = {"content-type": "application/json", **headers}
    found["headers"] = sent
    found["multiValueHeaders"] = {name: [value] for name, value in sent.items()}
    return found
