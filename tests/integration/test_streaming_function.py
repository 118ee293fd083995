"""The streaming function as it is deployed: its run.sh, started as the adapter starts it, over real HTTP.

STREAMING_BUILD names a build's folder (.aws-sam/build) that is tried beside the sources.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest
import simplejson

import streaming_function
from infra.local import processes
from llm_router import key_names
from llm_router.usage import Outcome, RecordState
from stepped_provider import speaking

BUILD = os.environ.get("STREAMING_BUILD", "")
PROVIDER_KEY = "key-of-speaking"
ADAPTERS_LIMIT_S = 900.0

PROVIDERS = """
providers:
  - {{name: speaking, base_url: {speaking}, auth: bearer, models: [{{name: small, price: {{input: 1, output: 2}}}}]}}
  - {{name: refusing, base_url: {refusing}, auth: none, models: [{{name: small, price: {{input: 1, output: 2}}}}]}}
"""


@pytest.fixture(scope="module")
def aws(layout, tmp_path_factory):
    """One for each layout: what the fleet learned of a provider from the one is not known to the other."""
    with streaming_function.emulated_aws(tmp_path_factory.mktemp(f"aws-of-{layout.root.name}")) as found:
        name = key_names.parameter("speaking", stage="prod")
        found.client("ssm").put_parameter(Name=name, Value=PROVIDER_KEY, Type="SecureString")
        yield found


@pytest.fixture(scope="module")
def provider():
    with speaking() as server:
        yield server


@pytest.fixture(scope="module", params=["sources", "build"] if BUILD else ["sources"])
def layout(request, provider, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    providers = PROVIDERS.format(speaking=provider.base_url("speaking"), refusing=provider.base_url("refusing"))
    if request.param == "sources":
        return streaming_function.from_sources(root, providers=providers)
    return streaming_function.from_build(root, build=Path(BUILD), providers=providers)


class Function:
    """A running function, asked as the adapter asks it."""

    def __init__(self, instance, aws):
        self.instance = instance
        self.aws = aws
        self.connections = []

    def connect(self):
        self.connections.append(http.client.HTTPConnection("127.0.0.1", self.instance.port, timeout=60))
        return self.connections[-1]

    def lines(self):
        return [json.loads(line) for line in self.instance.lines()]

    def ask(self, body, *, remaining_s=ADAPTERS_LIMIT_S, key=None):
        """Send a request; its answer is not waited for."""
        connection = self.connect()
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {key or self.aws.client_key}",
            "x-amzn-request-context": json.dumps({"stage": "prod", "resourcePath": "/v1/chat/completions"}),
            "x-amzn-lambda-context": lambda_context(remaining_s),
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        return connection


def lambda_context(remaining_s):
    """As the adapter writes it: `Context` of lambda_runtime, as JSON."""
    return json.dumps(
        {
            "request_id": "11111111-2222-3333-4444-555555555555",
            "deadline": round((time.time() + remaining_s) * 1000),
            "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:llm-router-prod-streaming",
            "xray_trace_id": "",
            "client_context": None,
            "identity": None,
            "env_config": {"function_name": "llm-router-prod-streaming", "memory": 512, "version": "$LATEST"},
        }
    )


@pytest.fixture(scope="module")
def instance(layout, aws, tmp_path_factory):
    with streaming_function.deployed(layout, aws, log=tmp_path_factory.mktemp("function") / "log") as found:
        yield found


@pytest.fixture
def function(instance, aws):
    found = Function(instance, aws)
    yield found
    for connection in found.connections:
        connection.close()


def chat(model="speaking/small", **more):
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], **more}


def next_event(response):
    """The data of the next event; None at the end. Comments are passed over."""
    data = []
    while line := response.readline():
        if line.startswith(b"data: "):
            data.append(line.removeprefix(b"data: ").rstrip(b"\n"))
        elif line == b"\n" and data:
            return b"\n".join(data)
    assert not data, "an event was cut off"
    return None


def rest_of(response):
    events = []
    while (event := next_event(response)) is not None:
        events.append(event)
    return events


def text_of(event):
    return json.loads(event)["choices"][0]["delta"].get("content")


def test_each_word_arrives_before_the_provider_has_said_the_next(function, provider):
    connection = function.ask(chat(stream=True, stream_options={"include_usage": True}))
    conversation = provider.next()
    conversation.say("Hel")
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert text_of(next_event(response)) == "Hel"
    conversation.say("lo.")
    assert text_of(next_event(response)) == "lo."
    conversation.finish(prompt=10, completion=5)
    *closing, done = rest_of(response)
    assert done == b"[DONE]"
    last = simplejson.loads(closing[-1], use_decimal=True)
    assert last["usage"]["total_tokens"] == 15
    assert [json.loads(event)["choices"][0]["finish_reason"] for event in closing[:-1]] == ["stop"]

    record = function.aws.record(response.headers["x-request-id"])
    assert (record.state, record.error) == (RecordState.SETTLED, None)
    assert [(attempt.candidate, attempt.outcome) for attempt in record.attempts] == [
        ("speaking/small", Outcome.SUCCESS)
    ]
    assert record.cost.usd == Decimal("0.00002")
    assert conversation.headers["authorization"] == f"Bearer {PROVIDER_KEY}", "the stage's own key in Parameter Store"


def test_an_answer_that_is_not_to_be_streamed_comes_whole(function, provider):
    connection = function.ask(chat())
    conversation = provider.next()
    conversation.say("Hello.")
    conversation.finish(prompt=10, completion=5)
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["usage"]["total_tokens"] == 15


def test_the_adapters_deadline_ends_a_request_that_got_no_answer_with_the_routers_own_error(function, provider):
    """Lambda would end the function at that moment, and its caller's connection without a word."""
    remaining_s = 8.0
    connection = function.ask(chat(stream=True), remaining_s=remaining_s)
    connection.sock.settimeout(remaining_s)
    conversation = provider.next()
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    assert (response.status, error["code"]) == (504, "deadline_exceeded")
    record = function.aws.record(response.headers["x-request-id"])
    assert (record.state, record.error) == (RecordState.SETTLED, "deadline_exceeded")
    conversation.hang_up()


def test_the_adapters_deadline_ends_a_stream_in_the_middle_with_an_error_and_no_clean_end(function, provider):
    remaining_s = 8.0
    connection = function.ask(chat(stream=True), remaining_s=remaining_s)
    connection.sock.settimeout(remaining_s)
    conversation = provider.next()
    conversation.say("Hel")
    response = connection.getresponse()
    assert text_of(next_event(response)) == "Hel"
    (last,) = rest_of(response)
    assert json.loads(last)["error"]["code"] == "deadline_exceeded"
    record = function.aws.record(response.headers["x-request-id"])
    assert (record.state, record.error) == (RecordState.SETTLED, "deadline_exceeded")
    conversation.hang_up()


def test_a_caller_without_a_key_of_this_router_is_turned_away(function):
    response = function.ask(chat(stream=True), key="llmr_aaaaaaaa_nothing").getresponse()
    assert (response.status, json.loads(response.read())["error"]["code"]) == (401, "invalid_api_key")


def test_the_log_has_one_json_line_a_fact_and_those_that_the_alarms_count(function):
    """A line that is no JSON would be seen by no metric filter."""
    response = function.ask(chat("refusing/small", stream=True)).getresponse()
    assert response.status >= 400
    response.read()

    def mine():
        return [line for line in function.lines() if line.get("request_id") == response.headers["x-request-id"]]

    processes.until(mine, limit_s=10)
    assert [(line["event"], line["path"], line["error_code"]) for line in mine()] == [
        ("request", "/v1/chat/completions", "all_providers_failed")
    ]
    lines = function.lines()
    assert all("event" in line for line in lines)
    assert [line["provider"] for line in lines if line["event"] == "provider_refused"] == ["refusing"]


def test_sigterm_ends_the_function_without_complaint_though_the_adapter_keeps_its_connection(layout, aws, tmp_path):
    with streaming_function.deployed(layout, aws, log=tmp_path / "log") as instance:
        function = Function(instance, aws)
        kept = function.connect()
        kept.request("GET", "/health")
        response = kept.getresponse()
        assert (response.status, json.loads(response.read())) == (200, {"status": "ok"})
        assert instance.terminate() in (0, -signal.SIGTERM)
        assert {line["event"] for line in function.lines()} == {"request"}
        kept.close()


def test_a_function_that_is_ended_in_the_middle_of_a_stream_leaves_what_it_may_have_cost(
    layout, aws, provider, tmp_path
):
    """The aggregator settles such a record at that once its deadline is over."""
    with streaming_function.deployed(layout, aws, log=tmp_path / "log") as instance:
        function = Function(instance, aws)
        connection = function.ask(chat(stream=True, max_tokens=100))
        conversation = provider.next()
        conversation.say("Hel")
        response = connection.getresponse()
        assert text_of(next_event(response)) == "Hel"
        instance.terminate()
        assert rest_of(response) == [], "no clean end"
        record = aws.record(response.headers["x-request-id"])
        conversation.hang_up()
        response.close()
        connection.close()
    assert record.state is RecordState.PENDING
    assert record.trying.candidate == "speaking/small"
    assert record.trying.upper_usd >= Decimal("0.0002"), "a hundred tokens at 2 USD a million"
