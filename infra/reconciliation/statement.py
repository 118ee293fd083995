"""A provider's usage export, read from CSV: what it counts by day and model, and each line that can't be read. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from infra.reconciliation import amounts
from infra.reconciliation.amounts import Amounts, Place
from infra.reconciliation.layouts import Layout

BOM = "\ufeff"
DELIMITERS = (",", ";", "\t")
GROUPED = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
"""1,234,567.8: a comma anywhere else may be a decimal one, and is not guessed at."""

EPOCH = re.compile(r"\d{9,10}(\.0+)?")


class UnreadableFileError(Exception):
    """There is no table in the file."""


class _UnreadableError(Exception):
    """Why a line says nothing that can be relied on."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line, by its number in the file."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Statement:
    """By day and model; models have the provider's names."""

    layout: Layout
    amounts: Mapping[Place, Amounts]
    unreadable: Sequence[Unreadable]


def read(text: str, choose: Callable[[Sequence[str]], Layout], *, provider: str = "") -> Statement:
    """`choose` is given the header; of a file with several providers only the lines of `provider` count.

    Raises UnreadableFileError, and what `choose` raises.
    """
    lines = csv.reader(text.removeprefix(BOM).splitlines(keepends=True), delimiter=_delimiter(text))
    header = next((cells for cells in lines if any(cell.strip() for cell in cells)), None)
    if header is None:
        raise UnreadableFileError("The file is empty.")
    names = [cell.strip() for cell in header]
    return _statement(choose(names), names, lines, provider)


def _statement(layout: Layout, header: Sequence[str], lines: Iterator[list[str]], provider: str) -> Statement:
    found: dict[Place, list[Amounts]] = {}
    unreadable = []
    reader = _Reader(layout, header, provider)
    while True:
        try:
            cells = next(lines)
            for place, counted in reader.line(cells):
                found.setdefault(place, []).append(counted)
        except StopIteration:
            break
        except (_UnreadableError, csv.Error) as error:
            unreadable.append(Unreadable(lines.line_num, str(error)))  # type: ignore[attr-defined]  # csv's reader has it
    return Statement(layout, {place: amounts.summed(parts) for place, parts in sorted(found.items())}, unreadable)


@dataclass(frozen=True, slots=True)
class _Reader:
    layout: Layout
    header: Sequence[str]
    provider: str

    def line(self, cells: Sequence[str]) -> Iterator[tuple[Place, Amounts]]:
        """Nothing for an empty line, a day without usage, and another provider's line."""
        if not any(cell.strip() for cell in cells):
            return
        if len(cells) > len(self.header):
            raise _UnreadableError(f"{len(cells)} cells under {len(self.header)} headings")
        values = dict(zip(self.header, (cell.strip() for cell in cells), strict=False))
        if self._is_of_another(values):
            return
        counted = self._amounts(values)
        model = values.get(self.layout.model, "").partition(", ")[0]
        if not counted and not model:
            return
        if not model:
            raise _UnreadableError(f"no model in {self.layout.model}")
        yield Place(_day(values.get(self.layout.day, "")), model), counted

    def _is_of_another(self, values: Mapping[str, str]) -> bool:
        column = self.layout.provider_column
        return bool(column and self.provider) and values.get(column, "").lower() != self.provider

    def _amounts(self, values: Mapping[str, str]) -> Amounts:
        if (currency := values.get(self.layout.currency, "")) and currency.lower() != "usd":
            raise _UnreadableError(f"in {currency}, not in USD")
        layout = self.layout
        return Amounts(
            requests=self._count(values, layout.requests),
            input_tokens=self._count(values, layout.input_tokens),
            output_tokens=self._count(values, layout.output_tokens),
            usd=sum((_number(values, name) for name in layout.usd), Decimal(0)) if layout.usd else None,
        )

    def _count(self, values: Mapping[str, str], columns: Sequence[str]) -> int | None:
        if not columns:
            return None
        counts = {name: _number(values, name) for name in columns}
        for name, count in counts.items():
            if count != count.to_integral_value() or count < 0:
                raise _UnreadableError(f"{name} is {values[name]!r}, no whole number")
        return int(sum(counts.values()))


def _number(values: Mapping[str, str], name: str) -> Decimal:
    """An empty cell is nothing."""
    given = values.get(name, "")
    plain = given.removeprefix("$").strip()
    if GROUPED.fullmatch(plain):
        plain = plain.replace(",", "")
    try:
        number = Decimal(plain or 0) if "_" not in plain else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise _UnreadableError(f"{name} is {given!r}, no number")
    return number


def _day(text: str) -> date:
    """In UTC: of seconds since 1970, of a day, or of a time, which is UTC where it names no zone."""
    try:
        if EPOCH.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC).date()
        at = datetime.fromisoformat(text.removesuffix(" UTC"))
        return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC).date()
    except (ValueError, OverflowError) as error:
        raise _UnreadableError(f"{text!r} is no day: write 2026-11-23") from error


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip(BOM).strip()), "")
    return max(DELIMITERS, key=first.count)
