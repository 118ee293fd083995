"""Who may ask the embedded AWS for what: the run's own parts, for DynamoDB, SSM and the page's bucket."""

from __future__ import annotations

import asyncio

import pytest

from infra.local.aws_door import AwsDoor

BUCKET = "page"
S3 = "AWS4-HMAC-SHA256 Credential=local/20261124/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
LAMBDA = S3.replace("/s3/", "/lambda/")
PUT_ITEM = {"x-amz-target": "DynamoDB_20120810.PutItem"}


def status(method="POST", path="/", query=b"", host="127.0.0.1:4566", kind="http", **headers):
    """What comes back: 200 is the emulator's own."""
    sent = []
    fields = [("host", host), *headers.items()] if isinstance(host, str) else [*host, *headers.items()]
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in fields],
    }

    async def emulator(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    asyncio.run(AwsDoor(emulator, bucket=BUCKET)(scope, None, send))
    return sent[0].get("status", sent[0]["type"])


@pytest.mark.parametrize(
    "request_",
    [
        {**PUT_ITEM},
        {**PUT_ITEM, "host": "localhost:4566"},
        {"x-amz-target": "AmazonSSM.GetParametersByPath"},
        {"method": "PUT", "path": f"/{BUCKET}", "authorization": S3},
        {"method": "PUT", "path": f"/{BUCKET}/index.html", "authorization": S3},
        {"method": "GET", "path": f"/{BUCKET}/stats.json", "query": b"x-id=GetObject", "authorization": S3},
    ],
)
def test_what_the_run_itself_asks_comes_through(request_):
    assert status(**request_) == 200


@pytest.mark.parametrize(
    "request_",
    [
        {**PUT_ITEM, "origin": "https://evil.example"},
        {**PUT_ITEM, "origin": "null"},
        {**PUT_ITEM, "origin": "http://127.0.0.1:4566"},
        {"method": "OPTIONS", "origin": "https://evil.example"},
        {"method": "GET", "path": f"/{BUCKET}/stats.json", "authorization": S3, "origin": "https://evil.example"},
    ],
)
def test_no_browsers_page_is_let_in(request_):
    assert status(**request_) == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:4566", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "[", "", []],
)
def test_a_name_that_is_not_this_machines_is_refused(host):
    assert status(host=host, **PUT_ITEM) == 403


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET"},
        {"path": "/2015-03-31/functions", "authorization": LAMBDA},
        {"path": "/2015-03-31/functions"},
        {"path": "/2015-03-31/functions", **PUT_ITEM},
        {"path": "/_ministack/reset", **PUT_ITEM},
        {"path": "/", "query": b"Action=CreateFunction", **PUT_ITEM},
        {"method": "GET", **PUT_ITEM},
        {"x-amz-target": "AWSLambda.CreateFunction"},
        {"x-amz-target": "DynamoDBStreams_20120810.ListStreams"},
        {"host": [("host", "localhost"), ("x-amz-target", "AWSLambda.X"), ("x-amz-target", "AmazonSSM.X")]},
        {"host": [("host", "localhost"), ("host", "evil.example")], **PUT_ITEM},
        {"method": "PUT", "path": f"/{BUCKET}/index.html"},
        {"method": "PUT", "path": f"/{BUCKET}/index.html", "authorization": LAMBDA},
        {"method": "PUT", "path": f"/{BUCKET}/x", "authorization": LAMBDA.replace("Credential=local", "Credential=s3")},
        {"method": "PUT", "path": "/another-bucket", "authorization": S3},
        {"method": "PUT", "path": f"/{BUCKET}2", "authorization": S3},
        {"method": "GET", "path": "/", "authorization": S3},
    ],
)
def test_nothing_but_the_three_services_is_served(request_):
    assert status(**request_) == 403


def test_a_websocket_is_closed():
    assert status(kind="websocket") == "websocket.close"
