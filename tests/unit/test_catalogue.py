"""The catalogue: what it says, and what must hold for every row of the file that is shipped."""

import json
import re
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from infra.prices import limits
from llm_router import registry
from llm_router.candidates import Feature, Price, Rates
from llm_router.catalogue import CATALOGUE_FILE, Catalogue, Row, age_notice

RATES = {rate.name for rate in fields(Rates)}
LIMITS = {"context_window", "max_output_tokens", "first_token_timeout_s", "idle_timeout_s"}
STRUCTURE = {"tiers", "changes", "service_tiers", "lacks"}
DEARER_FROM_THE_CACHE = {"openrouter/~deepseek/deepseek-pro-latest"}
"""As published."""

OF_OTHER_FORMATS = {"anthropic", "bedrock"}
"""Priced already; the router does not speak with them yet."""


def shipped_rows():
    document = json.loads(CATALOGUE_FILE.read_text())
    return [
        (name, model, models[row] if isinstance(row, str) else row)
        for name, models in document["providers"].items()
        for model, row in models.items()
    ]


def test_every_shipped_row_is_an_exact_price_and_known_limits():
    catalogue = Catalogue()
    for provider, model, row in shipped_rows():
        candidate = f"{provider}/{model}"
        assert provider in registry.PROVIDERS.keys() | OF_OTHER_FORMATS, candidate
        assert {"input", "output"} <= row.keys() <= RATES | LIMITS | STRUCTURE, candidate
        assert all(re.fullmatch(r"\d+(\.\d+)?", row[rate]) for rate in RATES & row.keys()), candidate
        assert all(type(row[limit]) is int and row[limit] > 0 for limit in LIMITS & row.keys()), candidate
        price = catalogue.row(provider, model).price
        assert (price.input > 0 and price.output > 0) or model.endswith(":free"), candidate
        is_odd = candidate in DEARER_FROM_THE_CACHE
        assert price.cached_input is None or (price.cached_input > price.input) is is_odd, candidate
        assert price.source.startswith("genai-prices "), candidate
        assert price.as_of == catalogue.as_of, candidate


def test_the_shipped_file_is_as_its_command_writes_it():
    rows = shipped_rows()
    assert len(rows) > 300
    assert rows == sorted(rows, key=lambda row: row[:2])
    assert len({row[:2] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("provider", "model", "rates"),
    [  # as the providers publish them: https://groq.com/pricing, https://openai.com/api/pricing
        ("groq", "llama-3.1-8b-instant", ("0.05", None, "0.08")),
        ("groq", "llama-3.3-70b-versatile", ("0.59", None, "0.79")),
        ("openai", "gpt-4o-mini", ("0.15", "0.075", "0.6")),
        ("openai", "gpt-4o", ("2.5", "1.25", "10")),
        ("openai", "gpt-4.1-nano", ("0.1", "0.025", "0.4")),
    ],
)
def test_published_prices_are_met_to_the_last_digit(provider, model, rates):
    price = Catalogue().row(provider, model).price
    expected = tuple(None if rate is None else Decimal(rate) for rate in rates)
    assert (price.input, price.cached_input, price.output) == expected


@pytest.mark.parametrize(
    ("model", "takes_schemas"),
    [  # https://console.groq.com/docs/structured-outputs
        ("openai/gpt-oss-20b", True),
        ("openai/gpt-oss-120b", True),
        ("qwen/qwen3.8-27b", True),
        ("llama-3.1-8b-instant", False),
        ("llama-3.3-70b-versatile", False),
        ("qwen/qwen3-32b", False),
    ],
)
def test_it_is_known_which_of_groqs_models_take_schemas(model, takes_schemas):
    assert (Feature.JSON_SCHEMA not in Catalogue().row("groq", model).lacks) is takes_schemas


def test_what_two_lines_say_that_a_model_lacks_is_put_together(tmp_path):
    file = tmp_path / "limits.json"
    lines = [
        {"provider": "p", "models": [pattern], "source": "s", "lacks": lacks}
        for pattern, lacks in (("one", ["images", "audio"]), ("*", ["audio", "json_schema"]))
    ]
    file.write_text(json.dumps({"sources": {"s": {}}, "limits": lines}))
    models = limits.completed({"p": {"one": {"lacks": ["n"]}, "other": {}}}, file=file)["p"]
    assert models["one"]["lacks"] == ["n", "images", "audio", "json_schema"]
    assert models["other"]["lacks"] == ["audio", "json_schema"]


def test_a_row_is_its_price_with_source_and_day_and_its_limits(tmp_path):
    file = tmp_path / "catalogue.json"
    row = {"input": "0.1", "cached_input": "0.05", "output": "0.4", "context_window": 10, "max_output_tokens": 5}
    file.write_text(json.dumps({"source": "s", "as_of": "2026-11-03", "providers": {"p": {"m": row}}}))
    price = Price(Decimal("0.1"), Decimal("0.4"), Decimal("0.05"), source="s", as_of=date(2026, 11, 3))
    assert Catalogue(file).row("p", "m") == Row(price, 10, 5)


def test_a_row_may_have_a_source_and_a_day_of_its_own(tmp_path):
    file = tmp_path / "catalogue.json"
    row = {"input": "1", "output": "2", "source": "by hand", "as_of": "2026-11-20"}
    file.write_text(json.dumps({"source": "s", "as_of": "2026-11-03", "providers": {"p": {"m": row}}}))
    price = Catalogue(file).row("p", "m").price
    assert (price.source, price.as_of, price.cached_input) == ("by hand", date(2026, 11, 20), None)


@pytest.mark.parametrize(("provider", "model"), [("groq", "no-such-model"), ("no-such-provider", "gpt-4o-mini")])
def test_what_the_catalogue_does_not_know_has_no_row(provider, model):
    assert Catalogue().row(provider, model) is None


@pytest.mark.parametrize(
    "model",
    [
        "text-embedding-3-small",
        "gpt-4o-mini-search-preview",  # a fee for each call
        "gpt-realtime",
        "gpt-oss-20b",  # not hosted by its maker
    ],
)
def test_what_is_no_chat_model_or_costs_more_than_tokens_has_no_row(model):
    assert Catalogue().row("openai", model) is None


def test_a_model_that_is_dearer_for_long_prompts_or_writes_to_a_cache_has_all_its_rates():
    long, caching = (Catalogue().row("openai", model).price for model in ("gpt-6-luna", "gpt-6-cyber"))
    assert long.tiers
    assert all(tier.rates.input > long.input for tier in long.tiers)
    assert caching.cache_write > caching.input


def test_nothing_is_read_before_something_is_asked(tmp_path):
    catalogue = Catalogue(tmp_path / "absent.json")
    with pytest.raises(FileNotFoundError):
        catalogue.row("groq", "llama-3.1-8b-instant")


@pytest.mark.parametrize(("days", "is_told"), [(0, False), (60, False), (61, True)])
def test_a_catalogue_past_its_age_is_told_of(days, is_told):
    as_of = date(2026, 9, 1)
    now = datetime(2026, 9, 1, 12, tzinfo=UTC) + timedelta(days=days)
    notice = age_notice(as_of, now=now)
    assert (notice is not None) is is_told
    assert not is_told or ("2026-09-01" in notice and "61 days" in notice)
