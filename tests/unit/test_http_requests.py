"""What callers may send to `POST /generate`: every fault named with the field that has it."""

import asyncio
import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from llm_router import http_requests, json_text
from llm_router.candidates import Strategy
from llm_router.errors import InvalidRequestError, RequestTooLargeError
from llm_router.http_requests import GenerateRequest
from llm_router.prompts import message

MAX_BYTES = 1000


def read(body, *, chunk_bytes=100, max_bytes=MAX_BYTES, read_chunks=None, **headers):
    """Read a body that arrives in chunks; `read_chunks` notes each that was asked for."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    chunks = [content[at : at + chunk_bytes] for at in range(0, len(content), chunk_bytes)] or [b""]
    left = list(chunks)

    async def receive():
        chunk = left.pop(0)
        if read_chunks is not None:
            read_chunks.append(chunk)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/generate", "query_string": b"", "headers": raw}
    return asyncio.run(http_requests.read_json(Request(scope, receive), GenerateRequest, max_bytes=max_bytes))


def refused(body, kind=InvalidRequestError, **options):
    with pytest.raises(kind) as caught:
        read(body, **options).as_prompt()
    return caught.value


# What is fine.


def test_a_prompt_is_enough():
    made = read({"prompt": "Hello"}).as_prompt()
    assert made.messages == (message("user", "Hello"),)
    assert made.models == ("auto",)
    assert (made.max_tokens, made.fields, made.strategy) == (None, {}, None)
    assert made.metadata == {}


def test_every_field_reaches_the_prompt():
    body = {
        "prompt": "Hello",
        "system": "Be brief.",
        "model": "groq/llama-3.1-8b-instant",
        "max_tokens": 50,
        "temperature": 0.7,
        "strategy": "fastest",
        "optimize": "off",
        "metadata": {"team": "search", "empty": ""},
    }
    made = read(body).as_prompt()
    assert made.messages == (message("system", "Be brief."), message("user", "Hello"))
    assert made.models == ("groq/llama-3.1-8b-instant",)
    assert (made.max_tokens, made.fields, made.strategy) == (50, {"temperature": Decimal("0.7")}, Strategy.FASTEST)
    assert made.metadata == {"team": "search", "empty": ""}


@pytest.mark.parametrize("name", ["system", "max_tokens", "temperature", "strategy", "optimize", "metadata"])
def test_null_is_as_good_as_nothing(name):
    assert read({"prompt": "Hello", name: None}).as_prompt() == read({"prompt": "Hello"}).as_prompt()


@pytest.mark.parametrize("text", ["0", "2", "0.1", "0.30000000000000004", "1e-2"])
def test_a_temperature_is_the_decimal_that_was_sent(text):
    made = read(b'{"prompt": "Hello", "temperature": ' + text.encode() + b"}").as_prompt()
    assert made.fields["temperature"] == Decimal(text)


@pytest.mark.parametrize("text", ["  Hello\n", "é", "日本語", "🙂", "a\u0000b"])
def test_text_arrives_as_it_was_sent(text):
    assert read({"prompt": text}).as_prompt().messages[0]["content"] == text


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_any_content_type_is_read(content_type):
    assert read({"prompt": "Hello"}, content_type=content_type).prompt == "Hello"


@pytest.mark.parametrize("asked", [None, "off", "safe", "trim"])
def test_what_may_be_done_to_the_prompt_is_the_callers_to_say(asked):
    assert read({"prompt": "Hello", "optimize": asked}).as_prompt().optimize == asked


# What is not.


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "\n\t "}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": True}, "prompt"),
        ({"prompt": ["Hello"]}, "prompt"),
        ({"prompt": {"text": "Hello"}}, "prompt"),
        ({"prompt": "Hello", "system": ""}, "system"),
        ({"prompt": "Hello", "system": 1}, "system"),
        ({"prompt": "Hello", "model": ""}, "model"),
        ({"prompt": "Hello", "model": None}, "model"),
        ({"prompt": "Hello", "model": ["auto"]}, "model"),
        ({"prompt": "Hello", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "Hello", "max_tokens": -1}, "max_tokens"),
        ({"prompt": "Hello", "max_tokens": 1.5}, "max_tokens"),
        ({"prompt": "Hello", "max_tokens": "10"}, "max_tokens"),
        ({"prompt": "Hello", "max_tokens": True}, "max_tokens"),
        ({"prompt": "Hello", "max_tokens": 10**200}, "max_tokens"),
        ({"prompt": "Hello", "temperature": -0.1}, "temperature"),
        ({"prompt": "Hello", "temperature": 2.1}, "temperature"),
        ({"prompt": "Hello", "temperature": "hot"}, "temperature"),
        ({"prompt": "Hello", "temperature": "0.5"}, "temperature"),
        ({"prompt": "Hello", "temperature": True}, "temperature"),
        ({"prompt": "Hello", "temperature": [1]}, "temperature"),
        ({"prompt": "Hello", "strategy": "best"}, "strategy"),
        ({"prompt": "Hello", "strategy": 1}, "strategy"),
        ({"prompt": "Hello", "optimize": "much"}, "optimize"),
        ({"prompt": "Hello", "metadata": "search"}, "metadata"),
        ({"prompt": "Hello", "metadata": {"team": 7}}, "metadata.team"),
        ({"prompt": "Hello", "metadata": {"team": "x" * 513}}, "metadata.team"),
        ({"prompt": "Hello", "metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"prompt": "Hello", "temprature": 1}, "temprature"),
        ({"prompt": "Hello", "api_key": "x"}, "api_key"),
    ],
    ids=lambda part: json.dumps(part)[:60] if isinstance(part, dict) else part,
)
def test_a_fault_is_told_with_the_field_that_has_it(body, param):
    error = refused(body)
    assert (error.status, error.code, error.param) == (400, "invalid_request", param)
    assert error.message.startswith(param)
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "prompt is required."),
        ({"prompt": ""}, "prompt must not be empty."),
        ({"prompt": "  "}, "prompt must not be empty."),
        ({"prompt": 7}, "prompt must be a string."),
        ({"prompt": "Hello", "max_tokens": "10"}, "max_tokens must be a whole number."),
        ({"prompt": "Hello", "colour": 1}, "colour is not a known field."),
        ([], "The body must be a JSON object."),
        ("Hello", "The body must be a JSON object."),
        (None, "The body must be a JSON object."),
        (7, "The body must be a JSON object."),
    ],
)
def test_a_fault_is_told_in_plain_words(body, message):
    assert refused(body).message == message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'prompt': 'Hello'}",
        b"prompt=Hello",
        b'{"prompt": NaN}',
        b"\xff\xfe{}",
        b"[" * 900,
        b"1e99999999999999999999",
    ],
)
def test_what_is_no_json_is_told(body):
    error = refused(body)
    assert (error.status, error.code, error.message) == (400, "invalid_request", "The body is not valid JSON.")


@pytest.mark.parametrize("temperature", ["1e-999999", "1e-99999"])
def test_a_temperature_is_not_written_out_in_a_million_digits(temperature):
    error = refused(b'{"prompt": "Hello", "temperature": ' + temperature.encode() + b"}")
    assert (error.status, error.message) == (400, "The body is not valid JSON.")


SURROGATE = rb"\ud800"


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "a' + SURROGATE + b'b"}',
        b'{"prompt": "Hello", "system": "' + SURROGATE + b'"}',
        b'{"prompt": "Hello", "model": "' + SURROGATE + b'"}',
        b'{"prompt": "Hello", "metadata": {"team": "' + SURROGATE + b'"}}',
        b'{"prompt": "Hello", "metadata": {"' + SURROGATE + b'": "x"}}',
        b'{"prompt": "Hello", "' + SURROGATE + b'": "x"}',
    ],
)
def test_half_a_character_is_refused_and_not_repeated(body):
    error = refused(body)
    assert error.status == 400
    json_text.encode({"message": error.message, "param": error.param}).decode("utf-8")


@pytest.mark.parametrize(
    "body",
    [{"prompt": "Hello", "x" * 900: 1}, {"prompt": "Hello", "metadata": {"y" * 900: "x"}}],
    ids=["field", "metadata"],
)
def test_a_long_name_is_not_repeated_in_full(body):
    error = refused(body)
    assert len(error.message) + len(error.param) < 500


def test_no_error_repeats_what_was_sent():
    secret = "a private sentence"  # no credential: it stands for a prompt
    for body in (
        {"prompt": [secret]},
        {"prompt": "x", "strategy": secret},
        {"prompt": "x", "metadata": {"team": [secret]}},
    ):
        assert secret not in refused(body).message


# Size.


def body_of(size):
    empty = len(json.dumps({"prompt": ""}))
    return json.dumps({"prompt": "x" * (size - empty)}).encode()


def test_a_body_may_have_as_many_bytes_as_allowed():
    assert read(body_of(MAX_BYTES), content_length=str(MAX_BYTES)).prompt.startswith("x")


def test_a_body_that_is_too_large_is_refused_after_its_end_so_that_its_sender_hears_of_it():
    chunks = []
    error = refused(body_of(10 * MAX_BYTES), RequestTooLargeError, read_chunks=chunks)
    assert (error.status, error.code) == (413, "request_too_large")
    assert error.message == "The body is larger than 1,000 bytes."
    assert sum(map(len, chunks)) == 10 * MAX_BYTES


def test_a_body_without_end_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(http_requests, "DROPPED_AT_MOST", 2 * MAX_BYTES)
    chunks = []
    refused(body_of(10 * MAX_BYTES), RequestTooLargeError, read_chunks=chunks)
    assert sum(map(len, chunks)) <= 3 * MAX_BYTES + 100


@pytest.mark.parametrize("declared", ["", "0", "-1", "many", "²", "1e3", "99999999999"])
def test_a_declared_size_does_not_replace_counting(declared):
    refused(body_of(MAX_BYTES + 1), RequestTooLargeError, content_length=declared)
    assert read(body_of(MAX_BYTES), content_length=declared)


# Any body at all.

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from([*GenerateRequest.model_fields, "other"])


@settings(deadline=None)
@given(anything | st.dictionaries(names, anything, max_size=5) | st.binary(max_size=200))
def test_every_body_is_a_prompt_or_an_invalid_request(body):
    answered = []
    with contextlib.suppress(InvalidRequestError):
        answered.append(read(body, max_bytes=100_000).as_prompt())
    assert all(made.messages[-1]["content"].strip() for made in answered)
