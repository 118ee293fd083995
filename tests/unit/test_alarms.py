"""Each alarm comes on at what it is there for, and at nothing less."""

from __future__ import annotations

import pytest

from cloudwatch import Line, Point, is_on, taken
from expanded_template import deployed


def of_lambda(metric, function, count=1, *, ago_s=0):
    return Point("AWS/Lambda", metric, count, frozenset({("FunctionName", function)}), ago_s)


def errors(function, count=1, *, ago_s=0):
    return of_lambda("Errors", function, count, ago_s=ago_s)


def gateway_errors(count, *, stage="prod", ago_s=0):
    dimensions = frozenset({("ApiName", f"llm-router-{stage}"), ("Stage", stage)})
    return Point("AWS/ApiGateway", "5XXError", count, dimensions, ago_s)


def request(group, error_code):
    return Line(group, {"event": "request", "error_code": error_code, "status": 502})


def aggregated(behind_s, *, group="StatsLogs"):
    return Line(group, {"event": "aggregated", "behind_s": behind_s})


RAN = of_lambda("Invocations", "StatsFunction", ago_s=60)

CASES = {
    "RouterErrorsAlarm": {
        "on": [[errors("RouterFunction")], [errors("RouterFunction", 7, ago_s=299)]],
        "off": [[errors("RouterFunction", 0)], [errors("RouterFunction", ago_s=300)]],
    },
    "StreamingErrorsAlarm": {
        "on": [[errors("StreamingFunction")]],
        "off": [[errors("StreamingFunction", 0)], [errors("StreamingFunction", ago_s=300)]],
    },
    "GatewayErrorsAlarm": {
        "on": [[gateway_errors(5)], [gateway_errors(3), gateway_errors(2, ago_s=200)]],
        "off": [
            [gateway_errors(4)],
            [gateway_errors(4), gateway_errors(4, ago_s=300)],
            [gateway_errors(9, stage="dev")],
        ],
    },
    "AllProvidersFailedAlarm": {
        "on": [[request("RouterLogs", "all_providers_failed")], [request("StreamingLogs", "all_providers_failed")]],
        "off": [
            [request("RouterLogs", None), request("StreamingLogs", "deadline_exceeded")],
            [Line("RouterLogs", {"event": "store_unavailable", "error_code": "all_providers_failed"})],
        ],
    },
    "ProviderRefusedAlarm": {
        "on": [
            [Line(group, {"event": "provider_refused", "provider": "groq"})]
            for group in ("RouterLogs", "StreamingLogs")
        ],
        "off": [[Line("RouterLogs", {"event": "adapter_failed", "candidate": "groq/m"})]],
    },
    "LedgerUnwrittenAlarm": {
        "on": [
            [Line(group, {"event": "ledger.unwritten", "record": "{}"})] for group in ("RouterLogs", "StreamingLogs")
        ],
        "off": [[Line("RouterLogs", {"event": "ledger.unopened", "record": "{}"})]],
    },
    "AggregatorBehindAlarm": {
        "on": [[aggregated(901)], [aggregated(0), aggregated(5000)]],
        "off": [[aggregated(900)], [aggregated(901, group="RouterLogs")], []],
    },
    "StatsErrorsAlarm": {
        "on": [
            [errors("StatsFunction"), errors("StatsFunction", ago_s=900)],
            [errors("StatsFunction", ago_s=at) for at in (0, 2699)],
        ],
        "off": [[errors("StatsFunction")], [errors("StatsFunction"), errors("StatsFunction", ago_s=2700)]],
    },
    "StatsSilentAlarm": {
        "on": [
            [],
            [of_lambda("Invocations", "StatsFunction", ago_s=3600)],
            [of_lambda("Invocations", "RouterFunction")],
        ],
        "off": [[of_lambda("Invocations", "StatsFunction", ago_s=3599)]],
    },
}
"""What has happened, as log lines and as numbers that AWS itself writes."""


def on(*happened):
    of = deployed()
    filters = of.of_type("AWS::Logs::MetricFilter").values()
    points = [point for one in happened for point in ([one] if isinstance(one, Point) else taken(one, filters))]
    return {name for name, alarm in of.of_type("AWS::CloudWatch::Alarm").items() if is_on(alarm, points)}


def cases(state):
    return [
        pytest.param(alarm, samples if alarm == "StatsSilentAlarm" else [RAN, *samples], id=f"{alarm}-{number}")
        for alarm, of_alarm in CASES.items()
        for number, samples in enumerate(of_alarm[state])
    ]


def test_every_alarm_is_tried_both_ways():
    assert CASES.keys() == deployed().of_type("AWS::CloudWatch::Alarm").keys()
    assert all(found["on"] and found["off"] for found in CASES.values())


@pytest.mark.parametrize(("alarm", "happened"), cases("on"))
def test_an_alarm_comes_on_at_what_it_is_for_and_no_other_does(alarm, happened):
    assert on(*happened) == {alarm}


@pytest.mark.parametrize(("alarm", "happened"), cases("off"))
def test_an_alarm_stays_off_at_less(alarm, happened):
    assert alarm not in on(*happened)
