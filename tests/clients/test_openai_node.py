"""OpenAI's Node SDK, in a Node process that takes commands line by line."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from clients import said
from clients.routers import COST, STEADY, UNABLE
from clients.said import CITIES, HELLO, TWO_CALLS, WEATHER, answers, choice
from streaming_provider import in_turn, refuses, says, streams

NODE = Path(sys.executable).parent / "node"
FOLDER = Path(__file__).parent / "node"


@dataclass
class Answered:
    """What a case came to: its answer or its error, and the chunks that came before."""

    answer: object = None
    error: dict[str, object] | None = None
    chunks: list[dict[str, object]] = field(default_factory=list)

    @property
    def text(self):
        return text_of(self.chunks)


@dataclass
class Node:
    process: subprocess.Popen[str]
    router: object = None

    def begin(self, case, *, options=None, **given):
        client = {"baseURL": self.router.base_url, "apiKey": self.router.key, **(options or {})}
        self.process.stdin.write(json.dumps({"name": case, "options": client, **given}) + "\n")
        self.process.stdin.flush()

    def next(self):
        line = self.process.stdout.readline()
        assert line, "Node has ended"
        return json.loads(line)

    def rest(self):
        chunks = []
        while "chunk" in (found := self.next()):
            chunks.append(found["chunk"])
        return Answered(found.get("answer"), found.get("error"), chunks)

    def ask(self, case, model="auto", *, options=None, given=None, **fields):
        self.begin(case, options=options, body={"model": model, "messages": HELLO, **fields}, **(given or {}))
        return self.rest()

    def answer(self, *args, **fields):
        answered = self.ask(*args, **fields)
        assert answered.error is None
        return answered.answer

    def error(self, *args, **fields):
        answered = self.ask(*args, **fields)
        assert answered.error is not None
        return answered.error


@pytest.fixture(scope="module")
def process():
    with subprocess.Popen(
        [NODE, "driver.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as found:
        yield found
        found.stdin.close()
        assert found.wait(30) == 0


@pytest.fixture
def node(process, router):
    return Node(process, router)


def text_of(chunks):
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def test_the_guides_example_works(router):
    (example,) = said.documented("Node", url=router.url, key=router.key)
    command = [NODE, "--input-type=module", "-e", example]
    run = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "Hello."


@pytest.mark.parametrize("ending", ["", "/"])
def test_only_the_base_url_changes(router, node, ending):
    answer = node.answer("whole", options={"baseURL": router.base_url + ending})
    assert answer["choices"][0]["message"]["content"] == "Hello."
    assert answer["usage"]["total_tokens"] == 15
    assert Decimal(str(answer["usage"]["cost"])) == COST


def test_a_piece_arrives_before_the_provider_has_said_the_next(router, node):
    script, gate = said.says_then_waits("Grüße", ", ", "世界!")
    node.begin("streamed", body={"model": router.plays(script).model, "messages": HELLO})
    assert text_of([node.next()["chunk"]]) == "Grüße"
    gate.set()
    rest = node.rest()
    assert (rest.text, rest.error) == (", 世界!", None)
    assert all(chunk["choices"] for chunk in rest.chunks)


def test_several_choices(router, node):
    played = router.plays(answers(choice(0, content="One."), choice(1, "length", content="Two, longer")))
    for case in ("whole", "helper"):
        found = node.answer(case, played.model, n=2)["choices"]
        assert [(one["message"]["content"], one["finish_reason"]) for one in found] == [
            ("One.", "stop"),
            ("Two, longer", "length"),
        ]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_by_the_sdk_and_their_results_go_back(router, node, streamed):
    played = router.plays(in_turn(answers(TWO_CALLS, size=2), says("Rain and rain.")))
    told = node.answer("tools", played.model, given={"tool": WEATHER, "streamed": streamed}, parallel_tool_calls=True)
    assert told == {"content": "Rain and rain.", "called": [{"city": city} for city in CITIES]}
    first, second = (sent.body for sent in played.calls)
    assert first["parallel_tool_calls"] is True
    _, called, *returned = second["messages"]
    assert called["tool_calls"] == TWO_CALLS["message"]["tool_calls"]
    assert [(result["tool_call_id"], result["content"]) for result in returned] == [
        ("call_0", f"Rain in {CITIES[0]}."),
        ("call_1", f"Rain in {CITIES[1]}."),
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_json_schema_is_handed_on_and_its_answer_parsed(router, node, streamed):
    played = router.plays(answers(choice(content='{"name": "Oslo", "people": 700000}')))
    answer = node.answer("parsed", played.model, given={"streamed": streamed})
    assert answer["choices"][0]["message"]["parsed"] == {"name": "Oslo", "people": 700_000}
    sent = played.sent["response_format"]
    assert (sent["type"], sent["json_schema"]["strict"]) == ("json_schema", True)


def test_a_refusal_is_no_answer_but_a_refusal(router, node):
    played = router.plays(answers(choice(refusal="I can't help with that.")))
    message = node.answer("parsed", played.model, given={"streamed": False})["choices"][0]["message"]
    assert (message["parsed"], message["refusal"]) == (None, "I can't help with that.")


def test_reasoning_and_logprobs_come_with_the_answer(router, node):
    whole = choice(
        content="Hello", reasoning_content="They greet me.", logprobs={"content": said.TOKENS, "refusal": None}
    )
    played = router.plays(answers(whole))
    found = node.answer("whole", played.model, logprobs=True)["choices"][0]
    assert found["message"]["reasoning_content"] == "They greet me."
    assert found["logprobs"]["content"] == said.TOKENS
    deltas = [chunk["choices"][0] for chunk in node.ask("streamed", played.model, logprobs=True).chunks]
    assert "".join(one["delta"].get("reasoning_content") or "" for one in deltas) == "They greet me."
    assert [token for one in deltas for token in (one.get("logprobs") or {}).get("content", [])] == said.TOKENS


@pytest.mark.parametrize("case", ["whole", "streamed"])
def test_what_is_asked_for_reaches_the_provider(router, node, case):
    played = router.plays(says("Hello."))
    asked = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, said.IMAGE]}],
        "response_format": {"type": "json_object"},
        "stop": ["END"],
        "seed": 7,
        "temperature": 0.3,
        "x_new": {"deep": [1.5, None]},
    }
    assert node.ask(case, played.model, max_completion_tokens=20, **asked).error is None
    assert {name: played.sent[name] for name in asked} == asked
    assert played.sent["max_completion_tokens"] == 20


def test_usage_and_cost_of_a_stream_come_in_its_last_chunk(router, node):
    chunks = node.ask("streamed", router.plays(says("Hi.")).model, stream_options={"include_usage": True}).chunks
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 15
    assert Decimal(str(chunks[-1]["usage"]["cost"])) == COST


def test_models_are_listed(node):
    assert {"auto", f"{STEADY}/model"} <= {model["id"] for model in node.answer("models")}


def test_headers_tell_what_served_and_what_it_cost(router, node):
    played = router.plays(says("Hello."))
    told = node.answer("withHeaders", played.model)
    assert told["headers"]["x-router-provider"] == played.provider.name
    assert Decimal(told["headers"]["x-router-cost-usd"]) == COST
    assert told["requestId"] == told["headers"]["x-request-id"]


# Errors, retries, hanging up.


@pytest.mark.parametrize("case", ["whole", "streamed"])
@pytest.mark.parametrize(
    ("script", "kind", "status", "code"),
    [
        (refuses(400, "context_length_exceeded"), "BadRequestError", 400, "context_length_exceeded"),
        (refuses(401, "invalid_api_key"), "InternalServerError", 502, "all_providers_failed"),
        (refuses(503), "InternalServerError", 502, "all_providers_failed"),
        (streams({"error": {"message": "no"}}), "InternalServerError", 502, "all_providers_failed"),
    ],
)
def test_errors_are_the_sdks_own_and_final_ones_are_not_asked_again(router, node, script, kind, status, code, case):
    played = router.plays(script)
    error = node.error(case, played.model)
    assert (error["kinds"][0], error["status"], error["code"]) == (kind, status, code)
    assert error["requestID"]
    assert len(played.calls) == 1


@pytest.mark.parametrize(
    ("case", "asked", "kind", "status", "code", "param"),
    [
        ("whole", {"model": "nobody"}, "BadRequestError", 400, "invalid_request", "model"),
        ("streamed", {"messages": []}, "BadRequestError", 400, "invalid_request", "messages"),
        ("whole", {"model": f"{UNABLE}/model", "n": 2}, "BadRequestError", 400, "invalid_request", None),
        ("whole", {"options": {"apiKey": "llmr_aaaaaaaa_no"}}, "AuthenticationError", 401, "invalid_api_key", None),
        ("streamed", {"options": {"apiKey": "llmr_aaaaaaaa_no"}}, "AuthenticationError", 401, "invalid_api_key", None),
        ("completions", {"prompt": "Hello"}, "NotFoundError", 404, "not_found", None),
    ],
)
def test_a_wrong_request_is_told_as_what_it_is(node, case, asked, kind, status, code, param):
    error = node.error(case, **asked)
    assert (error["kinds"][0], error["status"], error["code"], error["param"]) == (kind, status, code, param)


def test_the_routes_deadline_is_a_server_error_with_504(router, node):
    played = router.plays_on_a_hasty_route(said.falls_silent_after())
    error = node.error("whole", played.model)
    assert (error["kinds"][0], error["status"], error["code"]) == ("InternalServerError", 504, "deadline_exceeded")
    assert len(played.calls) == 1


def test_while_all_are_rate_limited_the_sdk_waits_as_it_is_told_and_asks_again(router, node):
    limited = refuses(429, "rate_limit_exceeded", retry_after="2")
    played = router.plays_on_a_hasty_route(in_turn(limited, says("Now.")))
    error = node.error("whole", played.model, options={"maxRetries": 0})
    assert (error["status"], error["code"]) == (503, "no_provider_available")
    assert int(error["retryAfter"]) >= 1
    assert node.answer("whole", played.model)["choices"][0]["message"]["content"] == "Now."


@pytest.mark.parametrize("case", ["streamed", "helper"])
def test_a_provider_that_breaks_off_in_the_middle_is_an_error(router, node, case):
    answered = node.ask(case, router.plays(said.breaks_off_after("Hel", "lo")).model)
    assert answered.error["code"] == "stream_broken"
    assert "APIError" in answered.error["kinds"]
    assert answered.answer is None


@pytest.mark.parametrize("case", ["hangUpAfterTheFirst", "abortAfterTheFirst"])
def test_a_caller_that_hangs_up_in_the_middle_is_not_paid_for_any_longer(router, node, case):
    played = router.plays(said.falls_silent_after("Hel", "lo"))
    assert node.ask(case, played.model).error is None
    assert played.comes_to_be_hung_up_on()
    assert router.comes_to_know(played, attempts=1)["cost"] > 0


@pytest.mark.parametrize("case", ["whole", "streamed"])
def test_a_caller_that_times_out_gets_its_own_error_and_the_provider_is_let_go(router, node, case):
    played = router.plays(said.falls_silent_after())
    error = node.error(case, played.model, options={"timeout": 1000, "maxRetries": 0})
    assert error["kinds"][0] == "APIConnectionTimeoutError"
    assert played.comes_to_be_hung_up_on()
