"""Writes the catalogue of prices and limits from the data of `genai-prices`: `make prices`.

A row is taken only where two or three flat rates are the whole truth about tokens. A model whose price has tiers,
changes by the hour or on a day to come, or charges cache writes, audio or images apart, is left out and counted:
better no price, which the configuration then asks for, than a wrong one. Every row is proven against the sum that
`genai-prices` itself computes. Two things are not told apart here: service tiers other than the default one, and the
fees per call of built-in tools such as web search.
"""

# mypy: disable-error-code="import-not-found"
# `genai-prices` is installed by `make prices` alone.

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from genai_prices import Usage
from genai_prices.data import providers as published_providers
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

CATALOGUE_FILE = Path(__file__).parents[2] / "layers/shared/llm_router/catalogue.json"

PUBLISHED_NAMES = {
    "cerebras": "cerebras",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "groq": "groq",
    "mistral": "mistral",
    "openai": "openai",
    "together": "together",
    "xai": "x-ai",
}
"""Our name of a provider and the data's."""

NOT_CHAT = re.compile(
    r"embed|whisper|tts|transcribe|realtime|audio|voice|voxtral|ocr|image|moderation|guard|search|computer-use"
    r"|deep-research|^(text-)?(ada|babbage|curie|davinci)\b|turbo-instruct|^gpt-3\.5-0301$|ft[:-]|:"
)
"""Names of models that do not answer chat completions, or charge for more than tokens when they do."""

NOT_HOSTED = {"openai": re.compile(r"^gpt-oss|^gpt-35|^gpt-\d-\d(?!\d)")}
"""Names that the data lists under a model's maker, who does not serve it so: open models, spellings of resellers."""

TOKEN_RATES = {"input_mtok": "input", "cache_read_mtok": "cached_input", "output_mtok": "output"}
FEES_OF_TOOLS = {"web_searches_kcount", "storage_searches_kcount"}
SERVICE_TIERS = {("service_tier",), ("processing",)}
CHECKED_DAY = re.compile(r"(?:checked|verified)\b[^.;0-9]{0,40}(20\d\d-\d\d-\d\d)", re.IGNORECASE)
MILLION = 1_000_000

Row = dict[str, str | int]


class LeftOutError(Exception):
    """Why a model has no row."""


def main() -> int:
    today = datetime.now(UTC).date()
    before = json.loads(CATALOGUE_FILE.read_text()) if CATALOGUE_FILE.exists() else {"providers": {}}
    rows: dict[str, dict[str, Row]] = {}
    for name, published_name in PUBLISHED_NAMES.items():
        provider = next(p for p in published_providers if p.id == published_name)
        rows[name], left_out = taken(name, provider, today)
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        print(f"{name}: {len(rows[name])} rows; models left out: {reasons or 'none'}")
    catalogue = {"source": f"genai-prices {version('genai-prices')}", "as_of": checked_day(today).isoformat()}
    CATALOGUE_FILE.write_text(text(catalogue, rows), encoding="utf-8")
    print_changes(before["providers"], rows)
    return 0


def taken(name: str, provider: Provider, today: date) -> tuple[dict[str, Row], Counter[str]]:
    """A row for each name by which the provider's API knows a model, and why the other models have none."""
    rows: dict[str, Row] = {}
    left_out: Counter[str] = Counter()
    for model in provider.models:
        try:
            names = api_names(name, provider, model)
            row = flat_row(provider, model, today)
        except LeftOutError as reason:
            left_out[str(reason)] += 1
            continue
        rows |= dict.fromkeys(names, row)
    return dict(sorted(rows.items())), left_out


def api_names(name: str, provider: Provider, model: ModelInfo) -> list[str]:
    exact = {model.id, *_equals(model.match)}
    names = [n for n in exact if model.is_match(n) and provider.find_model(n) is model and not NOT_CHAT.search(n)]
    hosted = [n for n in names if name not in NOT_HOSTED or not NOT_HOSTED[name].search(n)]
    if not hosted:
        raise LeftOutError("not chat")
    return hosted


def flat_row(provider: Provider, model: ModelInfo, today: date) -> Row:
    rates = vars(present_price(model, today))
    priced = {kind: rate for kind, rate in rates.items() if rate is not None and kind not in FEES_OF_TOOLS}
    if not {"input_mtok", "output_mtok"} <= priced.keys():
        raise LeftOutError("without a price for input and output")
    if priced.keys() - TOKEN_RATES.keys():
        raise LeftOutError("with cache writes, audio or images priced apart")
    if any(isinstance(rate, TieredPrices) for rate in priced.values()):
        raise LeftOutError("with tiers")
    if any(tuple(variant.when) not in SERVICE_TIERS for variant in model.price_variants or ()):
        raise LeftOutError("with prices that depend on the request")
    row: Row = {ours: f"{priced[kind]:f}" for kind, ours in TOKEN_RATES.items() if kind in priced}
    prove(provider, model, row)
    if model.context_window:
        row["context_window"] = model.context_window
    return row


def present_price(model: ModelInfo, today: date) -> ModelPrice:
    """The one price of today and of every day after it, as far as is known."""
    if isinstance(model.prices, ModelPrice):
        return model.prices
    for conditional in model.prices:
        if conditional.constraint is None:
            continue
        if not isinstance(conditional.constraint, StartDateConstraint):
            raise LeftOutError("with a price by the hour")
        if conditional.constraint.start_date > today:
            raise LeftOutError("with a change on a day to come")
    return model.get_prices(datetime.now(UTC))


def prove(provider: Provider, model: ModelInfo, row: Mapping[str, str | int]) -> None:
    """Our formula against theirs, from an empty call to one far past every tier."""
    fresh_rate, output_rate = Decimal(row["input"]), Decimal(row["output"])
    cached_rate = Decimal(row.get("cached_input", row["input"]))
    for prompt, cached, completion in ((0, 0, 0), (1, 0, 1), (1000, 999, 7), (3 * MILLION, MILLION, MILLION)):
        usage = Usage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=completion)
        theirs = model.calc_price(usage, provider).total_price
        ours = ((prompt - cached) * fresh_rate + cached * cached_rate + completion * output_rate) / MILLION
        if ours != theirs:
            raise ValueError(f"{provider.id}/{model.id}: {ours} is not {theirs} for {prompt}, {cached}, {completion}")


def checked_day(today: date) -> date:
    """The newest day on which the data says that something in it was checked: it carries no date of its own."""
    days = {
        date.fromisoformat(found)
        for provider in published_providers
        for model in provider.models
        for found in CHECKED_DAY.findall(model.price_comments or "")
    }
    return max(day for day in days if day <= today)


def text(header: Mapping[str, str], rows: Mapping[str, Mapping[str, Row]]) -> str:
    """JSON with one line a row, so that a change of price is one line of a diff."""
    head = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in header.items())
    providers = ",\n".join(
        f"    {json.dumps(name)}: {{\n"
        + ",\n".join(f"      {json.dumps(model)}: {json.dumps(row)}" for model, row in models.items())
        + "\n    }"
        for name, models in rows.items()
    )
    return f'{{\n{head}  "providers": {{\n{providers}\n  }}\n}}\n'


def print_changes(before: Mapping[str, Mapping[str, Row]], after: Mapping[str, Mapping[str, Row]]) -> None:
    old, new = dict(_flat(before)), dict(_flat(after))
    for candidate in sorted(old.keys() | new.keys()):
        if old.get(candidate) != new.get(candidate):
            print(f"  {candidate}: {old.get(candidate, 'absent')} -> {new.get(candidate, 'absent')}")
    print(f"{len(new)} rows in {CATALOGUE_FILE}, {len(old)} before")


def _flat(providers: Mapping[str, Mapping[str, Row]]) -> Iterator[tuple[str, Row]]:
    for provider, models in providers.items():
        for model, row in models.items():
            yield f"{provider}/{model}", row


def _equals(clause: MatchLogic) -> Iterator[str]:
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _equals(part)


if __name__ == "__main__":
    sys.exit(main())
