"""A line for each request, an id on each answer: on that of a fault of ours, too."""

from __future__ import annotations

import asyncio
import io
import json
from uuid import uuid4

import httpx
import pytest
from aws_lambda_powertools import Logger
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from llm_router.request_log import RequestLog


class FaultError(Exception):
    pass


def fine(_):
    return PlainTextResponse("fine")


def refined(request):
    """One whose doors have a use for the id."""
    before = list(DRAWN)
    ids = [request.state.request_id() for _ in range(2)]
    return JSONResponse({"before": before, "ids": ids})


def fault(_):
    raise FaultError


def fault_in_the_middle(_):
    async def pieces():
        yield b"half"
        raise FaultError

    return StreamingResponse(pieces())


DRAWN = []


def draw():
    DRAWN.append(f"id-{len(DRAWN) + 1}")
    return DRAWN[-1]


class Router:
    """An app behind the log, and the lines that it has written."""

    def __init__(self):
        self._stream = io.StringIO()
        logger = Logger(service=f"test_request_log_{uuid4()}", stream=self._stream)
        DRAWN.clear()
        routes = [
            Route("/fine", fine),
            Route("/refined", refined),
            Route("/fault", fault),
            Route("/middle", fault_in_the_middle),
        ]
        self._app = Starlette(routes=routes, middleware=[Middleware(RequestLog, logger=logger, new_id=draw)])

    def get(self, path, **headers):
        async def asked():
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(asked())

    @property
    def lines(self):
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


@pytest.fixture
def router():
    return Router()


def test_an_answer_has_the_id_that_is_logged(router):
    answer = router.get("/fine")
    (line,) = router.lines
    assert answer.headers["x-request-id"] == line["request_id"] == "id-1"
    assert (line["status"], line["path"]) == (200, "/fine")
    assert "error_code" not in line


def test_the_id_is_drawn_when_it_is_first_needed_and_once(router):
    """It says where its record lies and from when it is: drawn while a body still comes, it would be too old for it."""
    answer = router.get("/refined")
    (line,) = router.lines
    assert answer.json() == {"before": [], "ids": ["id-1", "id-1"]}
    assert answer.headers["x-request-id"] == line["request_id"] == "id-1"
    assert DRAWN == ["id-1"]


def test_each_request_has_an_id_of_its_own_and_none_of_its_callers(router):
    said = [router.get("/fine", **{"x-request-id": "mine"}).headers["x-request-id"] for _ in range(2)]
    assert said == ["id-1", "id-2"]


def test_a_fault_of_ours_is_answered_in_the_error_shape_with_the_id_that_its_traceback_has(router):
    answer = router.get("/fault")
    traced, line = router.lines
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == ("internal_error", "api_error", None)
    assert answer.headers["x-request-id"] == traced["request_id"] == line["request_id"] == "id-1"
    assert (traced["event"], traced["exception_name"]) == ("internal_error", "FaultError")
    assert "Traceback" in traced["exception"]
    assert (line["event"], line["status"], line["path"], line["error_code"]) == (
        "request",
        500,
        "/fault",
        "internal_error",
    )


def test_an_answer_that_has_begun_breaks_off_and_never_ends_cleanly(router):
    with pytest.raises(FaultError):
        router.get("/middle")
    traced, line = router.lines
    assert (traced["event"], traced["request_id"]) == ("internal_error", "id-1")
    assert (line["status"], line["error_code"]) == (200, "internal_error")
