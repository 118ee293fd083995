"""One line in the log for each request, and an id on each response."""

from __future__ import annotations

import time
from collections.abc import Callable

from aws_lambda_powertools import Logger
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_router.usage import UsageRecord

ID_HEADER = "x-request-id"


class RequestLog:
    """One JSON line a request: no prompt, no key, no upstream text. Plain ASGI, so that no task outlives a request."""

    def __init__(self, app: ASGIApp, logger: Logger, new_id: Callable[[], str]) -> None:
        self._app = app
        self._logger = logger
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.monotonic()
        status, request_id = 0, self._new_id()

        async def noting(message: Message) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=list(message["headers"]))
                request_id = headers.setdefault(ID_HEADER, request_id)
                message = {**message, "headers": headers.raw}
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            status = 500  # what is sent further out
            raise
        finally:
            latency_ms = round((time.monotonic() - started_s) * 1000)
            state = scope.get("state", {})
            self._logger.info(
                "request",
                extra={
                    "event": "request",
                    "path": _known_path(scope),
                    "status": status,
                    "latency_ms": latency_ms,
                    "request_id": request_id,
                    "error_code": state.get("error_code") or ("internal_error" if status == 500 else None),
                    **_told(state.get("record")),
                },
            )


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
