"""One provider's models in a configuration, in the long form and the short one, each with its price and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any

from llm_router import registry
from llm_router.candidates import Candidate, Feature, Price, Provider, Rates
from llm_router.catalogue import Catalogue, Row
from llm_router.configuration_fields import Section, as_fields
from llm_router.configuration_report import meant, shown
from llm_router.configuration_text import Fields, Text, Value
from llm_router.registry import KnownProvider

IDLE_TIMEOUT_S = 10.0
TOKENS_AT_MOST = 1_000_000_000
USD_AT_MOST = 1_000_000
NAME_LENGTH_AT_MOST = 200

MODEL_FIELDS = (
    "name",
    "context_window",
    "max_output_tokens",
    "first_token_timeout_s",
    "idle_timeout_s",
    "lacks",
    "price",
)
PRICE_FIELDS = tuple(rate.name for rate in fields(Rates))

_LIMIT = "a whole number of tokens, such as 8192"
_MODEL_NAME = "the model's name as the provider spells it"
_PRICE_FORM = "{input: …, output: …} in USD per million tokens"
_USD_PER_MTOK = "USD per million tokens, such as 0.05"
_USD_PER_KTOK = "USD per thousand tokens, such as 0.0005"


@dataclass(slots=True)
class Declared:
    """What the file names, right or wrong: so that a route is not blamed for a provider's fault.

    `is_complete` is false where some name could not even be read.
    """

    candidates: list[Candidate] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class ModelReader:
    """Reads the models of `provider`, whose name is empty where the file has none that can be used."""

    provider: Provider
    ways: KnownProvider
    key_advice: str
    declared: Declared
    catalogue: Catalogue

    def read_list(self, section: Section) -> None:
        """The long form: `models`, each a mapping or, where the catalogue knows the rest, a bare name."""
        section.missing("models", "list at least one: - name: …")
        items = section.items("models", expected="a list of models, each with a name")
        self.declared.is_complete &= bool(items)
        for index, value in enumerate(items):
            self._read_item(value, f"{section.place}.models[{index}]", section)

    def read_short(self, section: Section) -> None:
        """The short form: `model` and `cost_per_1k_tokens` beside the provider's own fields."""
        section.missing("model", f"write {_MODEL_NAME}")
        model = self._name(section, "model")
        row = self._row(model)
        self.declared.candidates.append(
            Candidate(
                provider=self.provider,
                model=model or "",
                price=self._short_price(section, model, row),
                context_window=row.context_window if row else None,
                max_output_tokens=row.max_output_tokens if row else None,
                first_token_timeout_s=self._first_token_timeout_s(row),
                idle_timeout_s=_idle_timeout_s(row),
                lacks=self._in_all(row.lacks if row else frozenset()),
            )
        )

    def _read_item(self, value: Value, place: str, parent: Section) -> None:
        named = Fields({"name": value}, value.line) if isinstance(value, Text) else value
        fields = as_fields(named, place, report=parent.report, expected="a mapping that starts with name:")
        if fields is None:
            self.declared.is_complete = False
            return
        section = Section(fields, place, known=MODEL_FIELDS, report=parent.report, key_advice=self.key_advice)
        section.missing("name", f"write {_MODEL_NAME}")
        self.declared.candidates.append(self._candidate(section))

    def _candidate(self, section: Section) -> Candidate:
        model = self._name(section, "name")
        row = self._row(model)
        window = section.whole("context_window", at_most=TOKENS_AT_MOST, expected=_LIMIT)
        output = section.whole("max_output_tokens", at_most=TOKENS_AT_MOST, expected=_LIMIT)
        if window is not None and output is not None and output > window:
            section.problem("max_output_tokens", "is larger than context_window; the answer counts towards it")
        return Candidate(
            provider=self.provider,
            model=model or "",
            price=self._price(section, model, row),
            context_window=window or (row.context_window if row else None),
            max_output_tokens=output or (row.max_output_tokens if row else None),
            first_token_timeout_s=section.seconds("first_token_timeout_s", default=self._first_token_timeout_s(row)),
            idle_timeout_s=section.seconds("idle_timeout_s", default=_idle_timeout_s(row)),
            lacks=self._in_all(self._lacks(section, row)),
        )

    def _first_token_timeout_s(self, row: Row | None) -> float:
        known = row.first_token_timeout_s if row else None
        return self.ways.first_token_timeout_s if known is None else known

    def _lacks(self, section: Section, row: Row | None) -> frozenset[Feature]:
        """What the file says of the model; where it says nothing, what the catalogue does."""
        if section.value("lacks") is None:
            return row.lacks if row else frozenset()
        expected = f"a list of what the model cannot do, out of {', '.join(Feature)}"
        found = set()
        for index, value in enumerate(section.items("lacks", expected=expected)):
            name = value.value if isinstance(value, Text) else None
            if name in list(Feature):
                found.add(Feature(str(name)))
            else:
                place = f"{section.place_of('lacks')}[{index}]"
                section.report.problem(place, f"is unknown; write {expected}", line=value.line)
        return frozenset(found)

    def _in_all(self, lacks: frozenset[Feature]) -> frozenset[Feature]:
        """With what the provider lacks. A file is read by who sees its pages, or by who has it turned into text:
        https://platform.openai.com/docs/guides/pdf-files
        """
        found = self.ways.lacks | lacks
        return found | {Feature.FILES} if Feature.IMAGES in found and not self.ways.reads_files else found

    def _name(self, section: Section, name: str) -> str | None:
        model = section.text(name, expected=_MODEL_NAME)
        if model is not None and (len(model) > NAME_LENGTH_AT_MOST or not model.isprintable() or " " in model):
            section.problem(name, f"has spaces or is too long for a name; write {_MODEL_NAME}")
            model = None
        if model is None or not self.provider.name:
            self.declared.is_complete = False
            return model
        candidate = f"{self.provider.name}/{model}"
        if candidate in self.declared.names:
            section.problem(name, f"{shown(candidate)} is listed twice; keep one")
        self.declared.names[candidate] = None
        return model

    def _row(self, model: str | None) -> Row | None:
        return self.catalogue.row(self.provider.name, model) if model else None

    def _price(self, section: Section, model: str | None, row: Row | None) -> Price | None:
        value = section.value("price")
        if value is None:
            return self._catalogue_price(section, model, row, advice=f"price: {_PRICE_FORM}, or price: unknown")
        if _is_unknown(value):
            return None
        if not isinstance(value, Fields) or not value.value:
            section.problem("price", f"has another form; write {_PRICE_FORM}, or unknown")
            return None
        place = section.place_of("price")
        rates = Section(value, place, known=PRICE_FIELDS, report=section.report, key_advice=self.key_advice)
        rates.missing("input", f"write {_USD_PER_MTOK}")
        rates.missing("output", f"write {_USD_PER_MTOK}")
        usd = {
            name: rates.number(name, at_most=USD_AT_MOST, zero=True, expected=_USD_PER_MTOK) for name in PRICE_FIELDS
        }
        whole = Price(input=usd.pop("input") or Decimal(0), output=usd.pop("output") or Decimal(0))
        parts: Mapping[str, Any] = usd
        return replace(whole, **parts)

    def _short_price(self, section: Section, model: str | None, row: Row | None) -> Price | None:
        value = section.value("cost_per_1k_tokens")
        if value is None:
            advice = f"cost_per_1k_tokens: {_USD_PER_KTOK}, or cost_per_1k_tokens: unknown"
            return self._catalogue_price(section, model, row, advice=advice)
        if _is_unknown(value):
            return None
        at_most = USD_AT_MOST // 1000
        usd = section.number("cost_per_1k_tokens", at_most=at_most, zero=True, expected=_USD_PER_KTOK)
        usd_per_mtok = (usd or Decimal(0)) * 1000
        return Price(usd_per_mtok, usd_per_mtok)

    def _catalogue_price(self, section: Section, model: str | None, row: Row | None, *, advice: str) -> Price | None:
        if row is not None:
            self._notice_other_address(section)
            return row.price
        if model is None or not self.provider.name:
            return None
        guess = meant(model, self.catalogue.models(self.provider.name))
        hint = f" (did you mean {guess}?)" if guess else ""
        candidate = shown(f"{self.provider.name}/{model}")
        words = f"the catalogue has no price of {candidate}{hint}; write {advice}"
        section.report.problem(section.place, words, line=section.line)
        return None

    def _notice_other_address(self, section: Section) -> None:
        """A proxy in front of a known provider is common, a namesake with prices of its own is possible."""
        known = registry.known(self.provider.name)
        if known is not None and self.provider.base_url not in ("", known.base_url):
            words = f"has a base_url of its own; prices that the file leaves out are those of {self.provider.name}"
            section.report.notice(section.place.split(".", 1)[0], words)


def _idle_timeout_s(row: Row | None) -> float:
    known = row.idle_timeout_s if row else None
    return IDLE_TIMEOUT_S if known is None else known


def _is_unknown(value: Value) -> bool:
    return isinstance(value, Text) and value.value == "unknown"
