"""Reads one mapping of the configuration, field by field, and reports what is wrong with each."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from decimal import Decimal

from llm_router.configuration_report import Report, choices, meant, shown
from llm_router.configuration_text import Fields, Items, Text, Value

DECIMAL_PLACES_AT_MOST = 12
SECONDS_AT_MOST = 900
"""A Lambda function's longest life."""

_LITERAL_KEY = re.compile(r"(key|password|authorization|credentials?)|.*(token|secret|secretkey)|.*apikey.*")
_NOT_A_LETTER = re.compile(r"[^a-z]")


class Section:
    """A mapping at `place`, for instance `providers[1].models[0]`.

    Names outside `known` are reported; `key_advice` is what to do where one of them is a key written out.
    """

    def __init__(self, fields: Fields, place: str, *, known: Collection[str], report: Report, key_advice: str) -> None:
        self._fields = fields.value
        self.line = fields.line
        self.place = place
        self.report = report
        self._known = known
        for name, value in fields.value.items():
            if name not in known:
                self._unknown(name, value.line, key_advice)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def place_of(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def problem(self, name: str, words: str) -> None:
        value = self._fields.get(name)
        self.report.problem(self.place_of(name), words, line=value.line if value else self.line)

    def value(self, name: str) -> Value | None:
        return self._fields.get(name)

    def missing(self, name: str, advice: str) -> None:
        """Report the field as missing unless it is there, wrong as it may be."""
        if name not in self:
            self.problem(name, f"is missing; {advice}")

    def text(self, name: str, *, expected: str) -> str | None:
        value = self.value(name)
        if value is None:
            return None
        if isinstance(value, Text) and isinstance(value.value, str) and value.value.strip():
            return value.value
        advice = f"write {expected}"
        if isinstance(value, Text) and isinstance(value.value, int | Decimal):
            advice += ', in quotes where it looks like a number: "4"'
        self.problem(name, f"is {_kind(value)}; {advice}")
        return None

    def choice(self, name: str, options: Sequence[str], *, default: str) -> str:
        text = self.text(name, expected=choices(options))
        if text is None or text in options:
            return text or default
        self.problem(name, f"is {shown(text)}; write {choices(options)}")
        return default

    def seconds(self, name: str, *, default: float, zero: bool = False) -> float:
        value = self.number(name, at_most=SECONDS_AT_MOST, zero=zero, expected="a number of seconds, such as 30")
        return default if value is None else float(value)

    def whole(self, name: str, *, at_most: int, expected: str) -> int | None:
        value = self.number(name, at_most=at_most, zero=False, expected=expected)
        if value is None:
            return None
        if value != int(value):
            self.problem(name, f"is {value}; write {expected}")
            return None
        return int(value)

    def number(self, name: str, *, at_most: int, zero: bool, expected: str) -> Decimal | None:
        """An exact number from 0 (or just above, unless `zero`) to `at_most`; None where absent or reported."""
        value = self.value(name)
        if value is None:
            return None
        found = value.value if isinstance(value, Text) else None
        if isinstance(found, bool) or not isinstance(found, int | Decimal):
            quoted = isinstance(found, str) and found.strip()
            what = f"text, {shown(found)}" if quoted else _kind(value)
            self.problem(name, f"is {what}; write {expected}{', without quotes or units' if quoted else ''}")
            return None
        number = Decimal(found)
        fault = _fault(number, at_most=at_most, zero=zero)
        if fault:
            self.problem(name, f"{fault}; write {expected}")
            return None
        return number

    def items(self, name: str, *, expected: str) -> list[Value]:
        value = self.value(name)
        if value is None:
            return []
        if isinstance(value, Items) and value.value:
            return value.value
        self.problem(name, f"is {_kind(value)}; write {expected}")
        return []

    def mapping(self, name: str, *, expected: str) -> Fields | None:
        value = self.value(name)
        if value is None or isinstance(value, Fields):
            return value
        self.problem(name, f"is {_kind(value)}; write {expected}")
        return None

    def _unknown(self, name: str, line: int, key_advice: str) -> None:
        slip = meant(name, self._known, likeness=0.85)
        if not slip and _LITERAL_KEY.fullmatch(_NOT_A_LETTER.sub("", name.lower())):
            place = self.place_of(name if shown(name) == f"'{name}'" else "(key)")
            self.report.problem(place, f"a key must not stand in this file; {key_advice}", line=line)
            return
        guess = slip or meant(name, self._known)
        advice = f"did you mean {guess}?" if guess else f"known here: {', '.join(self._known)}"
        self.report.problem(self.place, f"{shown(name)} is not known here; {advice}", line=line)


def as_fields(value: Value, place: str, *, report: Report, expected: str) -> Fields | None:
    if isinstance(value, Fields):
        return value
    report.problem(place, f"is {_kind(value)}; write {expected}", line=value.line)
    return None


def _fault(number: Decimal, *, at_most: int, zero: bool) -> str | None:
    if number.is_nan():
        return "is not a number"
    if number < 0:
        return "is negative"
    if number == 0 and not zero:
        return "is 0"
    if number > at_most:
        return f"is more than {at_most}"
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DECIMAL_PLACES_AT_MOST:
        return f"has more than {DECIMAL_PLACES_AT_MOST} decimal places"
    return None


def _kind(value: Value) -> str:
    if isinstance(value, Fields):
        return "a mapping" if value.value else "an empty mapping"
    if isinstance(value, Items):
        return "a list" if value.value else "an empty list"
    if value.value is None or value.value == "":
        return "empty"
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return "text" if isinstance(value.value, str) else "a number"
