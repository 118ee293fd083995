"""The router function as it is deployed: events in, answers out, real HTTP to providers, records in DynamoDB."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import boto3
import pytest

import handlers
from integration.tables import LEDGER_TABLE, STATE_TABLE
from llm_router import client_keys, fleet, fleet_items
from llm_router.adapters import openai
from llm_router.client_keys import Role
from llm_router.fleet_store import FleetStore, Shared
from llm_router.health import Health, OpenReason
from llm_router.usage import CostBasis, Outcome, RecordState
from provider_server import always, answer, completion, error, in_turn, slowly

PAST = datetime.now(UTC) - timedelta(seconds=10)


def test_the_cheapest_answers_though_the_dearer_stands_first(router):
    status, headers, body = router.start().generate()
    assert status == 200
    assert {key: body[key] for key in ("provider", "modelUsed", "tokens", "response", "status")} == {
        "provider": "cheap",
        "modelUsed": "served-model",
        "tokens": 15,
        "response": "Cheap.",
        "status": "success",
    }
    assert body["cost"] == Decimal("0.000001")
    assert body["latency"] >= 0
    assert headers["x-router-provider"] == "cheap"
    assert headers["x-router-cost-usd"] == "0.000001"
    assert router.dear.calls == []


def test_the_record_is_settled_before_the_answer_leaves(router):
    _, headers, body = router.start().generate()
    (record,) = router.records()
    assert record.state is RecordState.SETTLED
    assert record.request_id == body["requestId"] == headers["x-request-id"]
    assert record.cost.usd == body["cost"]


def test_the_record_is_pending_with_its_upper_estimate_before_the_body_leaves(router):
    seen = []

    def look(_):
        seen.extend(router.records())
        return completion()

    router.cheap.script = look
    router.start().generate({"prompt": "Hello", "max_tokens": 100})
    (record,) = seen
    assert record.state is RecordState.PENDING
    assert record.trying.candidate == "cheap/small"
    assert record.trying.upper_usd >= Decimal("0.00001")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (error(500), Outcome.SERVER_ERROR),
        (error(503), Outcome.OVERLOADED),
        (error(529), Outcome.OVERLOADED),
        (error(429, "rate_limit_exceeded"), Outcome.RATE_LIMITED),
        (error(429, "insufficient_quota"), Outcome.REFUSED),
        (error(401, "invalid_api_key"), Outcome.REFUSED),
        (error(404, "model_not_found"), Outcome.REFUSED),
        ((200, {"content-type": "text/html"}, b"<html>hello</html>"), Outcome.MALFORMED),
        ((200, {"content-type": "application/json"}, b'{"choices": ['), Outcome.MALFORMED),
        ((200, {}, b""), Outcome.MALFORMED),
        (answer(200, {"choices": []}), Outcome.MALFORMED),
        (answer(200, {"error": {"message": "overloaded"}}), Outcome.MALFORMED),
        (completion(choices=[{"message": {"content": None}, "finish_reason": "stop"}]), Outcome.MALFORMED),
        (completion(choices=[{"message": {"content": "half"}, "finish_reason": None}]), Outcome.MALFORMED),
    ],
)
def test_whatever_one_provider_does_the_other_answers(router, reply, outcome):
    router.cheap.script = always(reply)
    status, _, body = router.start().generate()
    assert status == 200
    assert body["provider"] == "dear"
    assert body["attempts"][0]["outcome"] == outcome.value
    (record,) = router.records()
    assert [attempt.outcome for attempt in record.attempts][-1] is Outcome.SUCCESS


def test_a_provider_that_reports_no_usage_costs_an_estimate(router):
    router.cheap.script = always(completion("Four score and seven years ago.", usage=None))
    _, headers, body = router.start().generate()
    assert body["costBasis"] == headers["x-router-cost-basis"] == "estimated"
    assert body["cost"] > 0


def test_a_candidate_without_a_price_costs_an_unknown_sum_and_never_nothing(router):
    router.file.write_text(
        f"providers: [{{name: cheap, base_url: {router.server.base_url('cheap')}, auth: none, "
        "models: [{name: m, price: unknown}]}]"
    )
    _, headers, body = router.start().generate()
    assert body["cost"] is None
    assert body["costBasis"] == "unknown"
    assert "x-router-cost-usd" not in headers


def test_when_every_provider_fails_the_caller_gets_one_clear_error_with_the_attempts(router):
    router.cheap.script = router.dear.script = always(error(503))
    status, headers, body = router.start().generate()
    assert (status, body["error"]["code"]) == (502, "all_providers_failed")
    assert [attempt["provider"] for attempt in body["attempts"]] == ["cheap", "dear"]
    assert headers["x-should-retry"] == "false"
    (record,) = router.records()
    assert record.error == "all_providers_failed"


def test_a_500_is_tried_once_more_on_the_same_candidate(router):
    router.cheap.script = in_turn(error(500), completion("Second."))
    _, _, body = router.start().generate()
    assert (body["provider"], body["response"]) == ("cheap", "Second.")
    assert len(router.cheap.calls) == 2


def test_what_the_caller_asks_for_goes_upstream_and_nothing_else(router):
    router.start().generate(
        {"prompt": "Hi", "system": "Be brief.", "max_tokens": 7, "temperature": 0.1, "metadata": {"team": "docs"}}
    )
    (call,) = router.cheap.calls
    assert call.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert call.body["max_tokens"] == 7
    assert call.body["temperature"] == 0.1
    assert "docs" not in json.dumps(call.body)
    (record,) = router.records()
    assert record.metadata == {"team": "docs"}


def test_priority_keeps_the_configured_order(router):
    _, _, body = router.start().generate({"prompt": "Hi", "strategy": "priority"})
    assert body["provider"] == "dear"


def test_a_model_can_be_asked_for_by_name(router):
    _, _, body = router.start().generate({"prompt": "Hi", "model": "dear/big"})
    assert body["provider"] == "dear"


BAD_BODIES = [
    ("", "body", None),
    ("{", "body", None),
    ("[]", "body", None),
    ("null", "body", None),
    ('"prompt"', "body", None),
    ('{"prompt": NaN}', "body", None),
    ("[" * 100_000, "body", None),
    ({}, "missing", "prompt"),
    ({"prompt": ""}, "empty", "prompt"),
    ({"prompt": " \n\t"}, "blank", "prompt"),
    ({"prompt": None}, "null", "prompt"),
    ({"prompt": 42}, "number", "prompt"),
    ({"prompt": ["a"]}, "list", "prompt"),
    ('{"prompt": "\\ud800"}', "surrogate", "prompt"),
    ({"prompt": "a", "max_tokens": 0}, "zero", "max_tokens"),
    ({"prompt": "a", "max_tokens": "5"}, "text", "max_tokens"),
    ({"prompt": "a", "max_tokens": 1.5}, "fraction", "max_tokens"),
    ({"prompt": "a", "temperature": 3}, "hot", "temperature"),
    ({"prompt": "a", "temperature": "x"}, "text", "temperature"),
    ({"prompt": "a", "strategy": "luck"}, "strategy", "strategy"),
    ({"prompt": "a", "optimize": "yes"}, "optimize", "optimize"),
    ({"prompt": "a", "model": "no-such-route"}, "route", "model"),
    ({"prompt": "a", "metadata": {"a": 1}}, "metadata", "metadata.a"),
    ({"prompt": "a", "promt": "b"}, "typo", "promt"),
]


@pytest.mark.parametrize(("body", "param"), [(b, p) for b, _, p in BAD_BODIES], ids=[i for _, i, _ in BAD_BODIES])
def test_a_bad_body_is_refused_with_the_field_and_no_provider_is_called(router, body, param):
    status, _, answered = router.start().call(handlers.post("/generate", body))
    assert (status, answered["error"]["code"]) == (400, "invalid_request")
    assert answered["error"]["param"] == param
    assert set(answered["error"]) == {"message", "type", "param", "code"}
    assert router.cheap.calls == router.dear.calls == router.records() == []


def test_a_body_of_seven_megabytes_is_too_large(router):
    status, _, body = router.start().generate({"prompt": "a" * 7_000_000})
    assert (status, body["error"]["code"]) == (413, "request_too_large")
    assert router.cheap.calls == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generate", {"prompt": "Hello"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}]}),
    ],
)
def test_an_answer_that_lambda_would_refuse_is_an_error_that_says_what_it_cost(router, path, body):
    """Each quote takes four bytes in Lambda's answer: far fewer characters than six million are too many."""
    router.cheap.script = always(completion('"' * 1_600_000))
    status, headers, answered = router.start().call(handlers.post(path, body))
    assert (status, answered["error"]["code"]) == (502, "answer_too_large")
    assert headers["x-should-retry"] == "false"
    assert [attempt["outcome"] for attempt in answered["attempts"]] == ["success"]
    (record,) = router.records()
    assert record.state is RecordState.SETTLED
    assert (headers["x-request-id"], headers["x-router-cost-usd"]) == (record.request_id, f"{record.cost.usd:f}")
    assert router.dear.calls == []


def test_an_answer_that_lambda_takes_is_handed_over_whole(router):
    router.cheap.script = always(completion('"' * 1_500_000))
    assert router.start().generate()[2]["response"] == '"' * 1_500_000


def test_a_body_that_api_gateway_sends_in_base64_is_read(router):
    event = handlers.post("/generate", base64.b64encode(b'{"prompt": "Hi"}').decode())
    event["isBase64Encoded"] = True
    assert router.start().call(event)[0] == 200


def ask(router, method, path):
    return router.call(handlers.post(path, "") | {"httpMethod": method})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nowhere"), ("POST", "/generate/"), ("GET", "/stats/"), ("PUT", "/providers/")]
)
def test_what_is_not_there_is_said_in_the_error_shape(router, method, path):
    """Nobody is sent elsewhere: many clients leave the body, or the key, behind on their way."""
    status, headers, body = ask(router.start(), method, path)
    assert (status, body["error"]["code"], body["error"]["param"]) == (404, "not_found", None)
    assert "location" not in headers


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_wrong_method_is_told_those_that_the_path_has(router, method):
    router.start()
    paths = [
        (route.path.replace(":path", "").format(name="cheap", model="auto"), route.methods)
        for route in router.app.routes
    ]
    for path, methods in paths:
        if method not in methods:
            status, headers, body = ask(router, method, path)
            assert (status, body["error"]["code"]) == (405, "method_not_allowed")
            assert set(headers["allow"].split(", ")) == methods
    assert {path for path, _ in paths} >= {"/generate", "/health", "/providers/cheap"}


def test_an_uptime_monitor_may_ask_for_the_head_alone(router):
    response = router.start(REQUIRE_CLIENT_KEY="true").invoke(handlers.event("health") | {"httpMethod": "HEAD"})
    assert (response["statusCode"], response["body"]) == (200, "")


def test_a_deadline_comes_from_the_environment_that_is_about_to_end(router):
    """With 2.2 s left and the usual reserves there is no time for an attempt."""
    status, _, body = router.start().call(handlers.post("/generate", {"prompt": "Hi"}), timeout_s=2.2)
    assert (status, body["error"]["code"]) == (504, "deadline_exceeded")
    assert router.cheap.calls == []


def test_stats_count_a_request_at_once_and_exactly(router):
    router.start()
    costs = [router.generate()[2]["cost"] for _ in range(5)]
    _, _, stats = router.call(handlers.event("stats"))
    assert (stats["totalRequests"], stats["totalTokens"]) == (5, 75)
    assert stats["totalCost"] == sum(costs)
    assert stats["providers"]["cheap"]["requests"] == 5


def ask_stats(router, **parameters):
    key = parameters.pop("key", None)
    asked = handlers.event("stats") | {
        "queryStringParameters": parameters or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in parameters.items()} or None,
    }
    if key:
        asked["headers"] = asked["headers"] | {"authorization": f"Bearer {key.text}"}
        asked["multiValueHeaders"] = asked["multiValueHeaders"] | {"authorization": [f"Bearer {key.text}"]}
    return router.call(asked)


def test_stats_are_told_apart_and_bounded_in_time_as_asked(router):
    router.start()
    router.generate({"prompt": "Hello", "metadata": {"team": "search"}})
    router.generate({"prompt": "Hello", "model": "dear/big", "metadata": {"team": "ads"}})
    status, _, stats = ask_stats(router, group_by="tag")
    assert status == 200
    assert [(row["tag"], row["requests"]) for row in stats["groups"]] == [("team=ads", 1), ("team=search", 1)]
    assert sum(row["cost"] for row in stats["groups"]) == stats["totalCost"]
    _, _, nothing = ask_stats(router, **{"from": "2020-01-01", "to": "2020-01-02"})
    assert (nothing["totalRequests"], nothing["totalCost"], nothing["providers"]) == (0, 0, {})
    status, _, refused = ask_stats(router, group_by="weekday")
    assert (status, refused["error"]["param"]) == (400, "group_by")


def test_a_caller_sees_what_its_own_key_used(router):
    mine, other, operator = (issued_key(role) for role in (Role.CALLER, Role.CALLER, Role.OPERATOR))
    router.start(REQUIRE_CLIENT_KEY="true")
    for key in (mine, mine, other):
        status, _, _ = router.generate(authorization=f"Bearer {key.text}")
        assert status == 200
    seen = [ask_stats(router, key=key)[2] for key in (mine, other, operator)]
    assert [stats["totalRequests"] for stats in seen] == [2, 1, 3]
    assert [stats["providers"]["cheap"]["requests"] for stats in seen] == [2, 1, 3]
    status, _, body = ask_stats(router, key=mine, group_by="key")
    assert (status, body["error"]["code"]) == (403, "operator_only")


def issued_key(role):
    issued = client_keys.issue(role=role, label="test", now=datetime.now(UTC))
    item = {name: {"S": value} for name, value in issued.item.items()}
    boto3.client("dynamodb").put_item(TableName=STATE_TABLE, Item=item)
    return issued


def test_a_breaker_that_opens_is_told_of(router):
    router.cheap.script = always(error(503))
    router.start()
    for _ in range(4):
        assert router.generate()[2]["provider"] == "dear"
    assert len(router.cheap.calls) == 3
    _, _, told = router.call(handlers.event("providers"))
    states = {row["candidate"]: row["state"] for row in told["candidates"]}
    assert states == {"dear/big": "closed", "cheap/small": "open"}


def test_a_provider_without_its_key_is_left_out_and_the_reader_is_told_what_to_do(router):
    router.file.write_text(
        router.file.read_text() + f"  - {{name: keyed, base_url: {router.server.base_url('cheap')}, "
        "models: [{name: m, price: {input: 0, output: 0}}]}\n"
    )
    _, _, told = router.start().call(handlers.event("providers"))
    (keyed,) = [row for row in told["candidates"] if row["provider"] == "keyed"]
    assert keyed["state"] == "no_key"
    assert "KEYED_API_KEY" in keyed["reason"]
    assert router.generate()[2]["provider"] == "cheap"
    assert "keyed/m" not in listed(router)
    router.monkeypatch.setenv("KEYED_API_KEY", "a-key")
    assert router.generate()[2]["provider"] == "keyed"
    assert "keyed/m" in listed(router)
    assert router.cheap.calls[-1].headers["authorization"] == "Bearer a-key"


def listed(router):
    return [model["id"] for model in router.call(handlers.event("models"))[2]["data"]]


def test_keys_come_from_parameter_store_when_deployed(router):
    router.file.write_text(router.file.read_text().replace("auth: none", "auth: {header: x-api-key}"))
    boto3.client("ssm").put_parameter(
        Name="/llm-router/test/providers/dear/api_key", Value="stored-key", Type="SecureString"
    )
    _, _, body = router.start(PROVIDER_KEYS="ssm").generate()
    assert body["provider"] == "dear"
    assert router.dear.calls[0].headers["x-api-key"] == "stored-key"


@pytest.mark.parametrize("event", ["stats", "providers", "models", "generate"])
def test_every_deployed_path_but_health_needs_a_key(router, event):
    issued = client_keys.issue(role=Role.CALLER, label="t", now=datetime.now(UTC))
    item = {name: {"S": value} for name, value in issued.item.items()}
    boto3.client("dynamodb").put_item(TableName=STATE_TABLE, Item=item)
    router.start(REQUIRE_CLIENT_KEY="true")
    asked = handlers.event(event)
    status, _, body = router.call(asked)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert router.cheap.calls == []
    for headers in ({"authorization": f"Bearer {issued.text}"}, {"x-api-key": issued.text}):
        keyed = asked | {"headers": asked["headers"] | headers, "multiValueHeaders": None}
        assert router.call(keyed)[0] == 200


def test_health_needs_no_key_and_tells_nothing(router):
    status, _, body = router.start(REQUIRE_CLIENT_KEY="true").call(handlers.event("health"))
    assert (status, body) == (200, {"status": "ok"})


def test_no_prompt_key_or_upstream_text_is_in_the_log_or_the_table(router, capsys):
    router.cheap.script = always(answer(503, {"error": {"message": "upstream-words at http://inner"}}))
    router.start().generate({"prompt": "the-secret-prompt", "system": "the-secret-system"})
    logged = capsys.readouterr().out
    assert '"event":"request"' in logged
    stored = str(boto3.client("dynamodb").scan(TableName=LEDGER_TABLE))
    for text in ("the-secret-prompt", "the-secret-system", "upstream-words", "127.0.0.1"):
        assert text not in logged
        assert text not in stored


def test_one_json_line_a_request_is_logged(router, capsys):
    router.start().generate()
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"event":"request"' in line]
    assert line["path"] == "/generate"
    assert line["status"] == 200
    assert line["gen_ai.provider.name"] == "cheap"
    assert line["cost_usd"] == "0.000001"


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in handlers.EVENTS.glob("*.json") if path.stem != "schedule")
)
def test_every_event_gets_the_answer_that_its_name_promises(router, name):
    expected = 400 if any(word in name for word in ("bad", "broken", "unknown")) else 200
    demo = handlers.event("switch")["pathParameters"]["name"]
    router.file.write_text(router.file.read_text().replace("name: dear", f"name: {demo}"))
    assert router.start().call(handlers.event(name))[0] == expected


# Nobody able.


def test_who_is_answered_by_nobody_for_want_of_a_key_is_told_not_to_try_again(router):
    keyed = "{name: keyed, base_url: http://127.0.0.1:9/v1, models: [{name: m, price: unknown}]}"
    router.file.write_text(f"providers: [{keyed}]")
    status, headers, body = router.start().generate()
    assert (status, body["error"]["code"]) == (503, "no_provider_available")
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers


# Operators.


def switch(router, name, body, **headers):
    event = handlers.post("/providers/{name}", body, **headers)
    return router.call(event | {"httpMethod": "PUT", "path": f"/providers/{name}"})


def test_a_provider_is_switched_off_and_on_again_without_a_deployment(router):
    router.start()
    status, _, told = switch(router, "cheap", {"enabled": False, "reason": "maintenance"})
    assert (status, told["provider"], told["enabled"], told["reason"]) == (200, "cheap", False, "maintenance")
    assert router.generate()[2]["provider"] == "dear"
    _, _, listed = router.call(handlers.event("providers"))
    (cheap,) = [one for one in listed["candidates"] if one["provider"] == "cheap"]
    assert (cheap["state"], cheap["reason"], cheap["since"]) == ("switched_off", "maintenance", told["since"])
    _, _, body = router.start().generate()
    assert body["provider"] == "dear", "another environment knows of it"

    switch(router, "dear", {"enabled": False})
    status, headers, body = router.generate()
    assert (status, body["error"]["code"], headers["x-should-retry"]) == (503, "no_provider_available", "false")

    assert switch(router, "cheap", {"enabled": True})[0] == 200
    assert router.generate()[2]["provider"] == "cheap"


@pytest.mark.parametrize(
    ("name", "body", "status", "code"),
    [
        ("nobody", {"enabled": False}, 404, "not_found"),
        ("cheap", {}, 400, "invalid_request"),
        ("cheap", {"enabled": "no"}, 400, "invalid_request"),
        ("cheap", {"enabled": False, "reason": "x" * 201}, 400, "invalid_request"),
        ("cheap", {"enabled": False, "why": "x"}, 400, "invalid_request"),
        ("cheap", "{", 400, "invalid_request"),
    ],
)
def test_a_switch_that_makes_no_sense_is_refused(router, name, body, status, code):
    answered, _, told = switch(router.start(), name, body)
    assert (answered, told["error"]["code"]) == (status, code)
    assert router.generate()[2]["provider"] == "cheap"


@pytest.mark.parametrize(("role", "status"), [(Role.OPERATOR, 200), (Role.CALLER, 403)])
def test_only_an_operator_may_switch(router, role, status):
    issued = issued_key(role)
    router.start(REQUIRE_CLIENT_KEY="true")
    answered, _, told = switch(router, "cheap", {"enabled": False}, authorization=f"Bearer {issued.text}")
    assert answered == status
    assert status == 200 or told["error"]["code"] == "operator_only"


def test_a_switch_that_nobody_confirms_in_time_is_not_said_to_have_failed(router, monkeypatch):
    """It may take effect all the same, and this environment looks at once."""
    put, let_go, done = FleetStore.put, threading.Event(), threading.Event()

    def late(*arguments):
        let_go.wait(5)
        put(*arguments)
        done.set()

    monkeypatch.setattr(FleetStore, "put", late)
    monkeypatch.setattr(fleet, "SWITCHED_WITHIN_S", 0.05)
    assert router.start().generate()[2]["provider"] == "cheap"
    status, headers, told = switch(router, "cheap", {"enabled": False})
    assert (status, told["error"]["code"], headers["retry-after"]) == (503, "switch_unavailable", "5")
    assert told["error"]["message"] == (
        "Whether the provider is switched is not known: the store did not confirm it in time. "
        "See GET /providers, or send this again."
    )
    let_go.set()
    assert done.wait(5)
    assert router.generate()[2]["provider"] == "dear"


# The deadline that a caller asks for.


def test_a_caller_may_shorten_the_deadline(router):
    router.cheap.script = router.dear.script = slowly(completion("Late."), seconds=3)
    status, _, body = router.start().generate(**{"x-router-timeout-s": "2.5"})
    assert (status, body["error"]["code"]) == (504, "deadline_exceeded")


def test_a_callers_short_deadlines_leave_the_providers_breaker_closed(router):
    """Its own limits are longer; that this caller would not wait says nothing to all others."""
    router.cheap.script = router.dear.script = slowly(completion("Late."), seconds=3)
    router.start()
    for _ in range(4):
        _, _, body = router.generate({"prompt": "Hi", "model": "cheap/small"}, **{"x-router-timeout-s": "2"})
        assert [attempt["outcome"] for attempt in body["attempts"]] == ["out_of_time"]
    _, _, told = router.call(handlers.event("providers"))
    assert {candidate["state"] for candidate in told["candidates"]} == {"closed"}


def test_a_request_that_we_cannot_put_into_words_costs_nothing_and_is_no_providers_failure(router, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    router.start()
    monkeypatch.setattr(openai, "build", fails)
    for _ in range(3):
        status, _, body = router.generate()
        assert (status, body["error"]["code"]) == (502, "all_providers_failed")
        assert [attempt["outcome"] for attempt in body["attempts"]] == ["unsent", "unsent"]
    _, _, told = router.call(handlers.event("providers"))
    assert {candidate["state"] for candidate in told["candidates"]} == {"closed"}
    assert {(record.cost.usd, record.cost.basis) for record in router.records()} == {(0, CostBasis.EXACT)}


DOORS = {"/generate": {"prompt": "Hi"}, "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]}}


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("asked", ["", "soon", "0", "-1", "nan", "inf", "1.5", "1.999"])
def test_a_deadline_that_leaves_no_time_for_an_attempt_is_refused_with_the_least(router, path, asked):
    status, _, body = router.start().call(handlers.post(path, DOORS[path], **{"x-router-timeout-s": asked}))
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert body["error"]["param"] == "x-router-timeout-s"
    assert body["error"]["message"] == "x-router-timeout-s must be a number of seconds, at least 2."
    assert router.cheap.calls == router.records() == []


@pytest.mark.parametrize("path", DOORS)
def test_the_least_deadline_that_may_be_asked_for_is_enough_for_an_attempt(router, path):
    router.start().generate()
    status, headers, _ = router.call(handlers.post(path, DOORS[path], **{"x-router-timeout-s": "2"}))
    assert (status, headers["x-router-provider"]) == (200, "cheap")


# The delivery that a caller asks for.


@pytest.mark.parametrize("stream", [True, False, None])
@pytest.mark.parametrize("path", DOORS)
def test_a_delivery_that_does_not_exist_is_refused(router, path, stream):
    body = DOORS[path] | ({"stream": stream} if path != "/generate" else {})
    status, _, told = router.start().call(handlers.post(path, body, **{"x-router-delivery": "foo"}))
    assert (status, told["error"]["code"], told["error"]["param"]) == (400, "invalid_request", "x-router-delivery")
    assert told["error"]["message"] == "x-router-delivery must be verified or live."
    assert router.cheap.calls == []


@pytest.mark.parametrize("asked", ["verified", "live"])
@pytest.mark.parametrize("path", DOORS)
def test_a_delivery_may_be_asked_for_where_nothing_is_streamed(router, path, asked):
    status, _, _ = router.start().call(handlers.post(path, DOORS[path], **{"x-router-delivery": asked}))
    assert status == 200


# A half-open candidate.


def test_while_another_probes_a_recovering_candidate_the_next_one_answers(router, dynamodb):
    """And with nobody else to ask, it is asked all the same."""
    opened = Health(openings=1, reason=OpenReason.FAILING, opened_at=PAST, open_until=PAST)
    store = FleetStore(lambda: dynamodb, table=STATE_TABLE)
    router.start()
    probed = opened.probed(now=datetime.now(UTC), lease_s=60)
    store.put("breaker#cheap/small", fleet_items.breaker_text(probed))
    assert router.generate()[2]["provider"] == "dear"
    assert router.generate({"prompt": "Hi", "model": "cheap/small"})[2]["provider"] == "cheap"


def test_a_probe_that_succeeds_closes_the_breaker_for_all(router, dynamodb):
    opened = Health(openings=1, reason=OpenReason.FAILING, opened_at=PAST, open_until=PAST)
    store = FleetStore(lambda: dynamodb, table=STATE_TABLE)
    router.start()
    store.put("breaker#cheap/small", fleet_items.breaker_text(opened))
    assert router.generate()[2]["provider"] == "cheap"
    assert "breaker#cheap/small" not in store.read([Shared.FLEET])[Shared.FLEET]


def test_a_probe_that_fails_is_not_repeated_while_another_candidate_is_able(router, dynamodb):
    opened = Health(openings=1, reason=OpenReason.FAILING, opened_at=PAST, open_until=PAST)
    store = FleetStore(lambda: dynamodb, table=STATE_TABLE)
    router.cheap.script = always(error(500))
    router.start()
    store.put("breaker#cheap/small", fleet_items.breaker_text(opened))
    assert router.generate()[2]["provider"] == "dear"
    assert len(router.cheap.calls) == 1


def test_a_probe_that_is_repeated_at_once_keeps_its_lease(router, dynamodb):
    """A first try that says nothing of the provider's health lets nobody else probe beside the second."""
    store = FleetStore(lambda: dynamodb, table=STATE_TABLE)
    leases = []

    def look(_):
        text = store.read([Shared.FLEET])[Shared.FLEET].get("breaker#cheap/small")
        leases.append(fleet_items.health(text).probing_until)
        return answer(400, {"error": {"param": "stream"}}) if len(leases) == 1 else completion()

    opened = Health(openings=1, reason=OpenReason.FAILING, opened_at=PAST, open_until=PAST)
    router.cheap.script = look
    router.start()
    store.put("breaker#cheap/small", fleet_items.breaker_text(opened))
    assert router.generate()[2]["provider"] == "cheap"
    assert len(leases) == 2
    assert leases[1] == leases[0] is not None


# A fault of ours.


def test_a_fault_of_ours_tells_the_caller_the_id_under_which_it_is_logged(router, capsys):
    def fault():
        raise ZeroDivisionError

    router.start().app.add_api_route("/fault", fault)
    status, headers, body = router.call(handlers.event("health") | {"path": "/fault"})
    assert (status, body["error"]["code"]) == (500, "internal_error")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    (traced,) = [line for line in lines if line.get("event") == "internal_error"]
    (told,) = [line for line in lines if line.get("event") == "request"]
    assert headers["x-request-id"] == traced["request_id"] == told["request_id"]
    assert traced["exception_name"] == "ZeroDivisionError"
