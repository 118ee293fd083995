"""Tables and amounts for people. What callers have named is shown without what a terminal would obey. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

NOTHING = "-"


def text(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Numbers to the right, words to the left."""
    cells = [list(headings), *([shown(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(headings))]
    is_number = [all(_is_number(row[at]) for row in rows) for at in range(len(headings))]
    lines = [
        "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(*each, strict=True))
        for each in ((row, widths, is_number) for row in cells)
    ]
    return "\n".join(line.rstrip() for line in lines)


def pairs(rows: Sequence[tuple[str, object]], *, indent: str = "") -> str:
    """Names and values below each other."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{indent}{name.ljust(width)}  {shown(value)}" for name, value in rows)


def shown(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, Decimal):
        return decimal(value)
    if isinstance(value, int):
        return f"{value:,}"
    return "".join(character if character.isprintable() else "?" for character in str(value))


def decimal(value: Decimal) -> str:
    """Every digit of it, none for show."""
    digits = f"{value:,f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | Decimal)
