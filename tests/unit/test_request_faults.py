"""A fault in a body is told at its place and in the house's words, whatever pydantic calls it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodies_of_any_kind import chats, generates
from llm_router import http_requests, request_faults
from llm_router.chat_requests import ChatRequest
from llm_router.errors import InvalidRequestError
from llm_router.http_requests import GenerateRequest, SwitchRequest


def refused(kind, body):
    with pytest.raises(InvalidRequestError) as caught:
        http_requests.parsed(body, kind)
    return caught.value


HELLO = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("messages", "param", "message"),
    [
        ([], "messages", "messages must not be empty."),
        ("Hello", "messages", "messages must be a list."),
        (["Hello"], "messages.0", "messages.0 must be a JSON object."),
        ([HELLO, {"content": "Hello"}], "messages.1.role", "messages.1.role is required."),
        ([{"role": ""}], "messages.0.role", "messages.0.role must not be empty."),
        (
            [{"role": "user", "content": 5}],
            "messages.0.content",
            "messages.0.content must be a string or a list of parts.",
        ),
        (
            [{"role": "user", "content": [{"type": "text"}, "Hello"]}],
            "messages.0.content.1",
            "messages.0.content.1 must be a JSON object.",
        ),
        (
            [{"role": "user", "content": {"[parts]": 1}}],
            "messages.0.content",
            "messages.0.content must be a string or a list of parts.",
        ),
    ],
)
def test_a_fault_in_a_message_is_told_at_its_place(messages, param, message):
    error = refused(ChatRequest, {"messages": messages})
    assert (error.param, error.message) == (param, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"provider": "openai"}, "provider must be a JSON object."),
        ({"provider": {"only": [1]}}, "provider.only.0 must be a string."),
        ({"provider": {"sort": "luck"}}, "provider.sort.by must be 'price', 'latency' or 'throughput'."),
        ({"provider": {"max_price": {"prompt": -1}}}, "provider.max_price.prompt must be at least 0."),
        ({"provider": {"max_price": {"prompt": "dear"}}}, "provider.max_price.prompt must be a number."),
        ({"provider": {"max_price": {"prompt": "NaN"}}}, "provider.max_price.prompt must be a number."),
        ({"provider": {"max_price": {"prompt": []}}}, "provider.max_price.prompt must be a number."),
        ({"n": 0}, "n must be at least 1."),
        ({"n": 129}, "n must be at most 128."),
        ({"max_tokens": 10**200}, "max_tokens must be at most 10,000,000."),
        ({"stream": "yes"}, "stream must be true or false."),
        ({"metadata": []}, "metadata must be a JSON object."),
        ({"metadata": {"team": 1}}, "metadata.team must be a string."),
        ({"metadata": {"team": "x" * 513}}, "metadata.team must have at most 512 characters."),
        ({"metadata": {"x" * 65: ""}}, "A name in metadata must have at most 64 characters."),
        ({"metadata": {"": ""}}, "A name in metadata must not be empty."),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata must have at most 16 entries."),
    ],
)
def test_a_fault_in_a_chat_request_is_told_in_plain_words(body, message):
    assert refused(ChatRequest, {"messages": [HELLO], **body}).message == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"temperature": 3}, "temperature must be at most 2."),
        ({"temperature": []}, "temperature must be a number."),
        ({"temperature": "0.5"}, "temperature must be a number."),
        ({"strategy": "luck"}, "strategy must be 'cheapest', 'fastest' or 'priority'."),
        ({"optimize": 1}, "optimize must be 'off', 'safe' or 'trim'."),
        ({"colour": 1}, "colour is not a known field."),
    ],
)
def test_a_fault_in_a_simple_request_is_told_in_plain_words(body, message):
    assert refused(GenerateRequest, {"prompt": "Hello", **body}).message == message


def test_a_wrong_name_is_told_of_its_mapping():
    assert refused(GenerateRequest, {"prompt": "Hello", "metadata": {"x" * 65: ""}}).param == "metadata"


def test_a_fault_in_a_switch_is_told_in_plain_words():
    assert refused(SwitchRequest, {"enabled": True, "reason": "x" * 201}).message == (
        "reason must have at most 200 characters."
    )


def fault(kind, body):
    try:
        http_requests.parsed(body, kind).as_prompt()
    except InvalidRequestError as error:
        return error
    return None


ASKED = st.tuples(st.just(ChatRequest), chats) | st.tuples(st.just(GenerateRequest), generates)


@given(ASKED)
def test_every_fault_of_any_body_has_words_of_its_own(asked):
    error = fault(*asked)
    if error:
        assert not error.message.endswith(request_faults.WORDLESS.removeprefix("{field}"))
        assert (error.param or "The body") in error.message
