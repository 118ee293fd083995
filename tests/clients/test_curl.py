"""Plain curl: what is on the wire, as somebody sees it who types it in."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from decimal import Decimal

import pytest
import simplejson

from clients import said
from clients.routers import COST, STEADY
from clients.said import HELLO
from streaming_provider import refuses, says

TYPED_IN = '{"model": "auto", "messages": [{"role": "user", "content": "What is a router?"}]}'
TIMED_OUT = 28
HTTP_ERROR = 22


@dataclass
class Got:
    """What curl printed with `-i`."""

    code: int
    status: int
    headers: dict[str, str]
    body: str

    def json(self):
        return simplejson.loads(self.body, use_decimal=True)

    @property
    def data(self):
        return [line.removeprefix("data: ") for line in self.body.splitlines() if line.startswith("data: ")]

    @property
    def chunks(self):
        return [simplejson.loads(data, use_decimal=True) for data in self.data if data != "[DONE]"]


@dataclass
class Curl:
    router: object

    def start(self, path="/v1/chat/completions", *arguments, key=None, body=None, **fields):
        command = ["curl", "-sSiN", f"{self.router.url}{path}", "-H", f"Authorization: Bearer {key or self.router.key}"]
        if body is None and path == "/v1/chat/completions":
            body = json.dumps({"model": "auto", "messages": HELLO, **fields})
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", body]
        return subprocess.Popen(
            [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments, path="/v1/chat/completions", **fields):
        with self.start(path, *arguments, **fields) as process:
            output, _ = process.communicate(timeout=60)
        head, _, body = output.decode().partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return Got(process.returncode, int(status.split()[1]), headers, body)


@pytest.fixture
def curl(router):
    return Curl(router)


def text_of(chunks):
    return "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk.get("choices", []))


def test_the_guides_example_works(router):
    (example,) = said.documented("curl", url=router.url, key=router.key)
    run = subprocess.run(["bash", "-c", example], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.endswith("data: [DONE]\n\n")
    assert '"content":"lo."' in run.stdout.replace(": ", ":")


def test_a_typed_in_request_is_answered(curl):
    got = curl.run(body=TYPED_IN)
    assert (got.code, got.status) == (0, 200)
    assert got.json()["choices"][0]["message"]["content"] == "Hello."
    assert got.json()["usage"]["cost"] == COST
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-router-provider"] == STEADY
    assert Decimal(got.headers["x-router-cost-usd"]) == COST


def test_a_stream_is_events_that_end_in_done(curl):
    got = curl.run(stream=True)
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (text_of(got.chunks), got.data[-1]) == ("Hello.", "[DONE]")
    assert got.chunks[-1]["usage"]["cost"] == COST
    assert got.body.endswith("data: [DONE]\n\n")


def test_a_piece_arrives_before_the_provider_has_said_the_next(router, curl):
    script, gate = said.says_then_waits("Hel", "lo.")
    with curl.start(model=router.plays(script).model, stream=True) as process:
        line = b""
        while b"Hel" not in line:
            line = process.stdout.readline()
            assert line
        gate.set()
        rest = process.stdout.read()
    assert b"lo." in rest
    assert rest.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("given", "status", "code", "param"),
    [
        ({"body": "{"}, 400, "invalid_request", None),
        ({"model": "nobody"}, 400, "invalid_request", "model"),
        ({"messages": "Hello"}, 400, "invalid_request", "messages"),
        ({"key": "llmr_aaaaaaaa_nothing"}, 401, "invalid_api_key", None),
        ({"path": "/v1/nothing", "body": "{}"}, 404, "not_found", None),
    ],
)
def test_errors_have_openais_shape(curl, given, status, code, param, streamed):
    got = curl.run(**{"stream": streamed, **given})
    error = got.json()["error"]
    assert (got.status, error["code"], error["param"]) == (status, code, param)
    assert sorted(error) == ["code", "message", "param", "type"]
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-request-id"]


def test_a_failed_request_makes_curls_fail_option_fail(router, curl):
    got = curl.run("--fail-with-body", model=router.plays(refuses(503)).model, stream=True)
    assert (got.code, got.status, got.headers["x-should-retry"]) == (HTTP_ERROR, 502, "false")
    assert [attempt["outcome"] for attempt in got.json()["attempts"]] == ["overloaded"]


def test_a_break_in_the_middle_is_told_in_an_event_and_there_is_no_done(router, curl):
    got = curl.run(model=router.plays(said.breaks_off_after("Hel", "lo")).model, stream=True)
    assert text_of(got.chunks) == "Hello"
    assert got.chunks[-1]["error"]["code"] == "stream_broken"
    assert "[DONE]" not in got.body


def test_models_are_listed(curl):
    got = curl.run(path="/v1/models")
    assert {"auto", f"{STEADY}/model"} <= {row["id"] for row in got.json()["data"]}


def test_an_estimate_takes_the_same_body_and_asks_nobody(router, curl):
    played = router.plays(says("Never said."))
    body = json.dumps({"model": played.model, "messages": HELLO, "stream": True})
    (row,) = curl.run(path="/estimate", body=body).json()["candidates"]
    assert (row["provider"], row["expectedCost"] > 0) == (played.provider.name, True)
    assert played.calls == []


def test_a_caller_that_gives_up_is_not_paid_for_any_longer(router, curl):
    for streamed in (False, True):
        played = router.plays(said.falls_silent_after("Hel"))
        with curl.start("/v1/chat/completions", "--max-time", "1", model=played.model, stream=streamed) as process:
            assert process.wait(60) == TIMED_OUT
            process.communicate()
        assert played.comes_to_be_hung_up_on()
        assert router.comes_to_know(played, attempts=1)["cost"] > 0


def test_while_nothing_has_come_yet_comments_keep_the_line_open_and_an_error_can_only_be_an_event(router, curl):
    gate = said.Gate()

    def script(wire):
        gate.pass_through()
        refuses(503)(wire)

    with curl.start(model=router.plays(script).model, stream=True) as process:
        head = process.stdout.readline()
        assert b" 200 " in head
        while (line := process.stdout.readline()) != b": waiting\n":
            assert line
        gate.set()
        rest = process.stdout.read().decode()
    assert json.loads(rest.strip().removeprefix("data: "))["error"]["code"] == "all_providers_failed"
