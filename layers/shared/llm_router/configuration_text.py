"""YAML text to plain values that remember their lines, with every number exact.

Built from the parser's events, not from PyYAML's constructors: those read 0.05 through a float, `off` as false and
010 as eight, drop the first of two equal keys in silence, and the compiled one crashes on deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn

import yaml

from llm_router.configuration_report import Report, shown

if TYPE_CHECKING:
    from yaml.events import AliasEvent, Event, MappingStartEvent, ScalarEvent, SequenceStartEvent

NESTED_AT_MOST = 20
VALUES_AT_MOST = 20_000
"""Aliases count with all that they stand for, so that a short file cannot unfold into a huge one."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one where PyYAML was built with it
_WHOLE = re.compile(r"[-+]?[0-9]{1,40}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,3})?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_PLAIN_TAGS = {None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))}

Scalar = str | int | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar and its line, counted from 1."""

    value: Scalar
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    value: list[Value]
    line: int


@dataclass(frozen=True, slots=True)
class Fields:
    value: dict[str, Value]
    line: int


Value = Text | Items | Fields


class _UnreadableError(Exception):
    """The text is not what a configuration can be; the report says why."""


def read(text: str, report: Report) -> Value | None:
    """The document's value; None, with a problem in the report, where the text has none."""
    try:
        events = yaml.parse(text, Loader=_LOADER)
        return _Builder(events, report).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report.problem("", _syntax_problem(error.problem or error.context or ""), line=mark.line + 1 if mark else None)
    except yaml.YAMLError:
        report.problem("", "it has characters that YAML does not allow; save it as plain UTF-8 text")
    except UnicodeEncodeError:
        report.problem("", "it is not valid Unicode; save it as plain UTF-8 text")
    except _UnreadableError:
        pass
    return None


@dataclass(slots=True)
class _Builder:
    events: Iterator[Event]
    report: Report
    values: int = 0
    anchors: dict[str, tuple[Value, int]] = field(default_factory=dict)

    def document(self) -> Value | None:
        document: Value | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent) and document is not None:
                self._refuse("it holds a second document after a line ---; keep one", _line(event))
            if isinstance(event, yaml.NodeEvent):
                document = self._value(event, depth=0)
        return document

    def _value(self, event: Event, *, depth: int) -> Value:
        line = _line(event)
        before = self.values
        self._count(1, line)
        if depth > NESTED_AT_MOST:
            self._refuse("it is nested too deeply for a configuration", line)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        value = self._collection_or_text(event, depth)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self.anchors[anchor] = (value, self.values - before)
        return value

    def _collection_or_text(self, event: Event, depth: int) -> Value:
        tag = getattr(event, "tag", None)
        if tag not in _PLAIN_TAGS:
            self._refuse("it has a tag (a word that starts with an exclamation mark); leave it out", _line(event))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._fields(event, depth)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - the events' grammar leaves nothing else
        return Text(_scalar(event), _line(event))

    def _items(self, start: SequenceStartEvent, depth: int) -> Items:
        items = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._value(event, depth=depth + 1))
        return Items(items, _line(start))

    def _fields(self, start: MappingStartEvent, depth: int) -> Fields:
        fields: dict[str, Value] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._value(event, depth=depth + 1)
            value = self._value(next(self.events), depth=depth + 1)
            if not isinstance(key, Text):
                self.report.problem("", "a list or mapping stands where a name is expected", line=key.line)
                continue
            name = event.value if isinstance(event, yaml.ScalarEvent) else str(key.value)
            if name in fields:
                first = lines[name]
                self.report.problem("", f"{shown(name)} was given before, on line {first}; keep one", line=key.line)
                continue
            fields[name], lines[name] = value, key.line
        return Fields(fields, _line(start))

    def _aliased(self, event: AliasEvent) -> Value:
        found = self.anchors.get(event.anchor or "")
        if found is None:
            self._refuse("an alias (*name) has no anchor (&name) before it", _line(event))
        value, size = found
        self._count(size, _line(event))
        return value

    def _count(self, values: int, line: int) -> None:
        self.values += values
        if self.values > VALUES_AT_MOST:
            self._refuse(f"it holds more than {VALUES_AT_MOST} values; split the deployment", line)

    def _refuse(self, problem: str, line: int) -> NoReturn:
        self.report.problem("", problem, line=line)
        raise _UnreadableError


def _scalar(event: ScalarEvent) -> Scalar:
    """Quoted text stays text; plain text becomes what it looks like in YAML 1.2's core schema, numbers exactly."""
    text = event.value
    if event.style not in (None, "") or not event.implicit[0]:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    if _NOT_FINITE.fullmatch(text):
        return Decimal(text.replace(".", ""))
    return text


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _syntax_problem(words: str) -> str:
    """The parser's words without the file's: what it quotes may be part of a key."""
    advice = {
        "mapping values are not allowed": "quote a value that holds ': ', or write it as {name: value}",
        "cannot start any token": "indent with spaces, not tabs; quote a value that starts with a special character",
        "undefined alias": "quote a value that starts with *",
    }
    cleaned = re.sub(r"'[^'<][^']+'|\"[^\"]{2,}\"", "…", words)
    found = next((hint for part, hint in advice.items() if part in words), "see the lines around it")
    return f"it is not YAML: {cleaned}; {found}"
