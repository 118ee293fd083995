"""The calls that a streamed message makes, told apart as providers number and name them. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_router import completions
from llm_router.adapters.openai_fragments import BrokenStreamError, Growth, mapping

CALLS_AT_MOST = 128


@dataclass(slots=True)
class Calls:
    """Stand in the order in which they began, each under its own number, without gaps."""

    calls: list[dict[str, object]] = field(default_factory=list)
    _latest: dict[int, int] = field(default_factory=dict)

    def take(self, fragments: object, growth: Growth) -> bool:
        """Whether a number had to be set right, in the fragment itself: clients put calls together by it."""
        if not isinstance(fragments, list):
            raise BrokenStreamError
        is_set_right = is_beside = False
        for fragment in map(mapping, fragments):
            index = fragment.get("index")
            at = self._place(fragment, index, is_beside=is_beside)
            is_beside = is_beside or index is None
            if index != at:
                fragment["index"] = at
                is_set_right = True
            call = self.calls[at]
            for name, value in fragment.items():
                if name != "index":
                    growth.merge(call, name, value)
        return is_set_right

    def _place(self, fragment: Mapping[str, object], index: object, *, is_beside: bool) -> int:
        """`is_beside` says that another fragment of the same chunk had no number either: each is a call then."""
        if index is None:
            known = None if is_beside or not self.calls else len(self.calls) - 1
        else:
            known = self._latest.get(number(index, below=CALLS_AT_MOST))
        if known is not None and not _begins(fragment, self.calls[known], is_numbered=index is not None):
            return known
        at = len(self.calls)
        if at >= CALLS_AT_MOST:
            raise BrokenStreamError
        self.calls.append({})
        self._latest[at if index is None else number(index, below=CALLS_AT_MOST)] = at
        return at


def number(value: object, *, below: int) -> int:
    if not isinstance(value, int) or not 0 <= value < below:
        raise BrokenStreamError
    return value


def _begins(fragment: Mapping[str, object], call: Mapping[str, object], *, is_numbered: bool) -> bool:
    """Whether a fragment at the place of a call is another call all the same.

    Ollama, vLLM and gateways to Gemini give the number 0 to each of several calls; Gemini gave neither number nor id.
    Others have another id in each fragment of one call, which then has no name.
    https://github.com/ollama/ollama/issues/15457, https://github.com/poolsideai/pool/issues/9
    """
    said, known = fragment.get("id"), call.get("id")
    name, known_name = completions.call_name(fragment), completions.call_name(call)
    if said and known:
        return said != known and (name is not None or not is_numbered)
    return name is not None and known_name is not None and (name != known_name or not is_numbered)
