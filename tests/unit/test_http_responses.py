"""How large an answer becomes in Lambda's hands, told before it is handed over."""

from __future__ import annotations

import asyncio

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st
from mangum import Mangum
from starlette.responses import Response

import handlers
from llm_router import http_responses

HEADERS = {f"x-router-{number}": "~" * 256 for number in range(8)}
"""As many as an answer has, each of the largest size."""

BODY_BYTES_AT_MOST = http_responses.LAMBDA_BYTES_AT_MOST - http_responses.HEADERS_BYTES_AT_MOST


def as_lambda_sends(response: Response) -> bytes:
    """By Mangum and, in its way, by Lambda's own client for Python 3.12 and later."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    try:
        answer = Mangum(response, lifespan="off")(handlers.post("/generate", {}), handlers.Context())
    finally:
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)
    return simplejson.dumps(answer, ensure_ascii=False).encode()


@given(st.text() | st.text(alphabet='"\\\n\u2028\x7fü'))
def test_what_the_runtime_sends_is_never_more_than_what_was_counted(text):
    response = http_responses.as_json({"response": text}, headers=HEADERS)
    assert len(as_lambda_sends(response)) <= http_responses.lambda_bytes_at_most(response)


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (b"a" * BODY_BYTES_AT_MOST, True),
        (b"a" * (BODY_BYTES_AT_MOST + 1), False),
        (b'"' * (BODY_BYTES_AT_MOST // 2), True),
        (b'"' * (BODY_BYTES_AT_MOST // 2 + 1), False),
        (b"\\" * (BODY_BYTES_AT_MOST // 2 + 1), False),
        (("ü" * (BODY_BYTES_AT_MOST // 2)).encode(), True),
        (("ü" * (BODY_BYTES_AT_MOST // 2 + 1)).encode(), False),
    ],
    ids=["plain", "one more", "quotes", "a quote more", "a backslash more", "two bytes", "two bytes more"],
)
def test_bytes_are_counted_as_the_runtime_escapes_them(body, fits):
    assert http_responses.fits_lambda(Response(body)) is fits
