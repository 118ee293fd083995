"""The stats function, and the page and the figures that it publishes."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest
import simplejson
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from stack.deployed_stack import refuse_leaks

PAGE = Path(__file__).parents[2] / "infra" / "dashboard" / "page"
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
SCRIPTS = {"text/javascript", "application/javascript"}
STATS = "stats.json"


@pytest.fixture(scope="module")
def report(stack, answer):
    """What the stats function says after it has run once, with the answer in the ledger."""
    assert answer.status == 200
    found = stack.client("lambda").invoke(FunctionName=stack.outputs["StatsFunction"], Payload=b"{}")
    return json.loads(found["Payload"].read())


@pytest.fixture(scope="module")
def published(stack, report):
    """Name to object, as the bucket holds them."""
    assert "as_of" in report, report
    s3, bucket = stack.client("s3"), stack.outputs["PageBucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    names = [found["Key"] for page in pages for found in page.get("Contents", [])]
    objects = {name: s3.get_object(Bucket=bucket, Key=name) for name in names}
    return {name: {**found, "Body": found["Body"].read()} for name, found in objects.items()}


def test_the_stats_function_reports_what_it_did(report):
    assert report.keys() == {"records", "behind_s", "as_of"}


def test_the_published_figures_count_the_request(stack, answer, published):
    figures = simplejson.loads(published[STATS]["Body"], use_decimal=True)
    assert figures["stage"] == stack.stage
    assert figures["totalRequests"] >= 1
    assert figures["totalCost"] >= answer.json()["cost"]
    assert answer.json()["requestId"] in [row["requestId"] for row in figures["recent"]]


def test_the_published_figures_hold_no_prompt_and_no_key(stack, answer, published):
    text = published[STATS]["Body"].decode()
    refuse_leaks(text, "Say hello in five words.", answer.json()["response"], stack=stack)


def test_the_whole_page_is_in_the_bucket(published):
    assert published.keys() >= {path.name for path in PAGE.iterdir()} | {STATS}


@pytest.mark.emulated_only("compares with the page of this checkout")
def test_the_page_is_the_one_of_this_checkout(published):
    for path in PAGE.iterdir():
        assert published[path.name]["Body"] == path.read_bytes(), path.name


def test_each_file_has_its_content_type_and_is_asked_for_anew(published):
    for name, found in published.items():
        suffix = Path(name).suffix
        expected = SCRIPTS if suffix == ".js" else {CONTENT_TYPES[suffix]}
        assert found["ContentType"] in expected, name
        assert found["CacheControl"] == "no-cache", name


@pytest.mark.parametrize("name", [STATS, "index.html"])
def test_nobody_reads_the_bucket_without_credentials(stack, published, name):
    anyone = boto3.client(
        "s3", region_name=stack.region, config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
    )
    assert name in published
    with pytest.raises(ClientError, match=r"AccessDenied|403"):
        anyone.get_object(Bucket=stack.outputs["PageBucket"], Key=name)


@pytest.mark.parametrize("name", [STATS, "index.html", ""])
def test_the_page_has_an_address_with_security_headers_where_it_is_published(stack, published, name):
    """An owner may have decided against an address; then there is none in the stack's outputs."""
    is_published = stack.parameters["PublishPage"] == "true"
    assert ("PageUrl" in stack.outputs) == is_published
    if is_published:
        answer = stack.fetch(f"{stack.outputs['PageUrl']}/{name}")
        assert answer.status == 200
        assert answer.body == published[name or "index.html"]["Body"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-robots-tag"] == "noindex"
        assert "max-age=" in answer.headers["strict-transport-security"]
