"""The deployed router's doors, asked through the gateway."""

from __future__ import annotations

from decimal import Decimal

import pytest
import simplejson

from stack.deployed_stack import refuse_leaks, until

PROMPT = {"prompt": "Hello"}
CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
GUARDED = [
    ("PUT", "/providers/steady"),
    ("POST", "/generate"),
    ("POST", "/estimate"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/stats"),
    ("GET", "/providers"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/auto"),
]
WRONG_KEYS = {
    "none": {},
    "no key at all": {"authorization": "Bearer sk-nothing"},
    "a key that was never made": {"authorization": "Bearer llmr_zzzzzzzz_" + "A" * 43},
    "another scheme": {"authorization": "Basic bm90OmFrZXk="},
    "in the other header": {"x-api-key": "llmr_zzzzzzzz_" + "A" * 43},
}
NOWHERE = [("GET", "/no-such-path"), ("GET", "/generate"), ("POST", "/health"), ("DELETE", "/stats")]
BAD_BODIES = [
    ("", None),
    ("{", None),
    ("[]", None),
    ("{}", "prompt"),
    ('{"prompt": ""}', "prompt"),
    ('{"prompt": "   "}', "prompt"),
    ('{"prompt": 7}', "prompt"),
    ('{"prompt": "Hello", "max_tokens": 0}', "max_tokens"),
    ('{"prompt": "Hello", "temperature": "warm"}', "temperature"),
    ('{"prompt": "Hello", "model": "no-such-route"}', "model"),
    ('{"prompt": "Hello", "unheard_of": 1}', "unheard_of"),
]


def test_health_needs_no_key_and_tells_nothing(stack):
    answer = stack.get("/health")
    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_the_head_of_health_is_answered_for_who_watches_it(stack):
    answer = stack.ask("HEAD", "/health")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("headers", WRONG_KEYS.values(), ids=WRONG_KEYS.keys())
def test_without_a_valid_key_a_door_stays_shut(stack, method, path, headers):
    answer = stack.ask(method, path, body='{"prompt": "Hello"}' if method == "POST" else None, headers=headers)
    assert (answer.status, answer.code) == (401, "invalid_api_key")


def test_a_key_opens_in_either_header(stack):
    answer = stack.get("/v1/models", **{"x-api-key": stack.client_key})
    assert answer.status == 200


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
def test_a_bad_body_is_refused_with_the_field_that_is_wrong(stack, body, param):
    answer = stack.generate(body)
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == param


def test_a_body_past_the_limit_is_refused(stack):
    limit = int(stack.settings("RouterFunction")["MAX_BODY_BYTES"])
    answer = stack.generate(b'{"prompt": "' + b"x" * limit + b'"}')
    assert (answer.status, answer.code) == (413, "request_too_large")


@pytest.mark.parametrize(("method", "path"), NOWHERE)
def test_the_gateway_refuses_what_is_not_there_in_the_routers_words(stack, method, path):
    answer = stack.ask(method, path)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), NOWHERE)
def test_the_gateway_repeats_no_key_that_is_sent_to_nowhere(stack, method, path):
    """It takes any Authorization header there for a signature of AWS's, and its own words would quote it."""
    answer = stack.ask(method, path, headers=stack.signed_in)
    assert answer.code in ("not_found", "invalid_request")
    refuse_leaks(answer.body.decode() + str(answer.headers), stack=stack)


def test_an_answer_has_the_seven_documented_keys(answer):
    assert answer.status == 200, answer.body
    body = answer.json()
    assert list(body)[:7] == ["provider", "modelUsed", "tokens", "cost", "latency", "response", "status"]
    assert body["status"] == "success"
    assert body["response"]
    assert body["tokens"] == body["promptTokens"] + body["completionTokens"] > 0
    assert body["attempts"][-1]["outcome"] == "success"


def test_an_answers_headers_say_who_served_it_and_for_how_much(answer):
    body, headers = answer.json(), answer.headers
    assert headers["x-request-id"] == body["requestId"]
    assert headers["x-router-provider"] == body["provider"]
    assert Decimal(headers["x-router-cost-usd"]) == body["cost"]
    assert headers["content-type"] == "application/json"


def test_every_configured_candidate_is_listed_with_its_state(stack):
    found = stack.get("/providers", **stack.signed_in).json()["candidates"]
    assert found
    for candidate in found:
        assert candidate["candidate"] == f"{candidate['provider']}/{candidate['model']}"
        assert candidate["state"] in ("closed", "open", "half_open", "no_key", "switched_off")
    assert any(candidate["state"] == "closed" for candidate in found), "no provider has a key"


def test_the_models_are_the_routes_and_the_candidates(stack):
    candidates = stack.get("/providers", **stack.signed_in).json()["candidates"]
    listed = stack.get("/v1/models", **stack.signed_in).json()
    names = [model["id"] for model in listed["data"]]
    assert listed["object"] == "list"
    assert names[0] == "auto"
    assert {each["candidate"] for each in candidates if each["state"] != "no_key"} < set(names)
    told = stack.get(f"/v1/models/{names[-1]}", **stack.signed_in)
    assert (told.status, told.json()) == (200, listed["data"][-1])


def test_the_figures_know_a_request_at_once(stack, answer):
    stats = stack.get("/stats", **stack.signed_in).json()
    provider = stats["providers"][answer.json()["provider"]]
    assert stats["totalRequests"] >= provider["requests"] >= 1
    assert stats["totalCost"] >= provider["cost"] >= answer.json()["cost"]


def test_an_estimate_names_each_candidate_once_the_able_ones_cheapest_first(stack):
    answer = stack.post("/estimate", {**PROMPT, "max_tokens": 16, "strategy": "cheapest"})
    assert answer.status == 200, answer.body
    able, left_out = answer.json()["candidates"], answer.json()["excluded"]
    costs = [candidate["expectedCost"] for candidate in able]
    assert costs == sorted(costs, key=lambda cost: Decimal("Infinity") if cost is None else cost)
    assert all(candidate["reason"] for candidate in [*able, *left_out])
    named = [f"{candidate['provider']}/{candidate['model']}" for candidate in [*able, *left_out]]
    listed = stack.get("/providers", **stack.signed_in).json()["candidates"]
    assert len(named) == len(set(named))
    assert {*named} <= {candidate["candidate"] for candidate in listed}
    closed = {candidate["candidate"] for candidate in listed if candidate["state"] == "closed"}
    assert closed.intersection(named) == {*named[: len(able)]} != set()


def test_a_streamed_answer_comes_in_the_form_that_openai_clients_read(streamed):
    assert streamed.status == 200, streamed.body
    assert streamed.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in streamed.body.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    chunks = [simplejson.loads(event, use_decimal=True) for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] in ("stop", "length")


# With providers that do what a test says


@pytest.mark.emulated_only("counts to the cent what no one else may add to")
def test_the_figures_are_exact_at_once(stack):
    before = stack.get("/stats", **stack.signed_in).json()
    answers = [stack.generate(PROMPT).json() for _ in range(5)]
    after = stack.get("/stats", **stack.signed_in).json()
    assert after["totalRequests"] - before["totalRequests"] == 5
    assert after["totalCost"] - before["totalCost"] == sum(answer["cost"] for answer in answers)
    assert after["totalTokens"] - before["totalTokens"] == sum(answer["tokens"] for answer in answers)
    assert after["requestCounts"]["success"] - before["requestCounts"]["success"] == 5


@pytest.mark.emulated_only("needs providers whose prices and answers it knows")
def test_the_cheapest_provider_that_has_a_key_answers_at_its_price(stack, providers):
    body = stack.generate(PROMPT).json()
    assert (body["provider"], body["response"]) == ("steady", "Hello from steady.")
    assert body["cost"] == Decimal("0.000001")  # 10 tokens at 0.05 and 5 at 0.10 USD a million
    assert body["costBasis"] == "exact"
    assert providers["unstored"].calls == []


@pytest.mark.emulated_only("needs providers whose prices and answers it knows")
def test_an_openai_client_is_answered_whole_and_counted_as_any_other(stack):
    before = stack.get("/stats", **stack.signed_in).json()
    answer = stack.post("/v1/chat/completions", {**CHAT, "model": "steady/small"})
    after = stack.get("/stats", **stack.signed_in).json()
    body = answer.json()
    assert answer.status == 200
    assert body["choices"][0]["message"]["content"] == "Hello from steady."
    assert body["usage"]["cost"] == Decimal("0.000001")
    assert after["totalRequests"] - before["totalRequests"] == 1
    assert after["totalCost"] - before["totalCost"] == Decimal("0.000001")


@pytest.mark.emulated_only("needs providers whose prices and answers it knows")
@pytest.mark.parametrize("body", [PROMPT, CHAT], ids=["generate", "chat"])
def test_an_estimate_is_the_plan_with_its_costs_and_asks_and_counts_nothing(stack, providers, body):
    before = stack.get("/stats", **stack.signed_in).json()["totalRequests"]
    calls = {name: len(provider.calls) for name, provider in providers.items()}
    told = stack.post("/estimate", {**body, "max_tokens": 5}).json()  # as many as each of them answers with
    found = [(place["provider"], place["model"], place["expectedCost"]) for place in told["candidates"]]
    assert (told["promptTokens"], told["tokensBasis"]) == (10, "estimated")
    assert found == [("steady", "small", Decimal("0.000001")), ("dear", "large", Decimal("0.0001"))]
    assert told["candidates"][0]["reason"].startswith("cheapest")
    assert [(item["provider"], item["model"], item["reason"]) for item in told["excluded"]] == [
        ("unstored", "tiny", "no_key")
    ]
    assert {name: len(provider.calls) for name, provider in providers.items()} == calls
    after = stack.get("/stats", **stack.signed_in).json()["totalRequests"]
    assert after == before


@pytest.mark.emulated_only("needs a provider whose received headers it sees")
@pytest.mark.parametrize(
    ("model", "header", "value"),
    [("steady/small", "authorization", "Bearer key-of-steady"), ("dear/large", "x-api-key", "key-of-dear")],
)
def test_a_provider_gets_its_own_key_from_parameter_store_and_the_prompt(stack, providers, model, header, value):
    answer = stack.generate({**PROMPT, "model": model})
    assert answer.status == 200
    call = providers[model.partition("/")[0]].calls[-1]
    assert call.headers[header] == value
    assert call.body["messages"] == [{"role": "user", "content": "Hello"}]
    refuse_leaks(str(call), stack=stack)


@pytest.mark.emulated_only("needs a provider without a key")
def test_a_provider_without_a_key_is_left_out_with_the_command_that_stores_it(stack):
    found = {row["candidate"]: row for row in stack.get("/providers", **stack.signed_in).json()["candidates"]}
    assert found["unstored/tiny"]["state"] == "no_key"
    assert f"/llm-router/{stack.stage}/providers/unstored/api_key" in found["unstored/tiny"]["reason"]
    assert found["steady/small"]["state"] == "closed"


@pytest.mark.emulated_only("needs a provider that fails on command")
def test_a_failing_provider_is_passed_over(stack):
    answer = stack.generate({**PROMPT, "model": "failover"})
    body = answer.json()
    assert (answer.status, body["provider"]) == (200, "steady")
    assert [attempt["outcome"] for attempt in body["attempts"]] == ["overloaded", "success"]


@pytest.mark.emulated_only("needs providers that fail on command")
def test_when_every_provider_fails_the_caller_hears_it_once_and_for_nothing(stack):
    answer = stack.generate({**PROMPT, "model": "broken"})
    assert (answer.status, answer.code) == (502, "all_providers_failed")
    assert answer.headers["x-should-retry"] == "false"
    tried = [(attempt["provider"], attempt["model"]) for attempt in answer.json()["attempts"]]
    assert tried == [("broken", "two"), ("broken", "three")]
    assert Decimal(answer.headers["x-router-cost-usd"]) == 0


@pytest.mark.emulated_only("needs providers that fail on command")
def test_no_error_says_where_a_provider_is_or_what_it_said(stack):
    answer = stack.generate({**PROMPT, "model": "broken"})
    assert answer.status == 502
    refuse_leaks(answer.body.decode(), "127.0.0.1", "key-of", '"no"', "Hello", stack=stack)


@pytest.mark.emulated_only("changes the deployed stage")
def test_the_gateways_throttle_speaks_in_the_routers_words(stack):
    gateway = stack.client("apigateway")
    stage = {"restApiId": stack.resources["RouterApi"], "stageName": stack.stage}
    burst = "/*/*/throttling/burstLimit"
    (given,) = [str(found["throttlingBurstLimit"]) for found in gateway.get_stage(**stage)["methodSettings"].values()]
    gateway.update_stage(**stage, patchOperations=[{"op": "replace", "path": burst, "value": "0"}])
    try:
        answer = stack.get("/health")
    finally:
        gateway.update_stage(**stage, patchOperations=[{"op": "replace", "path": burst, "value": given}])
    assert (answer.status, answer.code) == (429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "1"
    until(lambda: stack.get("/health").status == 200, within_s=10)
