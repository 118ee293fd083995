"""Bodies that a caller might send: any JSON, and right bodies with some of their fields replaced by any JSON."""

from __future__ import annotations

from hypothesis import strategies as st

from llm_router.chat_requests import ChatRequest, ProviderWishes
from llm_router.http_requests import GenerateRequest, SwitchRequest

UNCHECKED = ("tools", "functions", "response_format", "modalities", "search_parameters", "service_tier", "logprobs")
"""Fields of a chat request that the router looks into without having checked their form."""

INSIDE = ("role", "content", "type", "text", "function", "name", "mode", "include_usage", "prompt", "completion")

_names = st.sampled_from([*INSIDE, *ProviderWishes.model_fields])
_words = st.sampled_from(["auto", "user", "text", "image_url", "function", "json_schema", "audio", "cheapest", "off"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _words | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
_typed = st.fixed_dictionaries({"type": st.sampled_from([{}, ["text"], 1, None, "text", "image_url", "function"])})
_parts = st.lists(_typed | st.dictionaries(_names, anything, max_size=3), min_size=1, max_size=3)
_messages = st.lists(st.fixed_dictionaries({"role": _words, "content": _parts | anything}), min_size=1, max_size=3)


def _changed(right, names):
    values = anything | _typed | _parts
    return st.dictionaries(st.sampled_from(sorted(names)), values, max_size=3).map(lambda found: {**right, **found})


HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
chats = st.one_of(
    _changed(HELLO, {*ChatRequest.model_fields, *UNCHECKED, "colour"}),
    _messages.map(lambda found: {"messages": found}),
    st.dictionaries(st.sampled_from(UNCHECKED), _typed | _parts, max_size=3).map(lambda found: {**HELLO, **found}),
)
generates = _changed({"prompt": "Hello"}, {*GenerateRequest.model_fields, "colour"})
switches = _changed({"enabled": True}, {*SwitchRequest.model_fields, "colour"})
