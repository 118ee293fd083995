"""OpenAI's Python SDK, which must find nothing missing but the base URL."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from clients import said
from clients.routers import COST, STEADY, UNABLE
from clients.said import CITIES, HELLO, TWO_CALLS, WEATHER, answers, choice
from streaming_provider import USAGE, in_turn, refuses, says, streams, text_events

RATE_LIMITED = refuses(429, "rate_limit_exceeded", retry_after="2")


class City(BaseModel):
    name: str
    people: int


class weather(BaseModel):  # noqa: N801  # the tool's name is the class's
    """The weather in a city."""

    city: str


@pytest.fixture
def client(router):
    with OpenAI(base_url=router.base_url, api_key=router.key) as found:
        yield found


def patient(router, **changes):
    """Never retries by itself, so that one call is one request."""
    return OpenAI(base_url=router.base_url, api_key=router.key, **{"max_retries": 0, **changes})


def ask(client, model, **fields):
    return client.chat.completions.create(model=model, messages=HELLO, **fields)


def text_of(stream):
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


# Text.


def test_the_one_line_that_changes_is_the_one_on_the_readmes_first_screen(router):
    example = said.first_example(url=router.url, key=router.key)
    changed, asked = example.splitlines()
    assert changed.startswith("client = OpenAI(base_url=")
    found = {"OpenAI": OpenAI}
    exec(f"{changed}\nanswer = {asked}", found)  # noqa: S102  # the README's own lines
    answer = found["answer"]
    assert answer.choices[0].message.content == "Hello."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "served-model"
    assert answer.object == "chat.completion"
    assert answer.usage.total_tokens == 15


def test_the_guides_example_works(router, capsys):
    (example,) = said.documented("Python", url=router.url, key=router.key)
    exec(example, {})  # noqa: S102  # the guide's own lines
    assert capsys.readouterr().out == "Hello."


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_slash_at_the_end_of_the_base_url_changes_nothing(router, ending):
    client = OpenAI(base_url=router.base_url + ending, api_key=router.key)
    assert ask(client, "auto").choices[0].message.content == "Hello."
    assert "auto" in {model.id for model in client.models.list()}


def test_the_base_url_and_the_key_may_come_from_the_environment(router, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", router.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", router.key)
    assert ask(OpenAI(), "auto").choices[0].message.content == "Hello."


def test_a_piece_arrives_before_the_provider_has_said_the_next(router, client):
    script, gate = said.says_then_waits("Grüße", ", ", "世界!")
    played = router.plays(script)
    with ask(client, played.model, stream=True) as stream:
        first = next(stream)
        assert first.choices[0].delta.content == "Grüße"
        assert first.choices[0].delta.role == "assistant"
        gate.set()
        rest = list(stream)
    assert text_of(rest) == ", 世界!"
    assert [chunk.choices[0].finish_reason for chunk in rest if chunk.choices][-1] == "stop"
    assert {chunk.object for chunk in [first, *rest]} == {"chat.completion.chunk"}


def test_an_answer_of_a_thousand_pieces_arrives_whole(router, client):
    pieces = [f"{number} ü\r\n\x85\u2028" for number in range(1000)]
    played = router.plays(says(*pieces))
    assert text_of(ask(client, played.model, stream=True)) == "".join(pieces)
    assert ask(client, played.model).choices[0].message.content == "".join(pieces)


def test_the_async_client_does_the_same(router):
    played = router.plays(says("Hel", "lo."))

    async def ask_in_both_ways():
        async with AsyncOpenAI(base_url=router.base_url, api_key=router.key) as client:
            whole = await ask(client, played.model)
            stream = await ask(client, played.model, stream=True)
            return whole, [chunk async for chunk in stream]

    whole, chunks = asyncio.run(ask_in_both_ways())
    assert whole.choices[0].message.content == text_of(chunks) == "Hello."


def test_the_async_client_may_ask_many_at_once(router):
    played = [router.plays(says(f"Answer {number}.")) for number in range(8)]

    async def ask_all():
        async with AsyncOpenAI(base_url=router.base_url, api_key=router.key) as client:
            return await asyncio.gather(*(ask(client, one.model) for one in played))

    told = [answer.choices[0].message.content for answer in asyncio.run(ask_all())]
    assert told == [f"Answer {number}." for number in range(8)]


def test_several_choices(router, client):
    played = router.plays(answers(choice(0, content="One."), choice(1, "length", content="Two, longer")))
    whole = ask(client, played.model, n=2)
    assert [(one.message.content, one.finish_reason) for one in whole.choices] == [
        ("One.", "stop"),
        ("Two, longer", "length"),
    ]
    texts = {0: "", 1: ""}
    reasons = {}
    for chunk in ask(client, played.model, n=2, stream=True):
        for one in chunk.choices:
            texts[one.index] += one.delta.content or ""
            reasons[one.index] = one.finish_reason or reasons.get(one.index)
    assert texts == {0: "One.", 1: "Two, longer"}
    assert reasons == {0: "stop", 1: "length"}
    assert [sent.body["n"] for sent in played.calls] == [2, 2]


# Tools.


def test_tool_calls_side_by_side_and_their_results(router, client):
    played = router.plays(in_turn(answers(TWO_CALLS), says("Rain and snow.")))
    asked = ask(client, played.model, tools=[WEATHER], parallel_tool_calls=True, tool_choice="auto")
    message = asked.choices[0].message
    assert asked.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["weather", "weather"]
    assert [weather.model_validate_json(call.function.arguments).city for call in message.tool_calls] == [*CITIES]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Rain."} for call in message.tool_calls]
    answer = client.chat.completions.create(
        model=played.model, messages=[*HELLO, message, *results], tools=[WEATHER], parallel_tool_calls=True
    )
    assert answer.choices[0].message.content == "Rain and snow."
    first, second = (sent.body for sent in played.calls)
    assert (first["tools"], first["parallel_tool_calls"], first["tool_choice"]) == ([WEATHER], True, "auto")
    _, called, *returned = second["messages"]
    assert called["tool_calls"] == TWO_CALLS["message"]["tool_calls"]
    assert returned == results


def test_streamed_tool_calls_are_put_together_by_the_sdk(router, client):
    played = router.plays(answers(TWO_CALLS, size=2))
    with client.chat.completions.stream(
        model=played.model, messages=HELLO, tools=[openai.pydantic_function_tool(weather)]
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert [event.parsed_arguments.city for event in done] == [*CITIES]
    calls = final.choices[0].message.tool_calls
    assert [(call.id, call.function.parsed_arguments.city) for call in calls] == [
        ("call_0", CITIES[0]),
        ("call_1", CITIES[1]),
    ]
    assert final.choices[0].finish_reason == "tool_calls"


def test_text_beside_a_call(router, client):
    played = router.plays(
        answers(choice(finish="tool_calls", content="Let me see.", tool_calls=[said.call(0, "Oslo")]))
    )
    message = ask(client, played.model, tools=[WEATHER]).choices[0].message
    assert (message.content, len(message.tool_calls)) == ("Let me see.", 1)


# Shapes of answers.


def test_json_mode(router, client):
    played = router.plays(answers(choice(content='{"name": "Oslo"}')))
    answer = ask(client, played.model, response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"name": "Oslo"}'
    assert played.sent["response_format"] == {"type": "json_object"}


def test_a_json_schema_is_handed_on_and_its_answer_parsed(router, client):
    played = router.plays(answers(choice(content='{"name": "Oslo", "people": 700000}')))
    answer = client.chat.completions.parse(model=played.model, messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Oslo", people=700_000)
    sent = played.sent["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["name"] == "City"
    assert sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"]["required"] == ["name", "people"]


def test_a_streamed_answer_is_parsed_too(router, client):
    played = router.plays(answers(choice(content='{"name": "Oslo", "people": 700000}'), size=4))
    with client.chat.completions.stream(model=played.model, messages=HELLO, response_format=City) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == City(name="Oslo", people=700_000)


def test_a_refusal_is_no_answer_but_a_refusal(router, client):
    played = router.plays(answers(choice(refusal="I can't help with that.")))
    message = client.chat.completions.parse(model=played.model, messages=HELLO, response_format=City).choices[0].message
    assert (message.parsed, message.refusal) == (None, "I can't help with that.")


def test_an_answer_cut_at_its_limit_is_named_so(router, client):
    played = router.plays(answers(choice(finish="length", content='{"name": "Os')))
    with pytest.raises(openai.LengthFinishReasonError) as told:
        client.chat.completions.parse(model=played.model, messages=HELLO, response_format=City, max_tokens=5)
    assert told.value.completion.choices[0].message.content == '{"name": "Os'


def test_images_reach_the_provider_as_they_were_sent(router, client):
    played = router.plays(says("A cat."))
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, said.IMAGE]}]
    answer = client.chat.completions.create(model=played.model, messages=messages)
    assert answer.choices[0].message.content == "A cat."
    assert played.sent["messages"] == messages


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_comes_with_the_answer(router, client, name):
    whole = choice(content="42", reasoning_content="Six times seven is …")
    if name == "reasoning":
        events = text_events("42")
        events[1:1] = [{**events[0], "choices": [{"index": 0, "delta": {name: "Six times seven is …"}}]}]
        played = router.plays(streams(*events))
    else:
        played = router.plays(answers(whole))
    message = ask(client, played.model, reasoning_effort="low").choices[0].message
    assert (message.content, getattr(message, name)) == ("42", "Six times seven is …")
    deltas = [chunk.choices[0].delta for chunk in ask(client, played.model, stream=True) if chunk.choices]
    assert "".join(getattr(delta, name, None) or "" for delta in deltas) == "Six times seven is …"
    assert played.calls[0].body["reasoning_effort"] == "low"


def test_logprobs(router, client):
    played = router.plays(answers(choice(content="Hello", logprobs={"content": said.TOKENS, "refusal": None})))
    whole = ask(client, played.model, logprobs=True, top_logprobs=0)
    assert [(token.token, token.logprob) for token in whole.choices[0].logprobs.content] == [
        ("Hel", -0.25),
        ("lo", -0.25),
    ]
    chunks = ask(client, played.model, logprobs=True, stream=True)
    found = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices]
    assert [token.token for part in found if part for token in part.content] == ["Hel", "lo"]
    assert played.calls[0].body["logprobs"] is True


# What is asked for.


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_asked_for_reaches_the_provider(router, client, streamed):
    played = router.plays(says("Hello."))
    asked = {
        "stop": ["\n", "END"],
        "seed": 7,
        "temperature": 0.3,
        "top_p": 0.9,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "logit_bias": {"50256": -100},
        "user": "someone",
        "service_tier": "default",
        "verbosity": "low",
    }
    answer = ask(
        client, played.model, stream=streamed, **asked, extra_body={"top_k": 40, "x_new": {"deep": [1.5, None]}}
    )
    list(answer)
    sent = played.sent
    assert {name: sent[name] for name in asked} == asked
    assert (sent["top_k"], sent["x_new"]) == (40, {"deep": [1.5, None]})


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_on_an_answer_has_two_names_and_goes_to_a_stranger_under_the_callers(router, client, name):
    played = router.plays(answers(choice(finish="length", content="Once upon a")))
    answer = ask(client, played.model, **{name: 3})
    assert answer.choices[0].finish_reason == "length"
    assert {sent: value for sent, value in played.sent.items() if "max_" in sent} == {name: 3}


def test_usage_and_cost_of_a_stream_come_in_its_last_chunk(router, client):
    played = router.plays(says("Hel", "lo."))
    *chunks, last = ask(client, played.model, stream=True, stream_options={"include_usage": True})
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (10, 5)
    assert (Decimal(str(last.usage.cost)), last.usage.cost_basis) == (COST, "exact")
    assert list(last.model_extra["x_router"]) == ["overhead_ms"]
    assert not any("x_router" in chunk.model_extra for chunk in chunks)


def test_a_stream_that_was_not_asked_for_usage_has_no_chunk_without_choices(router, client):
    """Code that takes `choices[0]` of each chunk must not fall over one."""
    played = router.plays(says("Hel", "lo."))
    assert all(chunk.choices for chunk in ask(client, played.model, stream=True))


def test_usage_and_cost_of_an_answer_in_one_piece(router, client):
    usage = ask(client, router.plays(says("Hello.")).model).usage
    assert {name: getattr(usage, name) for name in USAGE} == USAGE
    assert (Decimal(str(usage.cost)), usage.cost_basis) == (COST, "exact")


def test_wishes_of_the_router_go_in_extra_body(router, client):
    failing, able = router.plays(refuses(503)), router.plays(says("Second."))
    answer = ask(client, failing.model, extra_body={"models": [able.model]}, metadata={"team": "docs"})
    assert answer.choices[0].message.content == "Second."
    assert len(failing.calls) == 1
    assert not {"models", "metadata"} & able.sent.keys()


def test_what_no_model_can_do_is_a_bad_request_that_names_it(client):
    with pytest.raises(openai.BadRequestError, match="tools") as told:
        ask(client, f"{UNABLE}/model", tools=[WEATHER])
    assert told.value.code == "invalid_request"


def test_verified_delivery_is_a_header(router, client):
    failing, able = router.plays(said.breaks_off_after("Hel")), router.plays(says("Second", "."))
    verified = {"x-router-delivery": "verified"}
    fallback = {"models": [able.model]}
    stream = ask(client, failing.model, stream=True, extra_headers=verified, extra_body=fallback)
    assert text_of(stream) == "Second."


# What else can be asked.


def test_models_are_listed(client):
    models = {model.id: model for model in client.models.list()}
    assert {"auto", f"{STEADY}/model"} <= models.keys()
    assert models["auto"].owned_by == "llm-router"
    assert models[f"{STEADY}/model"].owned_by == STEADY
    assert {model.object for model in models.values()} == {"model"}


def test_headers_tell_what_served_and_what_it_cost(router, client):
    played = router.plays(says("Hello."))
    response = client.chat.completions.with_raw_response.create(model=played.model, messages=HELLO)
    headers = response.headers
    assert headers["x-router-provider"] == played.provider.name
    assert headers["x-router-model"] == played.model.partition("/")[2]
    assert Decimal(headers["x-router-cost-usd"]) == COST
    assert headers["x-router-cost-basis"] == "exact"
    assert headers["x-router-attempts"] == "1"
    assert response.parse()._request_id == headers["x-request-id"] == response.request_id
    assert response.retries_taken == 0


def test_a_streams_headers_tell_who_is_answering(router, client):
    played = router.plays(says("Hello."))
    with client.chat.completions.with_streaming_response.create(
        model=played.model, messages=HELLO, stream=True
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-router-provider"] == played.provider.name
        assert response.headers["x-request-id"]
        assert text_of(response.parse()) == "Hello."


# Errors.


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("script", "kind", "status", "code"),
    [
        (refuses(400, "context_length_exceeded"), openai.BadRequestError, 400, "context_length_exceeded"),
        (refuses(400, "content_filter"), openai.BadRequestError, 400, "content_filter"),
        (refuses(400, "unsupported", "temperature"), openai.BadRequestError, 400, "invalid_request"),
        (refuses(401, "invalid_api_key"), openai.InternalServerError, 502, "all_providers_failed"),
        (refuses(429, "insufficient_quota"), openai.InternalServerError, 502, "all_providers_failed"),
        (refuses(503), openai.InternalServerError, 502, "all_providers_failed"),
        (streams({"error": {"message": "no"}}), openai.InternalServerError, 502, "all_providers_failed"),
    ],
)
def test_errors_of_providers_are_the_sdks_own_exceptions(router, script, kind, status, code, streamed):
    """A provider that turns the router's key away says nothing about the caller's."""
    played = router.plays(script)
    with pytest.raises(kind) as told:
        ask(patient(router), played.model, stream=streamed)
    error = told.value
    assert type(error) is kind
    assert (error.status_code, error.code) == (status, code)
    assert error.request_id == error.response.headers["x-request-id"]
    assert [attempt["provider"] for attempt in error.response.json()["attempts"]] == [played.provider.name]
    assert "told by the provider" not in str(error)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("asked", "param"),
    [({"model": "nobody/nothing"}, "model"), ({"messages": []}, "messages"), ({"max_tokens": 0}, "max_tokens")],
)
def test_a_bad_request_names_its_field(client, asked, param, streamed):
    with pytest.raises(openai.BadRequestError) as told:
        client.chat.completions.create(**{"model": "auto", "messages": HELLO, "stream": streamed, **asked})
    error = told.value
    assert (error.param, error.code, error.type) == (param, "invalid_request", "invalid_request_error")


@pytest.mark.parametrize("key", ["llmr_aaaaaaaa_nothing", "sk-of-somebody-else"])
def test_a_key_of_nobody_is_an_authentication_error(router, key):
    client = OpenAI(base_url=router.base_url, api_key=key)
    for asking in (lambda: ask(client, "auto"), lambda: ask(client, "auto", stream=True), client.models.list):
        with pytest.raises(openai.AuthenticationError) as told:
            asking()
        assert (told.value.status_code, told.value.code) == (401, "invalid_api_key")


def test_a_door_that_is_not_there_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as told:
        client.completions.create(model="auto", prompt="Hello")
    assert told.value.code == "not_found"


def test_a_request_that_is_too_large_is_refused_with_413(router):
    with pytest.raises(openai.APIStatusError) as told:
        patient(router).chat.completions.create(model="auto", messages=[{"role": "user", "content": "A" * 6_000_000}])
    assert (told.value.status_code, told.value.code) == (413, "request_too_large")


def test_the_routes_deadline_is_a_server_error_with_504(router):
    played = router.plays_on_a_hasty_route(said.falls_silent_after())
    with pytest.raises(openai.InternalServerError) as told:
        ask(OpenAI(base_url=router.base_url, api_key=router.key), played.model)
    assert (told.value.status_code, told.value.code) == (504, "deadline_exceeded")
    assert len(played.calls) == 1, "asking again would only wait again"


# Retries.


def test_what_failed_everywhere_is_not_asked_again_by_the_sdk(router, client):
    played = router.plays(refuses(503))
    with pytest.raises(openai.InternalServerError):
        ask(client, played.model)
    assert client.max_retries > 0
    assert len(played.calls) == 1


def test_while_all_are_rate_limited_the_sdk_waits_as_it_is_told_and_asks_again(router):
    played = router.plays_on_a_hasty_route(in_turn(RATE_LIMITED, says("Now.")))
    response = patient(router, max_retries=2).chat.completions.with_raw_response.create(
        model=played.model, messages=HELLO
    )
    assert response.parse().choices[0].message.content == "Now."
    assert response.retries_taken >= 1
    assert len(played.calls) == 2


def test_a_rate_limit_without_retries_tells_when_to_come_again(router):
    played = router.plays(refuses(429, "rate_limit_exceeded", retry_after="600"))
    with pytest.raises(openai.InternalServerError) as told:
        ask(patient(router), played.model)
    assert (told.value.status_code, told.value.code) == (503, "no_provider_available")
    assert 1 <= int(told.value.response.headers["retry-after"]) <= 600


# In the middle of a stream.


@pytest.mark.parametrize("helper", [False, True])
def test_a_provider_that_breaks_off_in_the_middle_raises(router, client, helper):
    played = router.plays(said.breaks_off_after("Hel", "lo"))
    seen = []

    def read():
        if helper:
            with client.chat.completions.stream(model=played.model, messages=HELLO) as stream:
                seen.extend(event.delta for event in stream if event.type == "content.delta")
        else:
            seen.extend(chunk.choices[0].delta.content for chunk in ask(client, played.model, stream=True))

    with pytest.raises(openai.APIError) as told:
        read()
    assert told.value.code == "stream_broken"
    assert played.calls
    assert router.comes_to_know(played, attempts=1, failedAttempts=1)["cost"] > 0


def test_a_provider_that_breaks_off_raises_from_the_async_client(router):
    played = router.plays(said.breaks_off_after("Hel"))
    seen = []

    async def read():
        async with AsyncOpenAI(base_url=router.base_url, api_key=router.key) as client:
            async for chunk in await ask(client, played.model, stream=True):
                seen.append(chunk.choices[0].delta.content)  # noqa: PERF401  # what came before the error is kept

    with pytest.raises(openai.APIError) as told:
        asyncio.run(read())
    assert (seen, told.value.code) == (["Hel"], "stream_broken")


def test_a_break_before_the_first_content_is_invisible(router, client):
    failing, able = router.plays(said.breaks_off_after()), router.plays(says("Second."))
    stream = ask(client, failing.model, stream=True, extra_body={"models": [able.model]})
    assert text_of(stream) == "Second."


def test_a_caller_that_hangs_up_in_the_middle_is_not_paid_for_any_longer(router, client):
    played = router.plays(said.falls_silent_after("Hel", "lo"))
    stream = ask(client, played.model, stream=True)
    assert next(stream).choices[0].delta.content == "Hel"
    stream.close()
    assert played.comes_to_be_hung_up_on()
    figures = router.comes_to_know(played, attempts=1)
    assert figures["cost"] > 0
    assert figures["costBasis"]["estimated"] == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_a_caller_that_times_out_gets_its_own_exception_and_the_provider_is_let_go(router, streamed):
    played = router.plays(said.falls_silent_after())
    with pytest.raises(openai.APITimeoutError):
        ask(patient(router, timeout=1.0), played.model, stream=streamed)
    assert played.comes_to_be_hung_up_on()
    router.comes_to_know(played, attempts=1)


def test_a_silence_in_the_middle_is_a_timeout_of_the_callers(router):
    played = router.plays(said.falls_silent_after("Hel"))
    stream = ask(patient(router, timeout=1.0), played.model, stream=True)
    assert next(stream).choices[0].delta.content == "Hel"
    with pytest.raises(openai.APITimeoutError):
        next(stream)
    stream.close()
    assert played.comes_to_be_hung_up_on()


def test_comments_that_keep_the_line_open_are_passed_over(router, client):
    """They come when nothing else has for a while; then the answer."""
    gate = said.Gate()

    def script(wire):
        wire.begin()
        gate.pass_through()
        says("Hel", "lo.")(wire)

    played = router.plays(script)
    with client.chat.completions.with_streaming_response.create(
        model=played.model, messages=HELLO, stream=True
    ) as response:
        gate.set()  # the headers are here, and so is the first comment
        assert text_of(response.parse()) == "Hello."
