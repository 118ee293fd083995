"""The stats function as it is deployed: the schedule's event in, the page and its figures in the bucket."""

from __future__ import annotations

import json
from dataclasses import replace

import boto3
import pytest
import simplejson

import handlers
from integration.records import CHEAP, STEADY, attempt, pending, settled
from integration.tables import LEDGER_TABLE, STATE_TABLE
from llm_router import aws_session
from llm_router.clock import Clock
from llm_router.errors import SettingsError, StoreError
from llm_router.ledger import Ledger
from llm_router.usage import Cost, CostBasis, Outcome

PAGE = handlers.ROOT / "infra" / "dashboard" / "page"


class Now:
    """What `records` needs to make records of this moment."""

    def __init__(self, client):
        self.ledger = Ledger(lambda: client, table=LEDGER_TABLE, shards=4, retention_days=400, clock=Clock())

    @property
    def moving(self):
        return self

    @property
    def at(self):
        return Clock().now()

    def serve(self, *attempts):
        record = pending(self)
        self.ledger.insert(record)
        return self.ledger.settle(settled(record, *attempts, at=self.at))


@pytest.fixture
def stats(dynamodb, monkeypatch):
    environ = {
        "LEDGER_TABLE": LEDGER_TABLE,
        "STATE_TABLE": STATE_TABLE,
        "PAGE_BUCKET": "page",
        "PAGE_DIR": str(PAGE),
        "STAGE": "test",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    aws_session.s3.cache_clear()
    boto3.client("s3").create_bucket(Bucket="page")
    return Now(dynamodb)


def published():
    body = boto3.client("s3").get_object(Bucket="page", Key="stats.json")["Body"].read()
    return simplejson.loads(body, use_decimal=True)


def run():
    return handlers.load("stats")(handlers.event("schedule"), handlers.Context(timeout_s=60))


@pytest.mark.usefixtures("stats")
def test_the_page_and_its_figures_are_published():
    run()
    objects = boto3.client("s3").list_objects_v2(Bucket="page")["Contents"]
    files = {path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*") if path.is_file()}
    assert {found["Key"] for found in objects} == files | {"stats.json"}


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("index.html", "text/html"), ("app.js", "text/javascript"), ("style.css", "text/css"), ("stats.json", "json")],
)
@pytest.mark.usefixtures("stats")
def test_what_is_published_has_its_content_type_and_is_asked_for_anew(name, content_type):
    run()
    head = boto3.client("s3").head_object(Bucket="page", Key=name)
    assert content_type in head["ContentType"]
    assert head["CacheControl"] == "no-cache"


def test_the_figures_are_those_of_the_ledger(stats):
    first = stats.serve(attempt(usd="0.0000075"))
    second = stats.serve(attempt(CHEAP, Outcome.OVERLOADED), attempt(STEADY, usd="0.002"))
    run()
    figures = published()
    assert figures["totalRequests"] == 2
    assert figures["totalCost"] == first.cost.usd + second.cost.usd
    assert figures["stage"] == "test"
    assert sum(hour["requests"] for hour in figures["hours"]) == 2
    assert [row["requestId"] for row in figures["recent"]] == [second.request_id, first.request_id]
    assert [row["outcome"] for row in figures["recent"][0]["attempts"]] == ["overloaded", "success"]
    assert figures["warnings"] == []


@pytest.mark.usefixtures("stats")
def test_before_the_first_request_the_figures_are_whole_and_empty():
    run()
    figures = published()
    assert (figures["totalRequests"], figures["successRate"], figures["providers"]) == (0, None, {})


def test_an_unknown_cost_is_a_warning_and_not_a_nothing(stats):
    stats.serve(replace(attempt(), cost=Cost(None, CostBasis.UNKNOWN)))
    run()
    figures = published()
    assert [warning["kind"] for warning in figures["warnings"]] == ["cost_unknown"]
    assert figures["recent"][0]["cost"] is None


def test_the_report_says_what_was_done_and_can_leave_lambda_as_json(stats):
    stats.serve()
    report = run()
    assert json.loads(json.dumps(report)) == report
    assert report["behind_s"] == 0


@pytest.mark.usefixtures("stats")
@pytest.mark.usefixtures("stats")
def test_a_table_that_is_gone_fails_the_run_so_that_the_alarm_hears_of_it():
    boto3.client("dynamodb").delete_table(TableName=LEDGER_TABLE)
    with pytest.raises(StoreError):
        run()


@pytest.mark.usefixtures("stats")
def test_a_bucket_that_is_gone_fails_the_run(monkeypatch):
    monkeypatch.setenv("PAGE_BUCKET", "no-such-bucket")
    with pytest.raises(StoreError):
        run()


@pytest.mark.usefixtures("stats")
def test_without_a_bucket_the_function_says_at_once_what_is_missing(monkeypatch):
    monkeypatch.delenv("PAGE_BUCKET")
    with pytest.raises(SettingsError, match="PAGE_BUCKET"):
        handlers.load("stats")


def test_the_page_names_no_file_that_is_not_published():
    index = (PAGE / "index.html").read_text()
    for path in PAGE.glob("*.js"):
        assert path.name in index or any(path.name in other.read_text() for other in PAGE.glob("*.js"))


def test_a_layer_without_its_page_fails_the_run_and_says_so(stats, monkeypatch, tmp_path):
    stats.serve()
    monkeypatch.setenv("PAGE_DIR", str(tmp_path))
    with pytest.raises(StoreError, match="no page"):
        run()
