"""`llm-router reconcile`: what a provider says that was used, held against the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from infra.cli import options, tables
from infra.cli.routers import Router
from infra.reconciliation import comparison, layouts, ledger_side, statement
from infra.reconciliation.amounts import KINDS, Amounts
from infra.reconciliation.comparison import COMPARED, Line, Tolerance
from infra.reconciliation.layouts import Layout, UnknownLayoutError
from infra.reconciliation.statement import Statement, UnreadableFileError
from llm_router import json_text

HEADINGS = {"requests": "requests", "input_tokens": "input", "output_tokens": "output", "usd": "USD"}


DAY = click.DateTime(["%Y-%m-%d"])


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`statement` is what was read of the file, `lines` what came of holding it against the ledger."""

    statement: Statement
    provider: str
    lines: Sequence[Line]

    @property
    def agrees(self) -> bool:
        """Also what could not be read might differ."""
        return not self.statement.unreadable and not any(line.differs for line in self.lines)


@dataclass(frozen=True, slots=True)
class Whose:
    """The provider whose export it is, and the ledger's names of models that have another with it."""

    provider: str
    same: Mapping[str, str]


class Money(click.ParamType[Decimal]):
    """A Decimal."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < 0:
            self.fail(f"{value!r} is no amount: write 0.01", param, ctx)
        return amount


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--provider", help="Whose export it is, as providers.yaml names it; where the file does not tell.")
@click.option("--from", "first", type=DAY, help="The first day, where it is not the file's own.")
@click.option("--to", "last", type=DAY, help="The last day, which is included.")
@click.option("--same", multiple=True, metavar="THEIRS=OURS", help="Two names of one model. May be repeated.")
@click.option("--tolerance", type=Money(), default="0.01", show_default=True, help="USD that a line may be apart.")
@click.option("--tolerance-tokens", type=click.IntRange(0), default=0, show_default=True, help="The same in tokens.")
@click.option("--date-column", help="Where the file is none that is known by its header: the day or time, in UTC.")
@click.option("--model-column", help="The model.")
@click.option("--input-column", multiple=True, help="Tokens of prompts; several are added up. May be repeated.")
@click.option("--output-column", multiple=True, help="Tokens of answers. May be repeated.")
@click.option("--cost-column", multiple=True, help="USD. May be repeated.")
@options.as_json
@options.with_router
def reconcile(
    router: Router, *, file: Path, provider: str | None, same: tuple[str, ...], as_json: bool, **asked: Any
) -> None:
    """A provider's usage export (CSV) against the ledger, by day (UTC) and model.

    Prints both sides of each line and the difference, the ledger's less the provider's. Exit code 1 where a line
    differs by more than the tolerance, or could not be read.
    """
    names = _names(same)
    read = _read(file, asked, provider)
    whose = Whose((provider or read.layout.provider).lower(), names)
    if not whose.provider:
        raise click.UsageError("The file does not tell whose it is: give --provider.")
    tolerance = Tolerance(asked["tolerance_tokens"], asked["tolerance"])
    found = Reconciliation(read, whose.provider, _compared(router, read, whose, tolerance, _days(asked, read)))
    click.echo(json_text.encode(_document(found)) if as_json else "\n".join(_report(found)))
    for bad in read.unreadable:
        click.echo(f"line {bad.line} can't be read: {tables.shown(bad.reason)}", err=True)
    if not found.agrees:
        raise click.exceptions.Exit(1)


def _names(same: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in same:
        theirs, equals, ours = pair.rpartition("=")
        if not (theirs and equals and ours):
            raise click.UsageError(f"--same {pair}: write THEIRS=OURS.")
        found[theirs] = ours
    return found


def _read(file: Path, columns: Mapping[str, Any], provider: str | None) -> Statement:
    try:
        text = file.read_bytes().decode("utf-8")
        return statement.read(text, lambda header: _layout(header, columns), provider=(provider or "").lower())
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file} is no text in UTF-8: {error}") from error
    except (UnknownLayoutError, UnreadableFileError) as error:
        raise click.ClickException(f"{file}: {error}") from error


def _layout(header: Sequence[str], columns: Mapping[str, Any]) -> Layout:
    given = {
        "input_tokens": columns["input_column"],
        "output_tokens": columns["output_column"],
        "usd": columns["cost_column"],
    }
    if not any([columns["date_column"], columns["model_column"], *given.values()]):
        return layouts.recognised(header)
    if not (columns["date_column"] and columns["model_column"] and any(given.values())):
        raise click.UsageError("Name at least --date-column, --model-column and a column of tokens or costs.")
    return layouts.named(header, day=columns["date_column"], model=columns["model_column"], amounts=given)


def _days(asked: Mapping[str, Any], read: Statement) -> tuple[date, date] | None:
    """The first and the last: those that are asked for, else the file's own."""
    days = [place.day for place in read.amounts]
    first, last = asked["first"], asked["last"]
    if not days and not (first and last):
        return None
    return first.date() if first else min(days), last.date() if last else max(days)


def _compared(
    router: Router, read: Statement, whose: Whose, tolerance: Tolerance, days: tuple[date, date] | None
) -> list[Line]:
    if days is None:
        return []
    first, last = days
    ours = ledger_side.counted(router.books.statistics, provider=whose.provider, first=first, last=last)
    within = {place: counted for place, counted in read.amounts.items() if first <= place.day <= last}
    theirs = comparison.under_our_names(within, {place.model for place in ours}, whose.same)
    return comparison.compared(theirs, ours, tolerance)


def _report(found: Reconciliation) -> Iterator[str]:
    layout = found.statement.layout
    yield f"{layout.name}, against what the ledger counts for {found.provider}. The layout rests on {layout.rests_on}."
    yield ""
    if not found.lines:
        yield "Neither side has anything."
        return
    kinds = [
        kind for kind in COMPARED if any(line.provider and line.provider.of(kind) is not None for line in found.lines)
    ]
    yield tables.text(_headings(kinds), [_cells(line, kinds) for line in found.lines] + [_totals(found, kinds)])
    yield ""
    yield "Both sides agree." if found.agrees else _verdict(found)


def _verdict(found: Reconciliation) -> str:
    differing = sum(line.differs for line in found.lines)
    unreadable = len(found.statement.unreadable)
    unread = f"; {tables.counted(unreadable, 'line')} of the file could not be read" if unreadable else ""
    return f"{tables.counted(len(found.lines), 'line')}, {differing} of which differ{unread}."


def _headings(kinds: Sequence[str]) -> list[str]:
    amounts = [f"{HEADINGS[kind]} {side}" for kind in kinds for side in ("provider", "ledger", "difference")]
    return ["day", "model", *amounts, ""]


def _cells(line: Line, kinds: Sequence[str]) -> list[object]:
    theirs, ours = line.provider or Amounts(), line.ledger or Amounts()
    each = [value for kind in kinds for value in (theirs.of(kind), ours.of(kind), line.difference(kind))]
    return [line.place.day, line.place.model, *each, _remark(line)]


def _remark(line: Line) -> str:
    unknown = f"{line.unknown} costs unknown" if line.unknown else ""
    if line.missing:
        return ", ".join(filter(None, [f"missing: {line.missing}", unknown]))
    return ", ".join(filter(None, ["DIFFERS" if line.differs else "", unknown]))


def _totals(found: Reconciliation, kinds: Sequence[str]) -> list[object]:
    theirs, ours = comparison.totals(found.lines)
    apart = [
        value for kind in kinds for value in (theirs.of(kind), ours.of(kind), comparison.difference(theirs, ours, kind))
    ]
    return ["total", "", *apart, ""]


def _document(found: Reconciliation) -> dict[str, object]:
    theirs, ours = comparison.totals(found.lines)
    return {
        "layout": found.statement.layout.name,
        "provider": found.provider,
        "agrees": found.agrees,
        "lines": [_line_document(line) for line in found.lines],
        "totals": {"provider": _amounts(theirs), "ledger": _amounts(ours)},
        "unreadable": [{"line": bad.line, "reason": bad.reason} for bad in found.statement.unreadable],
    }


def _line_document(line: Line) -> dict[str, object]:
    return {
        "day": line.place.day.isoformat(),
        "model": line.place.model,
        "provider": line.provider and _amounts(line.provider),
        "ledger": line.ledger and _amounts(line.ledger),
        "difference": {kind: line.difference(kind) for kind in COMPARED},
        "unknownCosts": line.unknown,
        "missing": line.missing,
        "differs": line.differs,
    }


def _amounts(amounts: Amounts) -> dict[str, object]:
    return {kind: amounts.of(kind) for kind in KINDS}
