"""The oracle: for every row of the catalogue, any usage and any time, our cost is what `genai-prices` computes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import pytest
from genai_prices import Usage
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.prices.published import PUBLISHED_NAMES, REGIONS, provider_of
from llm_router import pricing
from llm_router.catalogue import Catalogue
from llm_router.usage import TokenUsage

CATALOGUE = Catalogue()
PUBLISHED = {name: provider_of(published) for name, published in PUBLISHED_NAMES.items()}
ROWS = [(provider, model) for provider in CATALOGUE.providers() for model in CATALOGUE.models(provider)]
FIRST_DAY = datetime.combine(CATALOGUE.as_of, datetime.min.time(), UTC)
EXAMPLES_A_PROVIDER = 300
PAST_EVERY_TIER = 2_000_000


@st.composite
def usages(draw):
    """Counts that do not contradict each other, as a provider reports them."""
    edges = st.sampled_from([0, 1, 128_000, 128_001, 200_000, 200_001, 272_000, 272_001])
    prompt = draw(edges | st.integers(0, PAST_EVERY_TIER))
    completion = draw(st.integers(0, PAST_EVERY_TIER))
    audio = draw(st.just(0) | st.integers(0, prompt))
    cached_audio = draw(st.just(0) | st.integers(0, audio))
    cached = cached_audio + draw(st.just(0) | st.integers(0, prompt - audio))
    written = draw(st.just(0) | st.integers(0, prompt - audio - (cached - cached_audio)))
    spoken = draw(st.just(0) | st.integers(0, completion))
    return TokenUsage(
        prompt=prompt,
        completion=completion,
        cached_prompt=cached,
        cache_write=written,
        cache_write_1h=draw(st.just(0) | st.integers(0, written)),
        audio_prompt=audio,
        cached_audio_prompt=cached_audio,
        reasoning=draw(st.just(0) | st.integers(0, completion - spoken)),
        audio_completion=spoken,
    )


def as_published(tokens):
    """Each kind by its count, the absent ones too: it does not guess how kinds that overlap do so."""
    return Usage(
        input_tokens=tokens.prompt,
        output_tokens=tokens.completion,
        cache_read_tokens=tokens.cached_prompt,
        cache_write_tokens=tokens.cache_write,
        cache_write_1h_tokens=tokens.cache_write_1h,
        input_audio_tokens=tokens.audio_prompt,
        cache_audio_read_tokens=tokens.cached_audio_prompt,
        output_reasoning_tokens=tokens.reasoning,
        output_audio_tokens=tokens.audio_completion,
    )


def published_model(provider, model):
    found = PUBLISHED[provider].find_model(model)
    if found is None and provider == "bedrock" and model.partition(".")[0] in REGIONS:
        found = PUBLISHED[provider].find_model(f"regional.{model.partition('.')[2]}")
    return found


def test_the_catalogue_is_of_the_data_that_is_installed_here():
    """Where it is not, `make prices` writes it anew."""
    assert {CATALOGUE.row(*row).price.source for row in ROWS} == {f"genai-prices {version('genai-prices')}"}


def check(provider, model, tokens, at):
    found = published_model(provider, model)
    assert found is not None, model
    expected = found.calc_price(as_published(tokens), PUBLISHED[provider], genai_request_timestamp=at).total_price
    assert pricing.usd(tokens, CATALOGUE.row(provider, model).price, at=at) == expected, (model, tokens, at)


@pytest.mark.parametrize("provider", CATALOGUE.providers())
def test_any_usage_costs_to_the_last_digit_what_the_published_data_says(provider):
    models = CATALOGUE.models(provider)

    @settings(max_examples=EXAMPLES_A_PROVIDER)
    @given(st.sampled_from(models), usages(), st.integers(0, 3 * 365 * 24 * 60))
    def holds(model, tokens, minutes):
        check(provider, model, tokens, FIRST_DAY + timedelta(minutes=minutes))

    holds()


EVERY_KIND = TokenUsage(
    prompt=1_000_003,
    completion=70_001,
    cached_prompt=200_007,
    cache_write=100_003,
    cache_write_1h=50_021,
    audio_prompt=30_011,
    cached_audio_prompt=10_007,
    reasoning=40_009,
    audio_completion=20_011,
)
SHORT = TokenUsage(prompt=1009, completion=503, cached_prompt=101, cache_write=211, reasoning=11)
HOURS = (1, 8, 17)


@pytest.mark.parametrize("provider", CATALOGUE.providers())
def test_every_row_costs_to_the_last_digit_what_the_published_data_says(provider):
    """With every kind of token at once, in the highest tier and in the lowest, by night and by day."""
    for model in CATALOGUE.models(provider):
        for tokens in (EVERY_KIND, SHORT):
            for hour in HOURS:
                check(provider, model, tokens, FIRST_DAY + timedelta(hours=hour))
