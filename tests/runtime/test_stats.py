"""The stats function on its schedule's event: figures and page in the bucket."""

from __future__ import annotations

import json
from decimal import Decimal

import simplejson

from infra.runtime import build


def objects(runtime):
    s3 = runtime.backend.s3()
    bucket = runtime.resources.page_bucket
    names = [row["Key"] for row in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {name: s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}


def test_the_schedules_event_publishes_the_page_and_figures_that_match_the_answers(runtime, schedule_event):
    router = runtime.router()
    paid = [runtime.generate(router).body["cost"] for _ in range(3)]
    stats = runtime.stats()
    report = stats.invoke(schedule_event).value()
    assert set(report) == {"records", "behind_s", "as_of"}
    published = objects(runtime)
    page = build.LAYERS["PageLayer"] / "page"
    assert set(published) == {path.name for path in page.iterdir()} | {"stats.json"}
    figures = simplejson.loads(published["stats.json"], use_decimal=True)
    assert figures["totalRequests"] == 3
    assert figures["totalCost"] == sum(paid, Decimal(0))


def test_a_second_run_in_the_same_environment_counts_nothing_twice(runtime, schedule_event):
    runtime.generate(runtime.router())
    stats = runtime.stats()
    for _ in range(2):
        stats.invoke(schedule_event)
    assert len(stats.init_ms()) == 1
    assert json.loads(objects(runtime)["stats.json"])["totalRequests"] == 1


def test_a_router_and_a_stats_function_agree(runtime, schedule_event):
    router = runtime.router()
    runtime.generate(router)
    runtime.stats().invoke(schedule_event)
    event = runtime.generate_event() | {"path": "/stats", "resource": "/stats", "httpMethod": "GET", "body": None}
    shown = simplejson.loads(router.invoke(event).value()["body"], use_decimal=True)
    assert shown["totalRequests"] == 1
