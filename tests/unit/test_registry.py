"""Known providers: what their name alone brings."""

import re

import pytest

from llm_router import registry, upstream_addresses
from llm_router.adapters import openai_dialects
from llm_router.candidates import AuthKind, Feature


@pytest.mark.parametrize("name", registry.PROVIDERS)
def test_every_row_could_stand_in_a_configuration(name):
    row = registry.PROVIDERS[name]
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name)
    assert upstream_addresses.fault(row.base_url) is None
    assert not row.base_url.endswith("/")
    assert row.auth.kind is (AuthKind.NONE if name == "ollama" else AuthKind.BEARER)


@pytest.mark.parametrize("dialect", openai_dialects.DIALECTS)
def test_each_way_of_telling_errors_is_some_providers(dialect):
    rows = [*registry.PROVIDERS.values(), *registry.LAYERS.values()]
    assert [row.dialect for row in rows].count(dialect) == 1


def test_a_second_format_is_known_by_its_address_alone():
    assert registry.known("anthropic") is None
    for name in ("anthropic", "claude"):
        assert registry.known(name, base_url="https://api.anthropic.com/v1") is registry.LAYERS["anthropic"]


def test_groq_is_spared_the_parameters_it_refuses():
    assert registry.PROVIDERS["groq"].refused_parameters == {"logit_bias", "logprobs", "top_logprobs"}
    assert registry.PROVIDERS["groq"].lacks == {Feature.LOGPROBS, Feature.SEVERAL_CHOICES, Feature.FILES}


def test_ollama_is_not_asked_for_what_it_takes_no_notice_of():
    assert registry.PROVIDERS["ollama"].refused_parameters == {"logit_bias"}
    assert registry.PROVIDERS["ollama"].lacks == {Feature.SEVERAL_CHOICES, Feature.FILES}


def test_openai_has_its_own_name_for_the_output_cap():
    assert registry.PROVIDERS["openai"].output_cap_parameter == "max_completion_tokens"


def test_a_second_account_is_known_by_its_providers_host():
    assert registry.known("groq-eu", base_url="https://api.groq.com/openai/v1") is registry.PROVIDERS["groq"]


def test_a_known_name_keeps_its_ways_behind_another_address():
    assert registry.known("groq", base_url="http://127.0.0.1:9000/v1") is registry.PROVIDERS["groq"]


@pytest.mark.parametrize("base_url", [None, "https://llm.example.com/v1", "http://localhost:11434/v1"])
def test_nothing_is_known_of_another_name_elsewhere(base_url):
    assert registry.known("mine", base_url=base_url) is None
