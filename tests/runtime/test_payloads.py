"""The largest requests and answers: what Lambda takes, what the router takes, and what lies between."""

from __future__ import annotations

import json

import pytest

from infra.runtime import declared
from llm_router.usage import RecordState
from provider_server import Answer, always, completion
from runtime.conftest import PROBES, reply

LAMBDA_BYTES = 6_291_556
"""What the runtime's interface takes and hands over, in its own words: 6 MB and a little."""

ROUTERS_MARGIN_BYTES = 11_000
"""What the router keeps for the headers, and its own keys around the text."""

MAX_BODY_BYTES = int(declared.load()["Parameters"]["MaxBodyBytes"]["Default"])


def as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def body_of(size_bytes: int, unit: str = "a") -> str:
    """A request's JSON text of exactly `size_bytes`."""
    units, left = divmod(size_bytes - len(as_json({"prompt": ""})), len(as_json(unit)) - 2)
    text = as_json({"prompt": unit * units + "a" * left})
    assert len(text) == size_bytes
    return text


def text_for(event_bytes: int, unit: str) -> str:
    """A text that fills an event of about `event_bytes`: it is escaped in the body, and again in the event."""
    twice = as_json(as_json(unit)[1:-1])[1:-1]
    return unit * (event_bytes // len(twice.encode()))


def spoken(text: str) -> Answer:
    """As a provider that sends its characters as they are: escaped ones would pass the router's own limit."""
    status, headers, content = completion("TEXT")
    return status, headers, content.replace(b'"TEXT"', as_json(text).encode())


def test_a_body_at_the_limit_reaches_the_provider_whole(runtime):
    answer = runtime.generate(runtime.router(), body_of(MAX_BODY_BYTES))
    assert answer.status == 200
    (call,) = runtime.cheap.calls
    assert len(call.body["messages"][0]["content"]) == MAX_BODY_BYTES - len(as_json({"prompt": ""}))


def test_a_body_at_the_limit_fits_into_an_event(runtime):
    assert len(as_json(runtime.generate_event(body_of(MAX_BODY_BYTES)))) < LAMBDA_BYTES


def test_an_event_near_lambdas_limit_is_answered(runtime):
    event = as_json(runtime.generate_event(body_of(3_100_000, unit='"')))
    assert LAMBDA_BYTES * 0.95 < len(event) < LAMBDA_BYTES
    assert reply(runtime.router().invoke(event.encode())).status == 200


def test_a_body_above_the_limit_is_refused_with_no_call_and_no_record(runtime):
    answer = runtime.generate(runtime.router(), body_of(MAX_BODY_BYTES + 1))
    assert (answer.status, answer.body["error"]["code"]) == (413, "request_too_large")
    assert runtime.cheap.calls == runtime.dear.calls == []
    assert runtime.records() == []


@pytest.mark.parametrize(("answer_bytes", "is_taken"), [(LAMBDA_BYTES, True), (LAMBDA_BYTES + 1, False)])
def test_the_limit_is_the_runtimes_own(runtime, answer_bytes, is_taken):
    router = runtime.router(handler="probe.handler", extra_path=[PROBES])
    answer = router.invoke({"answers_with_bytes": answer_bytes})
    assert (len(answer.content) == answer_bytes) is is_taken
    assert len(router.init_ms()) == 1
    assert runtime.generate(router).status == 200
    assert len(router.init_ms()) == (1 if is_taken else 2)


@pytest.mark.parametrize("unit", ["a", '"', "\n", "ü"])
def test_an_answer_near_lambdas_limit_is_handed_over_whole(runtime, unit):
    text = text_for(LAMBDA_BYTES - ROUTERS_MARGIN_BYTES, unit)
    runtime.cheap.script = always(spoken(text))
    answer = runtime.generate(runtime.router())
    assert answer.status == 200
    assert answer.body["response"] == text


@pytest.mark.parametrize("unit", ["a", '"', "ü"])
def test_an_answer_above_lambdas_limit_is_an_error_of_the_router(runtime, unit):
    """It was paid for: the caller must learn that, and the environment must live on."""
    runtime.cheap.script = always(spoken(text_for(LAMBDA_BYTES + 10_000, unit)))
    router = runtime.router()
    answer = router.invoke(runtime.generate_event())
    assert reply(answer).status == 502
    assert reply(answer).headers["x-router-cost-usd"]
    assert runtime.records()[-1].state is RecordState.SETTLED
    runtime.cheap.script = always(completion("Cheap."))
    assert runtime.generate(router).status == 200
    assert len(router.init_ms()) == 1
