"""Tokens as providers report them, in OpenAI's format and in the ways in which others differ."""

from __future__ import annotations

from llm_router.adapters import openai_json
from llm_router.usage import TokenUsage

TOKENS_AT_MOST = 1_000_000_000
"""More than anybody can have used; a count past it is no count."""

REASONING_AT_MOST = 1_000_000
"""A total that leaves more for one answer is wrong."""


def read(usage: object) -> TokenUsage | None:
    """None unless both counts are there and can be true: half a report is no report, nor is a prompt of no tokens.

    Reasoning that is counted beside the completion is in the total, as xAI documents; it is billed as completion.
    """
    report = openai_json.mapping(usage)
    prompt, completion = _count(report.get("prompt_tokens")), _count(report.get("completion_tokens"))
    if not prompt or completion is None:
        return None
    cached = _count(openai_json.mapping(report.get("prompt_tokens_details")).get("cached_tokens"))
    if cached is None:
        cached = _count(report.get("prompt_cache_hit_tokens"))  # DeepSeek
    beside = (_count(report.get("total_tokens")) or 0) - prompt
    if completion < beside <= REASONING_AT_MOST:
        completion = beside
    return TokenUsage(prompt=prompt, completion=completion, cached_prompt=min(cached or 0, prompt))


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= TOKENS_AT_MOST else None
