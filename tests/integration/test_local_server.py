"""The server of one machine: what it answers itself has the shape of the router's errors."""

from __future__ import annotations

import asyncio
import socket

import boto3
import httpx
import pytest
from moto import mock_aws
from starlette.responses import PlainTextResponse

from infra.local.server import Doors, Page
from llm_router import aws_session

ROUTER = PlainTextResponse("router")


def get(path, **headers):
    doors = Doors(ROUTER, Page(bucket="page", has_prompt_box=False), is_public=False)

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(doors), base_url="http://127.0.0.1") as client:
            return await client.get(path, headers=headers)

    answer = asyncio.run(asked())
    error = answer.json()["error"] if answer.headers["content-type"] == "application/json" else None
    assert error is None or error.keys() == {"message", "type", "param", "code"}
    return answer, error


@pytest.fixture
def bucket():
    aws_session.s3.cache_clear()
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="page")
        yield client
    aws_session.s3.cache_clear()


def test_a_published_file_is_served_with_its_type(bucket):
    bucket.put_object(Bucket="page", Key="index.html", Body=b"<p>page</p>", ContentType="text/html")
    answer, _ = get("/")
    assert (answer.status_code, answer.text) == (200, "<p>page</p>")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("path", ["/", "/stats.json"])
def test_what_is_not_published_yet_is_said_in_the_error_shape(path):
    answer, error = get(path)
    assert (answer.status_code, error["code"]) == (404, "not_found")
    assert "published" in error["message"]


def test_a_request_from_elsewhere_is_refused_in_the_error_shape():
    answer, error = get("/health", origin="http://evil.example")
    assert (answer.status_code, error["code"], error["type"]) == (403, "foreign_origin", "permission_error")


@pytest.mark.parametrize("listens", [True, False], ids=["frozen", "down"])
def test_a_store_out_of_reach_is_said_in_words(monkeypatch, listens):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listens:  # and never answers
            taken.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{taken.getsockname()[1]}")
        aws_session.s3.cache_clear()
        answer, error = get("/")
    aws_session.s3.cache_clear()
    assert (answer.status_code, error["code"]) == (503, "page_unavailable")
    assert answer.headers["retry-after"] == "5"
