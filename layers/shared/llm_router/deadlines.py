"""How much time a request has: the gateway's limit, and what is left to the Lambda environment that serves it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping

from starlette.types import Scope

from llm_router.candidates import REQUEST_AT_LEAST_S
from llm_router.errors import InvalidRequestError

RESERVE_S = 1.0
"""Kept back from each limit for the way back."""

ADAPTER_CONTEXT = b"x-amzn-lambda-context"
"""Lambda's context as the Lambda Web Adapter hands it on: JSON, `deadline` in milliseconds since 1970."""


ASKED = "x-router-timeout-s"
"""The header by which a caller asks for an answer or an error within so many seconds."""


def limit_s(scope: Scope, *, most_s: float) -> float:
    """The smallest of what is left and what the caller asks for. Raises InvalidRequestError."""
    return asked_s(scope, most_s=remaining_s(scope, most_s=most_s))


def asked_s(scope: Scope, *, most_s: float) -> float:
    """What the caller asks for, within what may be had. Raises InvalidRequestError."""
    asked = dict(scope["headers"]).get(ASKED.encode())
    return most_s if asked is None else min(most_s, _asked_s(asked))


def remaining_s(scope: Scope, *, most_s: float) -> float:
    """The smallest of all limits that are known."""
    limits_s = [most_s]
    context = scope.get("aws.context")
    if context is not None:
        limits_s.append(context.get_remaining_time_in_millis() / 1000)
    waited_s = _waited_s(scope.get("aws.event"))
    if waited_s is not None and 0 < waited_s < most_s:
        limits_s.append(most_s - waited_s)
    adapted = _adapted_s(dict(scope["headers"]))
    if adapted is not None:
        limits_s.append(adapted)
    return min(limits_s) - RESERVE_S


def _asked_s(text: bytes) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= REQUEST_AT_LEAST_S):
        words = f"{ASKED} must be a number of seconds, at least {REQUEST_AT_LEAST_S:g}."
        raise InvalidRequestError(words, param=ASKED)
    return seconds


def _waited_s(event: object) -> float | None:
    """How long ago API Gateway took the request: its clock runs while an environment starts, Lambda's does not.

    What it says is not believed where it can't be: a clock that goes wrong, a recorded event.
    """
    try:
        return time.time() - float(event["requestContext"]["requestTimeEpoch"]) / 1000  # type: ignore[index]
    except (KeyError, ValueError, TypeError):
        return None


def _adapted_s(headers: Mapping[bytes, bytes]) -> float | None:
    try:
        context = json.loads(headers[ADAPTER_CONTEXT])
        return float(context["deadline"]) / 1000 - time.time()
    except (KeyError, ValueError, TypeError):
        return None
