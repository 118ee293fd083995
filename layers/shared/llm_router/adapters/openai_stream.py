"""Reads a streamed chat completion: puts it together again as if it had come in one piece, and judges it. No I/O.

The chunks: https://platform.openai.com/docs/api-reference/chat-streaming. Where providers differ, it is named.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llm_router import json_text
from llm_router.adapters import openai
from llm_router.sse import EventTooLargeError, Parser
from llm_router.upstream import Asked, Reading
from llm_router.usage import Outcome

DONE = b"[DONE]"

SHOWN = ("content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio")
"""Parts of a delta that a caller can see; a role alone is not yet an answer."""

_SET_ONCE = frozenset({"role", "id", "type", "name", "expires_at"})
"""Texts that some providers repeat in every chunk; all others arrive in pieces."""

_NO_FIELDS = frozenset({"choices", "object", "x_groq"})
_NO_REST = frozenset({"index", "delta", "logprobs", "finish_reason"})

CHOICES_AT_MOST = 128
TOOL_CALLS_AT_MOST = 128


KEPT_AT_MOST = 8_000_000
"""Characters of one answer, as the transport's limit is for one that comes whole. What its frames weigh beside it on
the wire, some 250 bytes a token, is not kept and not counted."""

KEPT_A_VALUE = 64
"""What a value costs beside its characters."""


class _Text(io.StringIO):
    """A text that is still growing; neither the work nor the memory grows with the number of its pieces."""


class BrokenStreamError(Exception):
    """A chunk that is no chunk, an error among the chunks, or more than can be kept."""


@dataclass(slots=True)
class _Choice:
    message: dict[str, object] = field(default_factory=dict)
    logprobs: dict[str, object] = field(default_factory=dict)
    finish_reason: str | None = None
    rest: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Assembly:
    """Grows with each chunk. `has_content` says that something has come which a caller could see."""

    has_content: bool = False
    _kept: int = 0
    _choices: dict[int, _Choice] = field(default_factory=dict)
    _fields: dict[str, object] = field(default_factory=dict)

    def add(self, data: bytes) -> None:
        """Take in the data of one event. Raises BrokenStreamError."""
        chunk = _chunk(data)
        if chunk.get("error"):
            raise BrokenStreamError
        self._take_fields(chunk)
        choices = chunk.get("choices") or []
        if not isinstance(choices, list):
            raise BrokenStreamError
        for part in choices:
            self._take_choice(_mapping(part))
        if self._kept > KEPT_AT_MOST:
            raise BrokenStreamError

    def is_finished(self, choices: int = 1) -> bool:
        """Whether each of so many choices has said why it ended."""
        finished = sum(choice.finish_reason is not None for choice in self._choices.values())
        return finished >= max(choices, len(self._choices), 1)

    def body(self) -> dict[str, object]:
        """The completion in the shape in which it comes unstreamed."""
        choices = [_whole(index, choice) for index, choice in sorted(self._choices.items())]
        return {**self._fields, "object": "chat.completion", "choices": choices}

    @property
    def text_bytes(self) -> int:
        """How much text has come, in bytes."""
        return sum(_text_bytes(choice.message) for choice in self._choices.values())

    def _take_fields(self, chunk: Mapping[str, object]) -> None:
        self._replace(self._fields, chunk, beside=_NO_FIELDS)
        groq = chunk.get("x_groq")  # Groq's place for usage, https://console.groq.com/docs/api-reference
        if isinstance(groq, dict) and groq.get("usage") and not self._fields.get("usage"):
            self._fields["usage"] = groq["usage"]

    def _take_choice(self, part: Mapping[str, object]) -> None:
        if part.get("error"):
            raise BrokenStreamError
        choice = self._choices.setdefault(_index(part, CHOICES_AT_MOST), _Choice())
        delta, logprobs = _mapping(part.get("delta") or {}), _mapping(part.get("logprobs") or {})
        self._kept += sum(map(_weight, (*delta.values(), *logprobs.values())))
        self.has_content = self.has_content or any(delta.get(name) for name in SHOWN)
        for name, value in delta.items():
            if name == "tool_calls":
                _merge_tool_calls(choice.message, value)
            else:
                _merge(choice.message, name, value)
        for name, value in logprobs.items():
            _merge(choice.logprobs, name, value)
        if reason := part.get("finish_reason"):  # an empty one, which some send with each chunk, says nothing
            choice.finish_reason = str(reason)
        self._replace(choice.rest, part, beside=_NO_REST)

    def _replace(self, into: dict[str, object], values: Mapping[str, object], *, beside: frozenset[str]) -> None:
        """What comes later stands; null says nothing."""
        for name, value in values.items():
            if name not in beside and value is not None and into.get(name) != value:
                self._kept += _weight(value) - (_weight(into[name]) if name in into else 0)
                into[name] = value


@dataclass(slots=True)
class StreamReader:
    """Takes in the bytes of a streamed answer.

    `closing` are the events from the last choice's finish reason on: a live caller gets them when the whole is known
    to be good and written down. `is_done` says that nothing of interest can follow.
    """

    asked: Asked = field(default_factory=Asked)
    is_done: bool = False
    is_broken: bool = False
    closing: list[bytes] = field(default_factory=list)
    _held_bytes: int = 0
    _parser: Parser = field(default_factory=Parser)
    _assembly: Assembly = field(default_factory=Assembly)

    @property
    def has_content(self) -> bool:
        return self._assembly.has_content

    @property
    def arrived_bytes(self) -> int:
        return self._assembly.text_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that a live caller may be shown, in order. Past a broken one nothing is read."""
        try:
            return self._shown(list(self._parser.feed(chunk)))
        except EventTooLargeError:
            self.is_done = self.is_broken = True
            return []

    def reading(self, *, ended_cleanly: bool) -> Reading:
        """What it was in the end. A stream that stops before every choice has ended is cut, however cleanly."""
        if not self.is_done:
            self._shown(list(self._parser.close()))
        reading = openai.judge(self._assembly.body(), self.asked)
        is_finished = self._assembly.is_finished(self.asked.choices)
        failed = replace(
            reading,
            outcome=Outcome.CUT,
            text="",
            model=None,
            completion={},
            may_be_billed=True,
            arrived_bytes=self.arrived_bytes,
            is_counted_whole=is_finished or (self.is_done and not self.is_broken),
        )
        if self.is_broken:
            return replace(failed, outcome=Outcome.MALFORMED)
        if not is_finished or not (self.is_done or ended_cleanly):
            return failed
        return reading

    def _shown(self, events: list[bytes]) -> list[bytes]:
        shown: list[bytes] = []
        for data in events:
            if self.is_done:
                break
            if data.strip() == DONE:
                self.is_done = True
                break
            try:
                self._take(data, shown)
            except BrokenStreamError:
                self.is_done = self.is_broken = True
                break
        return shown

    def _take(self, data: bytes, shown: list[bytes]) -> None:
        """Raises BrokenStreamError, also where too much would have to be held back."""
        self._assembly.add(data)
        is_closing = self._assembly.is_finished(self.asked.choices)
        if is_closing or not self.has_content:
            self._held_bytes += len(data)
        if self._held_bytes > KEPT_AT_MOST:
            raise BrokenStreamError
        (self.closing if is_closing else shown).append(data)


def _chunk(data: bytes) -> Mapping[str, object]:
    try:
        return _mapping(json_text.decode(data))
    except ValueError as error:
        raise BrokenStreamError from error


def _whole(index: int, choice: _Choice) -> dict[str, object]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": None, **_joined_values(choice.message)},
        "logprobs": _joined_values(choice.logprobs) or None,
        "finish_reason": choice.finish_reason,
        **choice.rest,
    }


def _joined(value: object) -> object:
    if isinstance(value, _Text):
        return value.getvalue()
    if isinstance(value, dict):
        return _joined_values(value)
    return [_joined(item) for item in value] if isinstance(value, list) else value


def _joined_values(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _joined(value) for name, value in values.items()}


def _weight(value: object) -> int:
    """Of the same order as the memory that a value takes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return KEPT_A_VALUE + sum(len(name) + _weight(inner) for name, inner in value.items())
    return KEPT_A_VALUE + (sum(map(_weight, value)) if isinstance(value, list) else 0)


def _text_bytes(value: object) -> int:
    if isinstance(value, _Text):
        return len(value.getvalue().encode("utf-8", "surrogatepass"))
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_text_bytes(inner) for inner in inside)


def _merge(into: dict[str, object], name: str, value: object) -> None:
    """Texts and lists grow, objects are merged, anything else is replaced; null says nothing."""
    before = into.get(name)
    if value is None:
        into.setdefault(name, None)
    elif isinstance(value, str) and name not in _SET_ONCE:
        _grow_text(into, name, value)
    elif isinstance(value, dict):
        inner = before if isinstance(before, dict) else {}
        into[name] = inner
        for key, part in value.items():
            _merge(inner, key, part)
    elif isinstance(before, list) and isinstance(value, list):
        before.extend(value)
    elif not (name in _SET_ONCE and before):
        into[name] = list(value) if isinstance(value, list) else value


def _grow_text(into: dict[str, object], name: str, value: str) -> None:
    before = into.get(name)
    if not isinstance(before, _Text):
        before = into[name] = _Text(newline="")
    before.write(value)


def _merge_tool_calls(message: dict[str, object], value: object) -> None:
    """Calls are told apart by `index`; where that is missing (Gemini), a new `id` begins a new call."""
    parts = value if isinstance(value, list) else []
    calls = message.setdefault("tool_calls", [])
    if not isinstance(calls, list):
        raise BrokenStreamError
    for part in map(_mapping, parts):
        at = _call_index(calls, part)
        while len(calls) <= at:
            calls.append({})
        for name, inner in part.items():
            if name != "index":
                _merge(calls[at], name, inner)


def _call_index(calls: list[dict[str, object]], part: Mapping[str, object]) -> int:
    if part.get("index") is not None:
        return _index(part, TOOL_CALLS_AT_MOST)
    is_new = not calls or (part.get("id") is not None and part["id"] != calls[-1].get("id"))
    at = len(calls) if is_new else len(calls) - 1
    if at >= TOOL_CALLS_AT_MOST:
        raise BrokenStreamError
    return at


def _index(part: Mapping[str, object], below: int) -> int:
    index = part.get("index", 0)
    if not isinstance(index, int) or not 0 <= index < below:
        raise BrokenStreamError
    return index


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise BrokenStreamError
    return value
