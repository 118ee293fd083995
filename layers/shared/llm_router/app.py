"""The HTTP surface: which path does what, who may come in, and one log line a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger
from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from llm_router import deadlines, http_requests, http_responses, live, stats_requests
from llm_router.candidates import Configuration, Delivery
from llm_router.chat_requests import ChatRequest
from llm_router.client_keys import ANYONE, ClientKey, ClientKeys, Role
from llm_router.dispatcher import Deadline, Dispatcher, RequestFailedError
from llm_router.errors import (
    AnswerTooLargeError,
    CallerError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    OperatorOnlyError,
    StatsUnavailableError,
    StoreError,
)
from llm_router.http_requests import GenerateRequest, SwitchRequest
from llm_router.live import LiveResponse
from llm_router.overview import Overview
from llm_router.prompts import Prompt
from llm_router.request_log import RequestLog
from llm_router.trials import Answer, ShowTo
from llm_router.usage import UsageRecord

DELIVERY_HEADER = "x-router-delivery"
STREAMING_TIMEOUT_S = 120.0
STREAMING_TIMEOUT_AT_MOST_S = 900.0
"""A streamed request's time where its route says nothing, and the most that Lambda gives."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What the paths hand over to. `client_keys` is None where the door is open to anyone."""

    configuration: Configuration
    client_keys: ClientKeys | None
    dispatcher: Dispatcher
    overview: Overview
    logger: Logger
    gateway_timeout_s: float
    max_body_bytes: int


def create(doors: Doors) -> FastAPI:
    """The ASGI app. The interactive docs stay off: they would load scripts from elsewhere."""
    app = FastAPI(title="Multi-LLM Router", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    async def caller(request: Request) -> ClientKey:
        if doors.client_keys is None:
            return ANYONE
        return await doors.client_keys.authenticate(_sent_key(request.headers))

    signed_in = Depends(caller)
    _open_doors(app, doors, signed_in)
    _open_windows(app, doors, signed_in)
    _answer_errors(app, doors.logger)
    app.add_middleware(RequestLog, logger=doors.logger, new_id=doors.dispatcher.ledger.new_position)
    return app


def _open_doors(app: FastAPI, doors: Doors, signed_in: Any) -> None:
    """Where prompts come in."""

    @app.post("/generate")
    async def generate(request: Request, key: ClientKey = signed_in) -> Response:
        body = await http_requests.read_json(request, GenerateRequest, max_bytes=doors.max_body_bytes)
        _asked_delivery(request)  # of no effect here, where nothing is streamed; a slip is told all the same
        deadline = _buffered_deadline(request.scope, doors)
        dispatch = _dispatch(body.as_prompt(), doors, request=request, key=key, deadline=deadline)
        answer = await live.in_one_piece(dispatch, request.receive)
        request.state.record = answer.record
        return _deliverable(http_responses.generated(answer), answer.record, request.scope)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request, key: ClientKey = signed_in) -> Response:
        body = await http_requests.read_json(request, ChatRequest, max_bytes=doors.max_body_bytes)
        prompt = body.as_prompt()
        deadline = _streaming_deadline(request.scope)
        dispatch = _dispatch(prompt, doors, request=request, key=key, deadline=deadline)
        delivery = _asked_delivery(request)
        if body.stream:
            is_live = (delivery or _usual_delivery(prompt, doors.configuration)) is Delivery.LIVE
            return LiveResponse(dispatch, is_live=is_live, wants_usage=body.wants_usage)
        answer = await live.in_one_piece(dispatch, request.receive)
        request.state.record = answer.record
        return _deliverable(http_responses.chat(answer), answer.record, request.scope)

    @app.post("/estimate", dependencies=[signed_in])
    async def estimate(request: Request) -> Response:
        value = await http_requests.read_value(request, max_bytes=doors.max_body_bytes)
        is_chat = isinstance(value, dict) and "messages" in value
        body = http_requests.parsed(value, ChatRequest) if is_chat else http_requests.parsed(value, GenerateRequest)
        prompt = body.as_prompt()
        deadline = _chats_deadline(request.scope) if is_chat else _buffered_deadline(request.scope, doors)
        fitted, plan = await doors.dispatcher.plan(prompt, deadline=deadline)
        return http_responses.estimated(prompt, fitted, plan)


def _dispatch(prompt: Prompt, doors: Doors, *, request: Request, key: ClientKey, deadline: Deadline) -> live.Dispatch:
    async def dispatch(show: ShowTo | None) -> Answer:
        request_id = request.state.request_id
        return await doors.dispatcher.answer(
            prompt, key_id=key.key_id, request_id=request_id, deadline=deadline, show=show
        )

    return dispatch


def _buffered_deadline(scope: Scope, doors: Doors) -> Deadline:
    limit_s = deadlines.limit_s(scope, most_s=doors.gateway_timeout_s)
    return Deadline(default_s=limit_s, limit_s=limit_s)


def _chats_deadline(scope: Scope) -> Deadline:
    """What a chat would have at its own door, whose function has more time than the one that tells of it."""
    return Deadline(STREAMING_TIMEOUT_S, limit_s=deadlines.asked_s(scope, most_s=STREAMING_TIMEOUT_AT_MOST_S))


def _streaming_deadline(scope: Scope) -> Deadline:
    return Deadline(STREAMING_TIMEOUT_S, limit_s=deadlines.limit_s(scope, most_s=STREAMING_TIMEOUT_AT_MOST_S))


def _open_windows(app: FastAPI, doors: Doors, signed_in: Any) -> None:
    """Where one can look in."""

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health(request: Request) -> Response:
        return Response() if request.method == "HEAD" else http_responses.as_json({"status": "ok"})

    @app.get("/stats")
    async def stats(request: Request, key: ClientKey = signed_in) -> Response:
        question = stats_requests.question(request.query_params, key=key, now=doors.overview.clock.now())
        return http_responses.as_json(await doors.overview.stats(question))

    @app.get("/providers", dependencies=[signed_in])
    async def providers() -> Response:
        return http_responses.as_json(await doors.overview.providers())

    @app.put("/providers/{name}")
    async def switch_provider(name: str, request: Request, key: ClientKey = signed_in) -> Response:
        if key.role is not Role.OPERATOR:
            raise OperatorOnlyError("Only a key with the role operator may switch a provider.")
        body = await http_requests.read_json(request, SwitchRequest, max_bytes=doors.max_body_bytes)
        return http_responses.as_json(await doors.overview.switch(name, enabled=body.enabled, reason=body.reason))

    @app.get("/v1/models", dependencies=[signed_in])
    async def models() -> Response:
        return http_responses.as_json(await doors.overview.models())

    @app.get("/v1/models/{model:path}", dependencies=[signed_in])
    async def one_model(model: str) -> Response:
        return http_responses.as_json(await doors.overview.model(model))


def _deliverable(response: Response, record: UsageRecord, scope: Scope) -> Response:
    """Raises RequestFailedError for an answer that was paid for and that Lambda would drop."""
    if "aws.context" in scope and not http_responses.fits_lambda(response):
        error = AnswerTooLargeError(
            "The answer is larger than AWS Lambda hands over in one piece (6 MB). Ask for less."
        )
        raise RequestFailedError(error, record)
    return response


def _answer_errors(app: FastAPI, logger: Logger) -> None:
    def noted(request: Request, error: CallerError, record: UsageRecord | None = None) -> Response:
        request.state.error_code = error.code
        request.state.record = record
        return http_responses.failed(error, record)

    def handler(kind: type[Exception]) -> Callable[[Callable[[Request, Exception], Awaitable[Response]]], object]:
        return app.exception_handler(kind)

    @handler(CallerError)
    async def caller_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, CallerError)  # noqa: S101  # what the handler is registered for
        return noted(request, error)

    @handler(RequestFailedError)
    async def request_failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestFailedError)  # noqa: S101  # what the handler is registered for
        return noted(request, error.error, error.record)

    @handler(StoreError)
    async def store_error(request: Request, error: Exception) -> Response:
        logger.error("store unavailable", event="store_unavailable", reason=str(error))
        return noted(request, StatsUnavailableError("The figures can't be read right now.", retry_after_s=5))

    @handler(HTTPException)
    async def http_error(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 405:
            response = noted(request, MethodNotAllowedError(f"{request.method} is not allowed on this path."))
            response.headers.update(error.headers or {})  # Allow
            return response
        return noted(request, NotFoundError("There is no such path."))


def _sent_key(headers: Mapping[str, str]) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _asked_delivery(request: Request) -> Delivery | None:
    said = request.headers.get(DELIVERY_HEADER)
    if said is not None and said not in list(Delivery):
        raise InvalidRequestError(f"{DELIVERY_HEADER} must be {' or '.join(Delivery)}.", param=DELIVERY_HEADER)
    return None if said is None else Delivery(said)


def _usual_delivery(prompt: Prompt, configuration: Configuration) -> Delivery:
    """Of a stream: what the route says, else live."""
    route = configuration.route(prompt.models[0])
    return (route.delivery if route else None) or Delivery.LIVE
