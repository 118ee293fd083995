"""The data of `genai-prices` as rows of the catalogue.

A row is taken where rates for tokens are the whole truth about tokens: with their tiers, days and hours, and the ways
of being served that have prices of their own. A model that charges images, seconds or pages apart is left out and
counted: better no price, which the configuration then asks for, than a wrong one. What is left of the past is left out
too: a row says what holds on the day of the data and after it. Fees per call of built-in tools, such as web search,
are in no row; the router calls the cost of a request that may have them unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from genai_prices.data import providers as published_providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

PUBLISHED_NAMES = {
    "anthropic": "anthropic",
    "bedrock": "aws",
    "cerebras": "cerebras",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "gemini": "google",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "together": "together",
    "xai": "x-ai",
}
"""Our name of a provider and the data's."""

NOT_CHAT = re.compile(
    r"embed|whisper|tts|transcribe|realtime|native-audio|\blive\b|voice|ocr|image|moderation|guard|search|computer-use"
    r"|deep-research|^(text-)?(ada|babbage|curie|davinci)\b|turbo-instruct|^gpt-3\.5-0301$|ft[:-]|:(batch|online)$"
)
"""Names of models that do not answer chat completions, or charge for more than tokens when they do."""

NOT_SERVED = {
    "openai": re.compile(r"^gpt-oss|^gpt-35|^gpt-\d-\d(?!\d)"),
    "mistral": re.compile(r":free$"),
    "openrouter": re.compile(r"^[^/]*$"),
    "xai": re.compile(r"/"),
}
"""Names that the data lists under a provider who does not serve it so: open models under their maker, spellings of
resellers, models without the maker's name where that is a part of it."""

REGIONS = ("us", "eu", "apac", "jp", "au", "global")
"""Prefixes of Bedrock's inference profiles, for which the data says `regional`:
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"""

RATES = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cached_audio_input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "audio_output",
}
FEES_OF_TOOLS = {"web_searches_kcount", "storage_searches_kcount", "social_searches_kcount", "code_executions_kcount"}
CHECKED_DAY = re.compile(r"(?:checked|verified)\b[^.;0-9]{0,40}(20\d\d-\d\d-\d\d)", re.IGNORECASE)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """`rows` by provider and name; a row that is another's under a second name is that name. `left_out` by provider."""

    source: str
    as_of: date
    rows: Mapping[str, Mapping[str, Row | str]]
    left_out: Mapping[str, Counter[str]]


class LeftOutError(Exception):
    """Why a model has no row."""


def read() -> Published:
    as_of = checked_day(datetime.now(UTC).date())
    rows: dict[str, Mapping[str, Row | str]] = {}
    left_out: dict[str, Counter[str]] = {}
    for name, published_name in PUBLISHED_NAMES.items():
        provider = provider_of(published_name)
        rows[name], left_out[name] = taken(name, provider, as_of)
    return Published(f"genai-prices {version('genai-prices')}", as_of, rows, left_out)


def provider_of(published_name: str) -> Provider:
    return next(provider for provider in published_providers if provider.id == published_name)


def taken(name: str, provider: Provider, as_of: date) -> tuple[dict[str, Row | str], Counter[str]]:
    """A row for each name by which the provider's API knows a model, and why the other models have none."""
    rows: dict[str, Row | str] = {}
    left_out: Counter[str] = Counter()
    for model in provider.models:
        try:
            names = api_names(name, provider, model)
            row = row_of(model, names, as_of)
        except LeftOutError as reason:
            left_out[str(reason)] += 1
            continue
        first, *others = names
        rows |= {first: row} | dict.fromkeys(others, first)
    return dict(sorted(rows.items())), left_out


def api_names(name: str, provider: Provider, model: ModelInfo) -> list[str]:
    """Sorted, the model's own first where it is one."""
    exact = {model.id, *_equals(model.match)}
    if model.id.startswith("regional."):
        exact |= {f"{region}.{model.id.removeprefix('regional.')}" for region in REGIONS}
        exact.discard(model.id)
    names = [n for n in exact if model.is_match(n) and provider.find_model(n) is model and not NOT_CHAT.search(n)]
    served = [n for n in names if name not in NOT_SERVED or not NOT_SERVED[name].search(n)]
    if not served:
        raise LeftOutError("not chat")
    return sorted(served, key=lambda found: (found != model.id, found))


def row_of(model: ModelInfo, names: Sequence[str], as_of: date) -> Row:
    conditional = [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
    standing = from_then_on(conditional, as_of)
    row = schedule(standing)
    if _is_free(row) and not any(name.endswith(":free") for name in names):
        raise LeftOutError("said to cost nothing")
    if tiers := service_tiers(model, standing, as_of):
        row["service_tiers"] = {name: found for name, found in tiers.items() if found != row}
    if model.context_window:
        row["context_window"] = model.context_window
    return {key: value for key, value in row.items() if value}


def from_then_on(prices: Sequence[ConditionalPrice], as_of: date) -> list[ConditionalPrice]:
    """Without what the last price that has begun by then overrules for ever."""
    begun = [
        at
        for at, price in enumerate(prices)
        if price.constraint is None
        or (isinstance(price.constraint, StartDateConstraint) and price.constraint.start_date <= as_of)
    ]
    first = begun[-1] if begun else 0
    return [ConditionalPrice(prices=prices[first].prices), *prices[first + 1 :]]


def service_tiers(model: ModelInfo, standing: Sequence[ConditionalPrice], as_of: date) -> dict[str, Row]:
    """By the provider's names. A variant is a part of a price, laid over the standard one; the first one counts."""
    found: dict[str, Row] = {}
    variants = [variant for variant in model.price_variants or () if tuple(variant.when) == ("service_tier",)]
    for name in dict.fromkeys(variant.when["service_tier"] for variant in variants):
        own = [variant for variant in variants if variant.when["service_tier"] == name]
        if all(_has_begun(variant.constraint, as_of) for variant in own):
            over: dict[str, Any] = {}
            for variant in reversed(own):
                over |= {kind: rate for kind, rate in vars(variant.prices).items() if rate is not None}
            laid = [
                ConditionalPrice(price.constraint, prices=ModelPrice(**{**vars(price.prices), **over}))
                for price in standing
            ]
            found[name] = schedule(laid)
    others = [variant for variant in model.price_variants or () if tuple(variant.when) not in HANDLED_VARIANTS]
    if others:
        raise LeftOutError("with prices that depend on the request")
    return found


HANDLED_VARIANTS = {("service_tier",), ("processing",), ("speed",)}
"""`processing` is the batch API's and `speed` a field of Anthropic's own; the router sends neither."""


def schedule(prices: Sequence[ConditionalPrice]) -> Row:
    first, *later = prices
    row = sheet(first.prices)
    changes = [{**condition(price), **sheet(price.prices)} for price in later]
    return {**row, "changes": changes} if changes else row


def condition(price: ConditionalPrice) -> Row:
    constraint = price.constraint
    if isinstance(constraint, StartDateConstraint):
        return {"from_day": constraint.start_date.isoformat()}
    if isinstance(constraint, TimeOfDateConstraint):
        return {"from_time": _clock(constraint.start_time), "until": _clock(constraint.end_time)}
    return {}


def sheet(price: ModelPrice) -> Row:
    rates = {kind: rate for kind, rate in vars(price).items() if rate is not None and kind not in FEES_OF_TOOLS}
    if not {"input_mtok", "output_mtok"} <= rates.keys():
        raise LeftOutError("without a price for input and output")
    if rates.keys() - RATES.keys():
        raise LeftOutError("with images, seconds or pages priced apart")
    starts = sorted({tier.start for rate in rates.values() if isinstance(rate, TieredPrices) for tier in rate.tiers})
    row: Row = {ours: _text(_rate(rates[kind], None)) for kind, ours in RATES.items() if kind in rates}
    tiers = [
        {"above": start} | {ours: _text(_rate(rates[kind], start)) for kind, ours in RATES.items() if kind in rates}
        for start in starts
    ]
    return {**row, "tiers": tiers} if tiers else row


def checked_day(today: date) -> date:
    """The newest day on which the data says that something in it was checked: it carries no date of its own."""
    days = {
        date.fromisoformat(found)
        for provider in published_providers
        for model in provider.models
        for found in CHECKED_DAY.findall(model.price_comments or "")
    }
    return max(day for day in days if day <= today)


def _rate(rate: Decimal | TieredPrices, start: int | None) -> Decimal:
    """The rate of the tier that begins there, or of the one below it where this kind has none."""
    if not isinstance(rate, TieredPrices):
        return rate
    reached = [tier.price for tier in rate.tiers if start is not None and tier.start <= start]
    return reached[-1] if reached else rate.base


def _text(rate: Decimal) -> str:
    return f"{rate:f}"


def _is_free(row: Row) -> bool:
    return not Decimal(row["input"]) or not Decimal(row["output"])


def _has_begun(constraint: StartDateConstraint | TimeOfDateConstraint | None, as_of: date) -> bool:
    return constraint is None or (isinstance(constraint, StartDateConstraint) and constraint.start_date <= as_of)


def _clock(at: time) -> str:
    if at.tzinfo is not None and at.utcoffset():
        raise LeftOutError("with hours of another zone")
    return at.replace(tzinfo=None).isoformat("minutes")


def _equals(clause: MatchLogic) -> Iterator[str]:
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _equals(part)
