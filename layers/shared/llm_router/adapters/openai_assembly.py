"""A streamed chat completion, put together again as if it had come in one piece. No I/O.

The chunks: https://platform.openai.com/docs/api-reference/chat-streaming. Where providers differ, it is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_router import completions, json_text
from llm_router.adapters import finish_reasons
from llm_router.adapters.openai_calls import Calls, number
from llm_router.adapters.openai_fragments import KEPT_AT_MOST_BYTES, BrokenStreamError, Growth, joined, mapping

SHOWN = ("content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio")
"""Parts of a delta that a caller can see; a role alone is not yet an answer."""

HIDDEN = ("usage", "x_groq")
"""Fields of a chunk that no caller is shown: what the request used, and cost, is told at the end."""

_NO_FIELDS = frozenset({"choices", "object", "x_groq", "obfuscation", "type"})
"""No fields of a completion: OpenAI's `obfuscation` pads a chunk, `type` is that of an event (`ping`)."""

_NO_REST = frozenset({"index", "delta", "message", "logprobs", "finish_reason"})
"""Perplexity repeats in each chunk, as `message`, all that has come."""

CHOICES_AT_MOST = 128

LOGPROBS_AT_MOST_BYTES = 32_000_000
"""Some 1.5 KB a token with the 20 likeliest: enough for the longest answers. They are kept as JSON, a seventh of what
they would take otherwise."""


@dataclass(slots=True)
class _Choice:
    """`is_in_doubt` says that content followed the reason why it ended, which therefore proves nothing."""

    message: dict[str, object] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)
    logprobs: dict[str, object] = field(default_factory=dict)
    finish_reason: object = None
    is_in_doubt: bool = False
    rest: dict[str, object] = field(default_factory=dict)


class _Items(bytearray):
    """The items of a growing list as JSON."""


@dataclass(slots=True)
class Assembly:
    """Grows with each chunk. `has_content` says that something has come which a caller could see, `is_in_doubt` that
    some choice went on after the reason why it ended: then only the stream's own end proves that it is whole.
    """

    has_content: bool = False
    is_in_doubt: bool = False
    _finished: int = 0
    _growth: Growth = field(default_factory=Growth)
    _logprobs_bytes: int = 0
    _choices: dict[int, _Choice] = field(default_factory=dict)
    _fields: dict[str, object] = field(default_factory=dict)

    def add(self, data: bytes) -> bytes | None:
        """Take in the data of one event. What of it a caller may see; None where that is nothing.

        Raises BrokenStreamError.
        """
        chunk = _decoded(data)
        if chunk.get("error") or chunk.get("object") == "error":
            raise BrokenStreamError
        self._take_fields(chunk)
        choices = chunk.get("choices") or []
        if not isinstance(choices, list):
            raise BrokenStreamError
        is_changed = False
        for part in choices:
            is_changed = self._take_choice(mapping(part)) or is_changed
        if self._growth.kept_bytes > KEPT_AT_MOST_BYTES or self._logprobs_bytes > LOGPROBS_AT_MOST_BYTES:
            raise BrokenStreamError
        if not choices:
            return None
        if not is_changed and chunk.get("usage") is None and chunk.get("x_groq") is None:
            return data
        return json_text.encode({name: value for name, value in chunk.items() if name not in HIDDEN})

    def is_finished(self, choices: int = 1) -> bool:
        """Whether each of so many choices has said why it ended."""
        return self._finished >= max(choices, len(self._choices), 1)

    def body(self) -> dict[str, object]:
        """The completion in the shape in which it comes unstreamed."""
        choices = [_whole(index, choice) for index, choice in sorted(self._choices.items())]
        return {**self._fields, "object": "chat.completion", "choices": choices}

    def bill(self) -> dict[str, object]:
        """What of the completion tells what it cost; nothing is put together for it."""
        return {**self._fields, "choices": [{"message": choice.message} for choice in self._choices.values()]}

    @property
    def text_bytes(self) -> int:
        """How much text has come, in bytes."""
        return self._growth.text_bytes

    def taken_back(self, data: bytes) -> bytes:
        """A chunk without the finish reasons that turned out to be none."""
        chunk = _decoded(data)
        for part in chunk["choices"]:  # type: ignore[attr-defined]  # it was taken in before
            if self._choices[part.get("index", 0)].is_in_doubt:
                part["finish_reason"] = None
        return json_text.encode(chunk)

    def belated(self) -> bytes:
        """The chunk that tells the finish reasons which were in doubt."""
        choices = [
            {"index": index, "delta": {}, "finish_reason": choice.finish_reason}
            for index, choice in sorted(self._choices.items())
            if choice.is_in_doubt
        ]
        frame = {name: value for name, value in self._fields.items() if name not in HIDDEN}
        return json_text.encode({**frame, "object": completions.CHUNK, "choices": choices})

    def _take_fields(self, chunk: Mapping[str, object]) -> None:
        self._replace(self._fields, chunk, beside=_NO_FIELDS)
        groq = chunk.get("x_groq")  # Groq's own place, https://github.com/groq/groq-python (XGroq)
        if isinstance(groq, dict):
            if groq.get("error"):  # "why a stream was stopped early"
                raise BrokenStreamError
            if groq.get("usage") and not self._fields.get("usage"):
                self._growth.replace(self._fields, "usage", groq["usage"])

    def _take_choice(self, part: dict[str, object]) -> bool:
        """Whether something of it had to be set right for those who are shown it."""
        if part.get("error"):
            raise BrokenStreamError
        choice = self._choices.setdefault(number(part.get("index", 0), below=CHOICES_AT_MOST), _Choice())
        delta = mapping(part.get("delta") or {})
        is_changed = False
        if any(map(delta.get, SHOWN)):
            self.has_content = True
            choice.is_in_doubt = choice.is_in_doubt or choice.finish_reason is not None
            self.is_in_doubt = self.is_in_doubt or choice.is_in_doubt
        for name, value in delta.items():
            if name != "tool_calls":
                self._growth.merge(choice.message, name, value)
            elif value:
                is_changed = choice.calls.take(value, self._growth)
        if logprobs := part.get("logprobs"):
            self._take_logprobs(choice.logprobs, mapping(logprobs))
        if (reason := part.get("finish_reason")) and finish_reasons.says_something(reason):
            self._finished += choice.finish_reason is None
            choice.finish_reason = reason
            if choice.is_in_doubt:
                part["finish_reason"] = None
                is_changed = True
        self._replace(choice.rest, part, beside=_NO_REST)
        return is_changed

    def _take_logprobs(self, into: dict[str, object], logprobs: Mapping[str, object]) -> None:
        for name, value in logprobs.items():
            items = into.get(name)
            if not isinstance(value, list) or (items and not isinstance(items, _Items)):
                self._growth.merge(into, name, value)
                continue
            if not isinstance(items, _Items):
                items = _Items()
                self._growth.replace(into, name, items)
            if value:
                more = json_text.encode(value)[1:-1]
                items += b"," + more if items else more
                self._logprobs_bytes += len(more)

    def _replace(self, into: dict[str, object], values: Mapping[str, object], *, beside: frozenset[str]) -> None:
        """What comes later stands; null says nothing."""
        for name, value in values.items():
            if name not in beside and value is not None and into.get(name) != value:
                self._growth.replace(into, name, value)


def _decoded(data: bytes) -> dict[str, object]:
    try:
        return mapping(json_text.decode(data))
    except ValueError as error:
        raise BrokenStreamError from error


def _whole(index: int, choice: _Choice) -> dict[str, object]:
    message = {name: joined(value) for name, value in choice.message.items()}
    calls = {"tool_calls": joined(choice.calls.calls)} if choice.calls.calls else {}
    return {
        **choice.rest,
        "index": index,
        "message": {"role": "assistant", "content": None, **message, **calls},
        "logprobs": {name: _listed(value) for name, value in choice.logprobs.items()} or None,
        "finish_reason": choice.finish_reason,
    }


def _listed(value: object) -> object:
    return json_text.literal(b"[" + value + b"]") if isinstance(value, _Items) else joined(value)
