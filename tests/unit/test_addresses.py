"""Which addresses are this machine's own, and what the router's doors make of it."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from infra.local.addresses import is_loopback
from infra.local.server import Doors


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104  # not bound
        ("::", False),
        ("10.0.0.1", False),
        ("128.0.0.1", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_all_of_127_and_nothing_else(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8080", 200), ("127.0.0.2", 200), ("[::1]:8080", 200), ("evil.example", 403), ("10.0.0.1", 403)],
)
def test_a_router_on_loopback_answers_only_under_this_machines_own_names(host, status):
    doors = Doors(PlainTextResponse("router"), PlainTextResponse("page"), is_public=False)

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(doors), base_url="http://127.0.0.1") as client:
            return await client.get("/health", headers={"host": host})

    assert asyncio.run(ask()).status_code == status
