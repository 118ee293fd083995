"""The demonstration providers stream when they are asked to, as OpenAI does."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from infra.local import demo_providers

PATH = "/demo-steady/v1/chat/completions"
BODY = {"model": "parrot-large", "messages": [{"role": "user", "content": "What is  a router?"}]}


class Client:
    def __init__(self):
        self._transport = httpx.ASGITransport(demo_providers.create_app())

    def post(self, path, json):
        async def ask():
            async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1") as client:
                return await client.post(path, json=json)

        return asyncio.run(ask())


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(demo_providers, "CHUNK_EVERY_S", 0)
    return Client()


def streamed(client, **more):
    answer = client.post(PATH, json={**BODY, "stream": True, **more})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, end, rest = answer.text.split("\n\n")
    assert (end, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_the_chunks_are_the_unstreamed_answer_in_pieces(client):
    whole = client.post(PATH, json=BODY).json()["choices"][0]
    chunks = streamed(client)
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == whole["message"]["content"]
    assert len(chunks) > 5
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_usage_comes_last_and_only_when_it_is_asked_for(client):
    usage = client.post(PATH, json=BODY).json()["usage"]
    last = streamed(client, stream_options={"include_usage": True})[-1]
    assert (last["choices"], last["usage"]) == ([], usage)
    for options in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        assert not any("usage" in chunk for chunk in streamed(client, **options))


def test_every_third_request_fails_before_anything_is_streamed(client):
    path = "/demo-cheap/v1/chat/completions"
    answers = [client.post(path, json={**BODY, "stream": True}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 200, 200, 503]


def answered(client, messages, **more):
    answer = client.post(PATH, json={**BODY, "messages": messages, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("parameter", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("limit", [1, 7, 20])
def test_an_answer_is_cut_at_the_limit_that_was_asked_for(client, parameter, limit):
    whole = answered(client, BODY["messages"])["choices"][0]["message"]["content"]
    body = answered(client, BODY["messages"], **{parameter: limit})
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == limit
    assert whole.startswith(choice["message"]["content"])
    assert len(choice["message"]["content"]) < len(whole)
    assert streamed(client, **{parameter: limit})[-1]["choices"][0]["finish_reason"] == "length"


def test_a_limit_is_kept_between_characters(client):
    messages = [{"role": "user", "content": "日本語" * 20}]
    for limit in range(20, 60):
        assert answered(client, messages, max_tokens=limit)["usage"]["completion_tokens"] <= limit


@pytest.mark.parametrize("limit", [None, 1000])
def test_an_answer_within_the_limit_is_whole(client, limit):
    assert answered(client, BODY["messages"], max_tokens=limit)["choices"][0]["finish_reason"] == "stop"


CALLS = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"content": None}, ""),
        ({}, ""),
        ({"content": "Sunny."}, "Sunny."),
        (
            {"content": [{"type": "text", "text": "Sun"}, {"type": "image_url"}, {"type": "text", "text": "ny."}]},
            "Sunny.",
        ),
    ],
    ids=["null", "missing", "text", "parts"],
)
def test_a_conversation_with_tools_is_read_as_its_texts(client, said, read):
    called = {"role": "assistant", "tool_calls": CALLS}
    body = answered(client, [*BODY["messages"], called, {"role": "tool", "tool_call_id": "call_1", **said}])
    assert body["choices"][0]["message"]["content"].endswith(f"You sent {len(read)} characters, beginning with: {read}")
    assert body["usage"]["prompt_tokens"] == -(-len("What is  a router?" + read) // 4)
