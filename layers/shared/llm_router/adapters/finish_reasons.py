"""Why an answer ended, in the words of many providers: by itself, at its limit, at a filter, or because it broke. Pure.

An unknown reason is taken for an end: else each answer of a provider with a word of its own would fail for ever.
"""

from __future__ import annotations

import re

_SAYS_NOTHING = frozenset({"", "null"})
"""What some send with each chunk before the last; DashScope the word null."""

_NO_REASON = frozenset({"unknown", "other", "unspecified", "finish_reason_unspecified", "none"})
"""Said by whoever does not know that the answer is whole."""

_BROKE_OFF = re.compile(
    r"error|abort|cancel|time_?d?_?out|fail|malformed|interrupt|insufficient|incomplete|unavailable|overload"
    r"|disconnect|shut_?down|rate_?limit|unexpected|missing|too_many_tool"
)
"""Mistral's, OpenRouter's and Z.ai's errors, vLLM's abort, DeepSeek's want of resources, Gemini's malformed and
unexpected calls."""

_FILTERED = re.compile(
    r"content_?filter|safety|recitation|prohibited|blocklist|blocked|spii|sensitive|moderation|guardrail|policy"
    r"|^refusal$"
)
"""OpenAI's, Gemini's (https://ai.google.dev/api/generate-content#FinishReason), Z.ai's, Bedrock's, Anthropic's."""

_AT_THE_LIMIT = frozenset(
    {"length", "max_tokens", "model_length", "max_output_tokens", "max_length", "model_context_window_exceeded"}
)


def says_something(reason: object) -> bool:
    """Whether it is more than what a chunk in the middle of a stream has."""
    return bool(reason) and not (isinstance(reason, str) and reason.lower() in _SAYS_NOTHING)


def is_an_end(reason: object) -> bool:
    """Whether the model came to an end, by itself or at its limit."""
    if not isinstance(reason, str) or not says_something(reason):
        return False
    word = reason.lower()
    return word not in _NO_REASON and not _BROKE_OFF.search(word) and not is_filtered(reason)


def is_filtered(reason: object) -> bool:
    """Whether a filter ended it."""
    return isinstance(reason, str) and _FILTERED.search(reason.lower()) is not None


def is_at_the_limit(reason: object) -> bool:
    """Whether it used up the tokens that it was given."""
    return isinstance(reason, str) and reason.lower() in _AT_THE_LIMIT
