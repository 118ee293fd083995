"""One line in the log for each request, and an id on each response, on that to a fault of our own too."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_router import http_responses
from llm_router.errors import InternalError
from llm_router.usage import UsageRecord

ID_HEADER = "x-request-id"
FAULT = "Something went wrong in the router. It has been logged."


class RequestLog:
    """One JSON line a request: no prompt, no key, no upstream text. Plain ASGI, so that no task outlives a request.

    A request's one id stands in the scope's state as `request_id`, a function that draws it when it is first called. It
    also says from when its record is, so it must not grow old while a body is being sent.
    """

    def __init__(self, app: ASGIApp, logger: Logger, new_id: Callable[[], str]) -> None:
        self._app = app
        self._logger = logger
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.monotonic()
        line = _Line(send, functools.cache(self._new_id))
        scope.setdefault("state", {})["request_id"] = line.request_id
        try:
            await self._app(scope, receive, line.send)
        except Exception:
            self._logger.exception("internal error", event="internal_error", request_id=line.request_id())
            scope["state"]["error_code"] = InternalError.code
            if line.status:  # what has begun must not end as if it were whole
                raise
            await http_responses.failed(InternalError(FAULT))(scope, receive, line.send)
        finally:
            self._note(scope, line, latency_ms=round((time.monotonic() - started_s) * 1000))

    def _note(self, scope: Scope, line: _Line, *, latency_ms: int) -> None:
        state = scope["state"]
        self._logger.info(
            "request",
            extra={
                "event": "request",
                "path": _known_path(scope),
                "status": line.status,
                "latency_ms": latency_ms,
                "request_id": line.request_id(),
                "error_code": state.get("error_code"),
                **_told(state.get("record")),
            },
        )


@dataclass(slots=True)
class _Line:
    """The way to the caller: what was sent on it, and under which id."""

    to_caller: Send
    request_id: Callable[[], str]
    status: int = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=list(message["headers"]))
            headers[ID_HEADER] = self.request_id()
            message = {**message, "headers": headers.raw}
        await self.to_caller(message)


def _known_path(scope: Scope) -> str:
    """The route's own path: what a caller typed may hold anything."""
    route = scope.get("route")
    return getattr(route, "path", "unknown")


def _told(record: UsageRecord | None) -> dict[str, object]:
    """What the log says of a served or failed request, in OpenTelemetry's names where they exist."""
    if record is None:
        return {}
    last = record.attempts[-1] if record.attempts else None
    return {
        "key_id": record.key_id,
        "gen_ai.request.model": record.route,
        "gen_ai.provider.name": last.provider if last else None,
        "gen_ai.response.model": last.model if last else None,
        "gen_ai.usage.input_tokens": record.tokens.prompt,
        "gen_ai.usage.output_tokens": record.tokens.completion,
        "cost_usd": None if record.cost.usd is None else f"{record.cost.usd:f}",
        "cost_basis": record.cost.basis.value,
        "attempts": [f"{attempt.candidate}:{attempt.outcome.value}" for attempt in record.attempts],
    }
