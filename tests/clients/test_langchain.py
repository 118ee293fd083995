"""LangChain's ChatOpenAI."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from clients import said
from clients.routers import COST, UNABLE
from clients.said import CITIES, TWO_CALLS, answers, choice
from streaming_provider import in_turn, refuses, says


class City(BaseModel):
    """A city."""

    name: str
    people: int


OSLO = '{"name": "Oslo", "people": 700000}'


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


@pytest.fixture
def chat(router):
    def chat(model="auto", **changes):
        return ChatOpenAI(model=model, base_url=router.base_url, api_key=router.key, **changes)

    return chat


def text_of(chunks):
    return "".join(chunk.text for chunk in chunks)


def test_the_guides_example_works(router, capsys):
    (example,) = said.documented("LangChain", url=router.url, key=router.key)
    exec(example, {})  # noqa: S102  # the guide's own lines
    assert capsys.readouterr().out == "Hello.\n"


@pytest.mark.parametrize("ending", ["", "/"])
def test_only_the_base_url_changes(router, ending):
    chat = ChatOpenAI(model="auto", base_url=router.base_url + ending, api_key=router.key)
    answer = chat.invoke("Hello")
    assert answer.content == "Hello."
    assert answer.response_metadata["model_name"] == "served-model"
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata["total_tokens"] == 15


def test_the_cost_and_the_headers_are_at_hand(router, chat):
    played = router.plays(says("Hello."))
    told = chat(played.model, include_response_headers=True).invoke("Hello").response_metadata
    assert Decimal(str(told["token_usage"]["cost"])) == COST
    assert told["headers"]["x-router-provider"] == played.provider.name


def test_a_piece_arrives_before_the_provider_has_said_the_next(router, chat):
    script, gate = said.says_then_waits("Grüße", ", ", "世界!")
    stream = chat(router.plays(script).model).stream("Hello")
    assert next(stream).text == "Grüße"
    gate.set()
    assert text_of(stream) == ", 世界!"


def test_a_streams_usage_comes_with_it(router, chat):
    chunks = list(chat(router.plays(says("Hel", "lo.")).model, stream_usage=True).stream("Hello"))
    assert text_of(chunks) == "Hello."
    whole = sum(chunks[1:], chunks[0])
    assert whole.usage_metadata["total_tokens"] == 15


def test_async_calls_do_the_same(router, chat):
    model = chat(router.plays(says("Hel", "lo.")).model)

    async def ask():
        whole = await model.ainvoke("Hello")
        return whole.text, text_of([chunk async for chunk in model.astream("Hello")])

    assert asyncio.run(ask()) == ("Hello.", "Hello.")


def test_a_batch_is_answered_in_its_order(router, chat):
    def echo(wire):
        says(wire.body["messages"][0]["content"])(wire)

    asked = [f"Question {number}" for number in range(6)]
    assert [answer.content for answer in chat(router.plays(echo).model).batch(asked)] == asked


def test_several_choices(router, chat):
    played = router.plays(answers(choice(0, content="One."), choice(1, content="Two.")))
    (generations,) = chat(played.model, n=2).generate([[HumanMessage("Hello")]]).generations
    assert [generation.text for generation in generations] == ["One.", "Two."]
    assert played.sent["n"] == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_calls_side_by_side_and_their_results(router, chat, streamed):
    played = router.plays(in_turn(answers(TWO_CALLS, size=2), says("Rain and rain.")))
    model = chat(played.model).bind_tools([weather], parallel_tool_calls=True)
    history = [SystemMessage("Be brief."), HumanMessage("How is it?")]
    if streamed:
        chunks = list(model.stream(history))
        asked = sum(chunks[1:], chunks[0])
    else:
        asked = model.invoke(history)
    assert [(call["name"], call["args"]) for call in asked.tool_calls] == [
        ("weather", {"city": city}) for city in CITIES
    ]
    results = [weather.invoke(call) for call in asked.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    assert model.invoke([*history, asked, *results]).content == "Rain and rain."
    *_, called, first, second = played.calls[1].body["messages"]
    assert [call["id"] for call in called["tool_calls"]] == ["call_0", "call_1"]
    assert [(found["tool_call_id"], found["content"]) for found in (first, second)] == [
        ("call_0", f"Rain in {CITIES[0]}."),
        ("call_1", f"Rain in {CITIES[1]}."),
    ]


@pytest.mark.parametrize(
    ("method", "kind"), [("json_schema", "json_schema"), ("json_mode", "json_object"), ("function_calling", None)]
)
def test_structured_output_comes_back_as_its_class(router, chat, method, kind):
    if kind:
        whole = choice(content=OSLO)
    else:
        call = {"id": "call_0", "type": "function", "function": {"name": "City", "arguments": OSLO}}
        whole = choice(finish="tool_calls", tool_calls=[call])
    played = router.plays(answers(whole))
    found = chat(played.model).with_structured_output(City, method=method).invoke("Oslo, as JSON")
    assert found == City(name="Oslo", people=700_000)
    assert (played.sent.get("response_format") or {}).get("type") == kind
    assert ("tools" in played.sent) is (kind is None)


def test_images_reach_the_provider(router, chat):
    played = router.plays(says("A cat."))
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "base64": said.PNG, "mime_type": "image/png"},
    ]
    assert chat(played.model).invoke([HumanMessage(parts)]).content == "A cat."
    (message,) = played.sent["messages"]
    assert message["content"][1]["image_url"]["url"] == said.IMAGE["image_url"]["url"]


def test_logprobs_come_with_the_answer(router, chat):
    played = router.plays(answers(choice(content="Hello", logprobs={"content": said.TOKENS, "refusal": None})))
    told = chat(played.model, logprobs=True).invoke("Hello").response_metadata
    assert [token["token"] for token in told["logprobs"]["content"]] == ["Hel", "lo"]


def test_what_is_asked_for_reaches_the_provider(router, chat):
    played = router.plays(says("Hello."))
    model = chat(
        played.model,
        temperature=0.3,
        seed=7,
        stop=["END"],
        max_tokens=20,
        reasoning_effort="low",
        extra_body={"x_new": {"deep": [1.5, None]}},
    )
    model.invoke("Hello")
    sent = played.sent
    assert (sent["temperature"], sent["seed"], sent["stop"], sent["max_completion_tokens"]) == (0.3, 7, ["END"], 20)
    assert (sent["reasoning_effort"], sent["x_new"]) == ("low", {"deep": [1.5, None]})


def test_wishes_of_the_router_go_in_extra_body(router, chat):
    failing, able = router.plays(refuses(503)), router.plays(says("Second."))
    assert chat(failing.model, extra_body={"models": [able.model]}).invoke("Hello").content == "Second."


@pytest.mark.parametrize(
    ("asked", "kind", "status"),
    [
        ({"model": "nobody"}, openai.BadRequestError, 400),
        ({"model": f"{UNABLE}/model", "logprobs": True}, openai.BadRequestError, 400),
        ({"api_key": "llmr_aaaaaaaa_nothing"}, openai.AuthenticationError, 401),
    ],
)
def test_errors_are_openais_own(router, asked, kind, status):
    model = ChatOpenAI(**{"model": "auto", "base_url": router.base_url, "api_key": router.key, **asked})
    for asking in (lambda: model.invoke("Hello"), lambda: list(model.stream("Hello"))):
        with pytest.raises(kind) as told:
            asking()
        assert told.value.status_code == status


def test_what_failed_everywhere_is_an_error_and_not_asked_again(router, chat):
    played = router.plays(refuses(503))
    with pytest.raises(openai.InternalServerError) as told:
        chat(played.model, max_retries=2).invoke("Hello")
    assert (told.value.status_code, told.value.code) == (502, "all_providers_failed")
    assert len(played.calls) == 1


def test_a_prompt_too_long_for_every_model_is_a_bad_request(router, chat):
    played = router.plays(refuses(400, "context_length_exceeded"))
    with pytest.raises(openai.BadRequestError) as told:
        chat(played.model).invoke("Hello")
    assert told.value.code == "context_length_exceeded"


def test_a_provider_that_breaks_off_in_the_middle_raises(router, chat):
    stream = chat(router.plays(said.breaks_off_after("Hel")).model).stream("Hello")
    assert next(stream).text == "Hel"
    with pytest.raises(openai.APIError) as told:
        list(stream)
    assert told.value.code == "stream_broken"


def test_a_caller_that_hangs_up_in_the_middle_is_not_paid_for_any_longer(router, chat):
    played = router.plays(said.falls_silent_after("Hel", "lo"))
    stream = chat(played.model).stream("Hello")
    assert next(stream).text == "Hel"
    stream.close()
    assert played.comes_to_be_hung_up_on()
    assert router.comes_to_know(played, attempts=1)["cost"] > 0


def test_a_caller_that_times_out_gets_its_own_exception(router, chat):
    played = router.plays(said.falls_silent_after())
    with pytest.raises(openai.APITimeoutError):
        chat(played.model, timeout=1.0, max_retries=0).invoke("Hello")
    assert played.comes_to_be_hung_up_on()
