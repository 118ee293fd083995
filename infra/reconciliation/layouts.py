"""Which columns of a provider's usage export hold what: those that are known by their headers. Pure.

No provider describes its CSV; what each layout rests on stands beside it, and in docs/command-line.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


class UnknownLayoutError(Exception):
    """The header tells no layout, or an option names a column that it lacks; says which columns there are."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of columns. Several of one kind are added up; kinds without a column are not compared.

    `provider` is whose export it is, empty where the file does not tell; `rests_on` says how far to trust the layout.
    """

    name: str
    day: str
    model: str
    input_tokens: Sequence[str] = ()
    output_tokens: Sequence[str] = ()
    usd: Sequence[str] = ()
    requests: Sequence[str] = ()
    currency: str = ""
    provider: str = ""
    provider_column: str = ""
    rests_on: str = ""

    @property
    def needed(self) -> set[str]:
        return {self.day, self.model, *self.input_tokens, *self.output_tokens, *self.usd}


LAYOUTS = (
    Layout(
        name="OpenAI, usage of completions",
        provider="openai",
        day="start_time",
        model="model",
        requests=("num_model_requests",),
        input_tokens=("input_tokens",),
        output_tokens=("output_tokens",),
        rests_on="the fields that the usage API documents, as exports that users have published name them",
    ),
    Layout(
        name="OpenAI, costs",
        provider="openai",
        day="start_time",
        model="line_item",
        usd=("amount_value",),
        currency="amount_currency",
        rests_on="exports that users have published",
    ),
    Layout(
        name="Anthropic, usage",
        provider="anthropic",
        day="usage_date_utc",
        model="model_version",
        input_tokens=(
            "usage_input_tokens_no_cache",
            "usage_input_tokens_cache_write_5m",
            "usage_input_tokens_cache_write_1h",
            "usage_input_tokens_cache_read",
        ),
        output_tokens=("usage_output_tokens",),
        rests_on="exports that users have published",
    ),
    Layout(
        name="Anthropic, cost",
        provider="anthropic",
        day="usage_date_utc",
        model="model",
        usd=("cost_usd",),
        rests_on="exports that users have published",
    ),
    Layout(
        name="plain",
        day="date",
        model="model",
        provider_column="provider",
        requests=("requests",),
        input_tokens=("input_tokens",),
        output_tokens=("output_tokens",),
        usd=("cost_usd",),
        rests_on="this project: a form to bring any other export into",
    ),
)


def recognised(header: Sequence[str]) -> Layout:
    """The layout whose columns are all there. Raises UnknownLayoutError."""
    there = {name.lower(): name for name in header}
    for layout in LAYOUTS:
        if layout.needed <= there.keys():
            return _only(layout, header)
    raise UnknownLayoutError(
        f"No known export has these columns: {', '.join(header)}.\n"
        "Name them: --date-column, --model-column, and --input-column, --output-column or --cost-column."
    )


def named(header: Sequence[str], *, day: str, model: str, amounts: Mapping[str, Sequence[str]]) -> Layout:
    """The layout that options describe; `amounts` by kind. Raises UnknownLayoutError."""
    layout = Layout(name="as named", day=day, model=model, rests_on="your options")
    layout = replace(layout, **{kind: tuple(columns) for kind, columns in amounts.items()})  # type: ignore[arg-type]
    if missing := layout.needed - set(header):
        there = ", ".join(header)
        raise UnknownLayoutError(f"The file has no column {', '.join(sorted(missing))}. It has: {there}.")
    return _only(layout, header)


def _only(layout: Layout, header: Sequence[str]) -> Layout:
    """Without the columns that this file does not have and may do without."""
    return replace(
        layout,
        requests=tuple(name for name in layout.requests if name in header),
        currency=layout.currency if layout.currency in header else "",
        provider_column=layout.provider_column if layout.provider_column in header else "",
    )
