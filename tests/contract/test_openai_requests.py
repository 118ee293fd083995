"""What the adapter for OpenAI's format sends, for each provider as it is known."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import prompt
from llm_router import registry
from llm_router.adapters import openai
from llm_router.candidates import Auth, AuthKind, Candidate, Provider
from llm_router.prompts import Prompt, message
from llm_router.upstream import Streamed

KEY = "a-made-up-key"


def known(name):
    """A model at a provider as the registry describes it."""
    row = registry.PROVIDERS[name]
    host = Provider(
        name=name,
        base_url=row.base_url,
        auth=row.auth,
        timeout_s=60.0,
        output_cap_parameter=row.output_cap_parameter,
        refused_parameters=row.refused_parameters,
    )
    return Candidate(provider=host, model="some/model:7b", price=None)


GROQ, OPENAI = known("groq"), known("openai")


def built(asked=None, candidate=GROQ, key=KEY, **options):
    return openai.build(asked or prompt(), candidate=candidate, key=key, **options)


def body(asked=None, candidate=GROQ, **options):
    return json.loads(built(asked, candidate, **options).body, parse_float=Decimal)


@pytest.mark.parametrize("name", registry.PROVIDERS)
def test_chat_completions_stand_under_the_base_url(name):
    assert built(candidate=known(name)).url == f"{registry.PROVIDERS[name].base_url}/chat/completions"


def test_only_what_was_asked_for_is_sent():
    assert body() == {"model": "some/model:7b", "messages": [{"role": "user", "content": "Hello"}]}


def test_messages_keep_their_order_and_roles():
    asked = Prompt(messages=(message("system", "Be brief."), message("user", "Hello")))
    assert body(asked)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]


@pytest.mark.parametrize("name", registry.PROVIDERS)
def test_the_limit_on_the_answer_has_the_providers_own_name(name):
    sent = body(candidate=known(name), output_cap=50)
    own_name = "max_completion_tokens" if name == "openai" else "max_tokens"
    assert {field: value for field, value in sent.items() if field.startswith("max_")} == {own_name: 50}


@pytest.mark.parametrize("spelling", ["max_tokens", "max_completion_tokens"])
def test_a_provider_that_nobody_knows_gets_the_callers_spelling_of_the_limit(spelling):
    """Reasoning models behind a proxy refuse the one, small servers the other: the caller knows whom it asks."""
    unknown = replace(GROQ, provider=replace(GROQ.provider, output_cap_parameter=None))
    sent = body(prompt(output_cap_parameter=spelling), unknown, output_cap=50)
    assert {field: value for field, value in sent.items() if field.startswith("max_")} == {spelling: 50}


@pytest.mark.parametrize(
    ("streamed", "expected"),
    [
        (Streamed.NO, {}),
        (Streamed.YES, {"stream": True}),
        (Streamed.COUNTED, {"stream": True, "stream_options": {"include_usage": True}}),
    ],
)
def test_a_stream_is_asked_for_with_its_usage_or_without(streamed, expected):
    assert body(streamed=streamed) == body() | expected


@pytest.mark.parametrize("text", ["0", "0.7", "2", "0.30000000000000004", "1E-7"])
def test_a_temperature_is_sent_as_the_plain_number_it_is(text):
    sent = built(prompt(fields={"temperature": Decimal(text)})).body
    assert f'"temperature":{Decimal(text):f}'.encode() in sent


@pytest.mark.parametrize(
    "fields", [{"logit_bias": None}, {"logit_bias": {}}, {"logprobs": False}, {"top_logprobs": None}], ids=str
)
def test_a_parameter_that_the_provider_refuses_is_left_out_where_it_says_nothing(fields):
    assert body(prompt(fields=fields), GROQ) == body()


def test_a_parameter_that_says_something_is_never_left_out():
    """The plan passes such a provider over; should one be asked all the same, it is for it to refuse."""
    assert body(prompt(fields={"logit_bias": {"50256": -100}}), GROQ)["logit_bias"] == {"50256": -100}


def test_what_the_caller_asks_of_a_stream_goes_upstream_with_it():
    asked = prompt(stream_options={"include_obfuscation": False})
    sent = body(asked, OPENAI, streamed=Streamed.COUNTED)["stream_options"]
    assert sent == {"include_obfuscation": False, "include_usage": True}


def test_who_refuses_stream_options_gets_none():
    plain = replace(GROQ, provider=replace(GROQ.provider, refused_parameters=frozenset({"stream_options"})))
    assert body(candidate=plain, streamed=Streamed.COUNTED) == body() | {"stream": True}


@pytest.mark.parametrize(
    ("auth", "key", "expected"),
    [
        (Auth(AuthKind.BEARER), KEY, {"authorization": f"Bearer {KEY}"}),
        (Auth(AuthKind.HEADER, "x-api-key"), KEY, {"x-api-key": KEY}),
        (Auth(AuthKind.NONE), None, {}),
        (Auth(AuthKind.NONE), KEY, {}),
        (Auth(AuthKind.AWS_ROLE), KEY, {}),
        (Auth(AuthKind.BEARER), None, {}),
    ],
)
def test_a_key_is_sent_the_way_the_provider_wants_it_and_no_other(auth, key, expected):
    sent = built(candidate=replace(GROQ, provider=replace(GROQ.provider, auth=auth)), key=key)
    common = {"content-type": "application/json", "accept": "application/json"}
    assert sent.headers == common | expected
    assert KEY.encode() not in sent.body


def test_the_callers_metadata_and_routing_stay_here():
    asked = prompt(models=("auto",), metadata={"team": "search"})
    assert "metadata" not in body(asked, OPENAI)
    assert body(asked, OPENAI)["model"] == "some/model:7b"


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_sent_as_it_is(text):
    assert body(prompt(text))["messages"][0]["content"] == text
