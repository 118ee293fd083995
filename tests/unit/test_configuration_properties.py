"""Whatever stands in providers.yaml, it is taken or reported; and no report repeats a key."""

import json
import re
import string

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_router import configuration
from llm_router.candidates import Configuration
from llm_router.catalogue import Catalogue
from llm_router.errors import ConfigurationError

CATALOGUE = Catalogue()
VALID = """\
providers:
  - name: groq
    base_url: https://api.groq.com/openai/v1
    auth: {header: x-api-key}
    timeout_s: 60
    models:
      - name: llama-3.1-8b-instant
        context_window: 131072
        price: {input: 0.05, cached_input: 0.025, output: 0.08}
  - {name: mine, base_url: 'http://localhost:1/v1', model: m, cost_per_1k_tokens: 0.001, timeout: 5}
routes:
  auto:
    candidates: [groq/llama-3.1-8b-instant, mine/m]
    strategy: cheapest
    optimize: off
    baseline: mine/m
"""

names = st.sampled_from(
    [
        "providers",
        "routes",
        "name",
        "base_url",
        "auth",
        "models",
        "model",
        "price",
        "input",
        "output",
        "timeout_s",
        "candidates",
        "strategy",
        "baseline",
        "auto",
        "header",
        "context_window",
        "cost_per_1k_tokens",
        "api_key",
    ]
)
words = st.sampled_from(
    ["groq", "openai", "gpt-4o-mini", "groq/x", "https://a.example", "bearer", "unknown", "auto", ""]
)
scalars = words | st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text(max_size=20)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | scalars, inner, max_size=5),
    max_leaves=30,
)
keys = st.builds(
    lambda prefix, digit, rest: f"{prefix}{digit}{rest}",
    st.sampled_from(["sk-", "sk-proj-", "gsk_", "xai-", ""]),
    st.sampled_from(string.digits),
    st.text(string.ascii_letters + string.digits, min_size=20, max_size=60),
)

# Where an operator could put a key by mistake; each KEY is replaced.
PLACES = [
    "providers: [{name: groq, api_key: KEY, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, apikey: [KEY], models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, KEY: KEY, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, 'Bearer KEY': 1, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, auth: KEY, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, auth: bearer KEY, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, auth: {bearer: KEY}, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, auth: {header: 'x KEY'}, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, auth: {header: x, value: KEY}, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, auth: 'header: KEY:', models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, base_url: 'https://KEY@a.example', models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, base_url: 'https://a.example/?k=KEY', models: [llama-3.1-8b-instant]}]",
    "providers: [{name: groq, base_url: 'KEY', models: [llama-3.1-8b-instant]}]",
    "providers: [{name: KEY, models: [llama-3.1-8b-instant]}]",
    "providers: [{name: KEY}, {name: KEY}]",
    "providers: [{name: groq, models: [KEY]}]",
    "providers: [{name: groq, models: [KEY, KEY]}]",
    "providers: [{name: groq, models: [{name: llama-3.1-8b-instant, api_key: KEY}]}]",
    "providers: [{name: groq, models: [{name: llama-3.1-8b-instant, price: KEY}]}]",
    "providers: [{name: groq, models: [{name: llama-3.1-8b-instant, price: {input: KEY, output: KEY, KEY: 1}}]}]",
    "providers: [{name: groq, timeout_s: KEY, models: [llama-3.1-8b-instant]}]",
    "providers: KEY",
    "KEY",
    "- KEY",
    "KEY: KEY",
    "KEY: 1\nKEY: 2",
    "api_key: KEY",
    "providers: *KEY",
    "providers: !KEY x",
    "providers: !<KEY> x",
    "%KEY x\n--- a",
    "providers: {KEY",
    "providers: 'KEY",
    "api_key: KEY: KEY",
    "api_key: @KEY",
    "api_key: \tKEY\n\t- KEY",
    "? [KEY]\n: KEY",
    VALID + "  KEY: {candidates: [KEY]}",
    VALID + "  other: {candidates: [groq/KEY, KEY], strategy: KEY, baseline: KEY, KEY: 1, api_key: KEY}",
    VALID + "  other: {candidates: [mine/m], delivery: KEY, optimize: KEY, on_content_filter: KEY, timeout_s: KEY}",
    "providers: [{name: groq, models: [{name: KEY, price: unknown}]}]\nroutes: {auto: {candidates: [groq/KEY0]}}",
]


def outcome(text):
    """The configuration, or the report: nothing else may come out."""
    try:
        result = configuration.parse(text, source="providers.yaml", catalogue=CATALOGUE)
    except ConfigurationError as error:
        result = error
    if isinstance(result, ConfigurationError):
        assert result.problems
        assert all(problem.strip() and "\n" not in problem for problem in result.problems)
    else:
        assert isinstance(result, Configuration)
        assert result.candidates
        assert all(route.candidates for route in result.routes.values())
    return result


@given(st.text(max_size=200))
def test_any_text_is_taken_or_reported(text):
    outcome(text)


@given(trees)
def test_any_yaml_is_taken_or_reported(tree):
    outcome(yaml.safe_dump(tree, allow_unicode=True))


@given(st.lists(trees, max_size=3), st.dictionaries(names, trees, max_size=3))
def test_any_providers_and_routes_are_taken_or_reported(providers, routes):
    outcome(yaml.safe_dump({"providers": providers, "routes": routes}))


@given(st.data())
@settings(max_examples=300)
def test_any_damage_to_a_valid_file_is_taken_or_reported(data):
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.text(max_size=6) | words) + text[end:]
    outcome(text)


@pytest.mark.parametrize("place", PLACES)
@given(key=keys)
@settings(max_examples=15)
def test_no_report_repeats_a_key(place, key):
    result = outcome(place.replace("KEY", key))
    said = str(result) if isinstance(result, ConfigurationError) else json.dumps(result.notices)
    assert key not in said
    assert key[-16:] not in said


@given(keys)
def test_nothing_of_a_key_comes_along_with_the_error(key):
    """A traceback prints the errors that led to this one, and PyYAML's quote the file."""
    result = outcome(f"providers: [{{name: groq, api_key: {key}, models: ]")
    assert isinstance(result, ConfigurationError)
    assert result.__cause__ is None
    assert result.__context__ is None


@given(st.decimals(min_value=0, max_value=1_000_000, places=6, allow_nan=False), st.integers(0, 1_000_000))
def test_any_ordinary_price_arrives_digit_by_digit(decimal, whole):
    assume(re.fullmatch(r"\d+\.\d+", f"{decimal:f}"))
    text = f"providers: [{{name: openai, models: [{{name: m, price: {{input: {decimal:f}, output: {whole}}}}}]}}]"
    (candidate,) = outcome(text).candidates
    assert candidate.price.input == decimal
    assert candidate.price.output == whole
