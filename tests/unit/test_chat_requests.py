"""What is understood of a chat completions request, and what is handed on as it came."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import http_requests
from llm_router.candidates import Feature, Strategy
from llm_router.chat_requests import (
    CHOICES_AT_MOST,
    MESSAGES_AT_MOST,
    MODELS_AT_MOST,
    OURS,
    PARTS_AT_MOST,
    ChatRequest,
)
from llm_router.errors import InvalidRequestError
from llm_router.http_requests import TOKENS_AT_MOST
from llm_router.prompts import NO_WISHES, Wishes
from llm_router.provider_wishes import PROVIDERS_AT_MOST

HELLO = [{"role": "user", "content": "Hello"}]
TOOLS = [{"type": "function", "function": {"name": "find"}}]


def asked(**body):
    return http_requests.parsed({"messages": HELLO, **body}, ChatRequest)


def prompt(**body):
    return asked(**body).as_prompt()


def saying(*parts):
    return [{"role": "user", "content": list(parts)}]


TEXT = {"type": "text", "text": "What is it?"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def test_the_shortest_request_takes_the_default_route():
    found = prompt()
    assert found.models == ("auto",)
    assert found.messages == tuple(HELLO)
    assert (found.max_tokens, found.choices, found.fields, found.needs) == (None, 1, {}, frozenset())
    assert (found.strategy, found.wishes, found.metadata) == (None, NO_WISHES, {})


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"model": "fast"}, ("fast",)),
        ({"model": "fast", "models": ["dear", "groq/llama"]}, ("fast", "dear", "groq/llama")),
        ({"model": "fast", "models": ["fast", "dear", "dear"]}, ("fast", "dear")),
        ({"models": ["dear", "fast"]}, ("dear", "fast")),
        ({"models": []}, ("auto",)),
    ],
)
def test_models_are_asked_in_the_order_in_which_they_are_named_and_once(body, models):
    assert prompt(**body).models == models


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({"tools": TOOLS}, {Feature.TOOLS}),
        ({"functions": [{"name": "find"}]}, {Feature.TOOLS}),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
        ({"response_format": {"type": "json_object"}}, {Feature.JSON_MODE}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {Feature.JSON_SCHEMA}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "json"}, set()),
        ({"n": 1}, set()),
        ({"n": 2}, {Feature.SEVERAL_CHOICES}),
        ({"logprobs": True}, {Feature.LOGPROBS}),
        ({"logprobs": False}, set()),
        ({"messages": saying(TEXT)}, set()),
        ({"messages": saying(TEXT, IMAGE)}, {Feature.IMAGES}),
        ({"messages": [*HELLO, *saying(IMAGE), *HELLO]}, {Feature.IMAGES}),
        ({"messages": saying(AUDIO)}, {Feature.AUDIO}),
        ({"messages": saying({"type": {}}, {"type": ["text"]}, {"type": None}, IMAGE)}, {Feature.IMAGES}),
        ({"messages": saying(TEXT, {"type": "file", "file": {"file_id": "f"}})}, {Feature.FILES}),
        ({"messages": saying({"type": "input_file", "file_id": "f"}, IMAGE)}, {Feature.FILES, Feature.IMAGES}),
        ({"modalities": ["text", "audio"]}, {Feature.AUDIO}),
        ({"modalities": ["text"]}, set()),
        ({"modalities": "audio"}, set()),
        ({"n": 2, "tools": TOOLS, "logprobs": True}, {Feature.SEVERAL_CHOICES, Feature.TOOLS, Feature.LOGPROBS}),
    ],
)
def test_a_request_needs_what_it_uses(body, needs):
    assert prompt(**body).needs == needs


def test_wishes_are_read_as_openrouters_users_write_them():
    wishes = prompt(
        provider={
            "order": ["B", "a"],
            "only": ["a", "b"],
            "ignore": ["Cerebras"],
            "sort": {"by": "price", "partition": "none"},
            "max_price": {"prompt": "0.5", "completion": Decimal("1.25")},
            "allow_fallbacks": False,
        }
    ).wishes
    assert wishes == Wishes(
        order=("b", "a"),
        only=("a", "b"),
        ignore=("cerebras",),
        max_input=Decimal("0.5"),
        max_output=Decimal("1.25"),
        allows_fallbacks=False,
        across_models=True,
    )


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"data_collection": "deny"}, "provider.data_collection"),
        ({"zdr": True}, "provider.zdr"),
        ({"enforce_distillable_text": True}, "provider.enforce_distillable_text"),
        ({"quantizations": ["fp8"]}, "provider.quantizations"),
        ({"preferred_min_throughput": 50}, "provider.preferred_min_throughput"),
        ({"ordre": ["a"]}, "provider.ordre"),
        ({"max_price": {"request": 1}}, "provider.max_price.request"),
        ({"max_price": {"image": 0}}, "provider.max_price.image"),
    ],
)
def test_a_wish_that_would_have_to_be_ignored_is_refused_by_its_name(wishes, param):
    with pytest.raises(InvalidRequestError) as refused:
        prompt(provider=wishes)
    assert refused.value.param == param


def test_a_wish_for_what_is_done_anyway_is_granted():
    granted = {
        "data_collection": "allow",
        "zdr": False,
        "require_parameters": True,
        "quantizations": [],
        "max_price": {"request": None},
        "sort": {"partition": "model"},
    }
    assert prompt(provider=granted).wishes == NO_WISHES


@pytest.mark.parametrize(
    "nothing",
    [
        {"order": None, "only": None, "ignore": None, "allow_fallbacks": None, "max_price": None, "sort": None},
        {"max_price": {"prompt": None, "completion": None}, "data_collection": None, "zdr": None},
    ],
)
def test_a_wish_that_is_null_is_none(nothing):
    assert prompt(provider=nothing).wishes == NO_WISHES


@pytest.mark.parametrize("nobody", [{"model": None}, {"models": None}, {"model": None, "models": None}], ids=str)
def test_models_that_are_null_leave_the_choice_to_the_router(nobody):
    assert prompt(**nobody).models == ("auto",)
    assert prompt(**{"models": ["dear"], **nobody}).models == (("auto",) if "models" in nobody else ("dear",))


def test_what_is_asked_of_a_stream_beside_its_usage_is_handed_on():
    found = prompt(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert found.stream_options == {"include_obfuscation": False}


@pytest.mark.parametrize(
    ("body", "strategy"),
    [
        ({"provider": {"sort": "price"}}, Strategy.CHEAPEST),
        ({"provider": {"sort": "latency"}}, Strategy.FASTEST),
        ({"provider": {"sort": "throughput"}}, Strategy.FASTEST),
        ({"strategy": "priority"}, Strategy.PRIORITY),
        ({"strategy": "priority", "provider": {"sort": "price"}}, Strategy.PRIORITY),
        ({"provider": {"order": ["a"]}}, None),
        ({"provider": {"sort": {"by": "price"}}}, Strategy.CHEAPEST),
        ({"provider": {"sort": {"by": "latency", "partition": "none"}}}, Strategy.FASTEST),
        ({"provider": {"sort": {"by": None}}}, None),
        ({"provider": {"sort": None}}, None),
    ],
)
def test_sorting_is_a_strategy(body, strategy):
    assert prompt(**body).strategy is strategy


@pytest.mark.parametrize(
    ("body", "cap", "spelling"),
    [
        ({"max_tokens": 5}, 5, "max_tokens"),
        ({"max_completion_tokens": 7}, 7, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5, "max_tokens"),
        ({"max_tokens": None}, None, "max_tokens"),
    ],
)
def test_either_limit_caps_the_answer_and_the_newer_one_wins(body, cap, spelling):
    found = prompt(**body)
    assert (found.max_tokens, found.output_cap_parameter) == (cap, spelling)
    assert not {"max_tokens", "max_completion_tokens"} & found.fields.keys(), "sent under the provider's own name"


def test_metadata_may_be_as_long_as_openais():
    assert prompt(metadata={"n" * 64: "x" * 512}).metadata == {"n" * 64: "x" * 512}


def test_metadata_is_kept_here_and_handed_on_only_to_be_stored():
    assert prompt(metadata={"team": "a"}).metadata == {"team": "a"}
    assert "metadata" not in prompt(metadata={"team": "a"}).fields
    stored = prompt(metadata={"team": "a"}, store=True)
    assert stored.fields == {"store": True, "metadata": {"team": "a"}}


@pytest.mark.parametrize(
    ("options", "wants"),
    [
        (None, False),
        ({}, False),
        ({"include_usage": None}, False),
        ({"include_usage": False}, False),
        ({"include_usage": True}, True),
    ],
)
def test_a_chunk_of_usage_is_sent_to_who_asks_for_it(options, wants):
    assert asked(stream=True, stream_options=options).wants_usage is wants


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CHECKED = OURS | {"n", "store"}


@pytest.mark.parametrize(
    ("field", "granted", "asked_more"),
    [("usage", {"include": True}, {"include": True, "detail": "all"}), ("route", "fallback", "sort")],
)
def test_what_openrouters_users_get_anyway_is_not_handed_on(field, granted, asked_more):
    assert field not in prompt(**{field: granted}).fields
    assert prompt(**{field: asked_more}).fields[field] == asked_more


@given(
    st.dictionaries(st.text(min_size=1, max_size=12).filter(lambda name: name not in CHECKED), json_values, max_size=5)
)
def test_any_field_that_is_not_ours_is_handed_on_as_it_came(fields):
    found = prompt(**fields).fields
    assert found == fields
    assert repr(found) == repr(fields), "an integer stays one, and so does a decimal"


@given(
    st.dictionaries(st.text(max_size=8).filter(lambda name: name not in ("role", "content")), json_values, max_size=4)
)
def test_any_part_of_a_message_is_handed_on_as_it_came(parts):
    message = {"role": "assistant", "content": None, **parts}
    assert prompt(messages=[message]).messages == (message,)


def test_a_message_without_content_gets_none():
    message = {"role": "assistant", "tool_calls": []}
    assert prompt(messages=[message]).messages == (message,)


IMAGE_ALONE = [{"role": "user", "content": [IMAGE]}]
CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1"}]}


@pytest.mark.parametrize(
    "content",
    [{"content": None}, {}, {"content": ""}, {"content": " \n"}, {"content": []}, {"content": [{"type": "text"}]}],
)
def test_a_user_who_says_nothing_is_refused(content):
    with pytest.raises(InvalidRequestError) as refused:
        prompt(messages=[*HELLO, {"role": "user", **content}])
    assert refused.value.param == "messages"


@pytest.mark.parametrize(
    "messages",
    [
        IMAGE_ALONE,
        [*HELLO, CALLED, {"role": "tool", "tool_call_id": "call_1", "content": ""}],
        [{"role": "user", "content": ""}, *HELLO],
        [{"role": "system", "content": "Say something."}],
        [{"role": "developer", "content": ""}],
        [{"role": "user", "content": [{"type": "file", "file": {}}]}],
    ],
)
def test_others_may_be_silent_and_so_may_the_user_before(messages):
    assert prompt(messages=messages).messages == tuple(messages)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages.0"),
        ({"messages": [*HELLO, {"role": 1, "content": 5}]}, "messages.1.role"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role"),
        ({"messages": [*HELLO, {"role": "", "content": ""}]}, "messages.1.role"),
        ({"messages": [{"role": "user", "content": {"text": "Hello"}}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [TEXT, "Hello"]}]}, "messages.0.content.1"),
        ({"model": ""}, "model"),
        ({"models": "fast"}, "models"),
        ({"models": ["m"] * (MODELS_AT_MOST + 1)}, "models"),
        ({"n": 0}, "n"),
        ({"n": CHOICES_AT_MOST + 1}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": TOKENS_AT_MOST + 1}, "max_tokens"),
        ({"max_completion_tokens": Decimal("1.5")}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"strategy": "luck"}, "strategy"),
        ({"provider": "groq"}, "provider"),
        ({"provider": {"order": "groq"}}, "provider.order"),
        ({"provider": {"allow_fallbacks": "no"}}, "provider.allow_fallbacks"),
        ({"provider": {"max_price": {"prompt": -1}}}, "provider.max_price.prompt"),
        ({"provider": {"max_price": {"completion": "NaN"}}}, "provider.max_price.completion"),
        ({"metadata": {"team": 1}}, "metadata.team"),
        ({"metadata": {"team": "x" * 513}}, "metadata.team"),
        ({"metadata": {f"name{number}": "" for number in range(17)}}, "metadata"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_field(body, param):
    with pytest.raises(InvalidRequestError) as refused:
        asked(**body)
    assert refused.value.param == param


# One fault is enough: an error for each of two million wrong things would fill the memory.

WRONG = [1] * 5_000


@pytest.mark.parametrize(
    "body",
    [
        {"messages": WRONG},
        {"messages": [{"role": 1}] * 5_000},
        {"messages": [{"role": "user", "content": WRONG}]},
        {"models": WRONG},
        {"provider": {"order": WRONG}},
        {"provider": {"only": WRONG}},
        {"provider": {"ignore": WRONG}},
    ],
    ids=["messages", "roles", "parts", "models", "order", "only", "ignore"],
)
def test_a_list_is_read_up_to_its_first_fault(body):
    with pytest.raises(InvalidRequestError) as refused:
        asked(**body)
    assert refused.value.__cause__.error_count() == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": HELLO * (MESSAGES_AT_MOST + 1)}, "messages must have at most 10,000 entries."),
        ({"messages": saying(*[TEXT] * (PARTS_AT_MOST + 1))}, "messages.0.content must have at most 10,000 entries."),
        ({"models": ["m"] * (MODELS_AT_MOST + 1)}, "models must have at most 20 entries."),
        ({"provider": {"only": ["p"] * (PROVIDERS_AT_MOST + 1)}}, "provider.only must have at most 100 entries."),
    ],
    ids=["messages", "parts", "models", "providers"],
)
def test_a_list_has_its_bound_and_names_it(body, message):
    with pytest.raises(InvalidRequestError) as refused:
        asked(**body)
    assert refused.value.message == message


def test_lists_may_be_as_long_as_their_bounds():
    assert asked(messages=HELLO * MESSAGES_AT_MOST)
    assert asked(messages=saying(*[TEXT] * PARTS_AT_MOST), provider={"only": ["p"] * PROVIDERS_AT_MOST})
