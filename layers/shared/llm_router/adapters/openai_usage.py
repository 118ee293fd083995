"""Tokens as providers report them, in OpenAI's format and in the ways in which others differ."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from llm_router.adapters import openai_json
from llm_router.usage import TokenUsage

TOKENS_AT_MOST = 1_000_000_000
"""More than anybody can have used; a count past it is no count."""

REASONING_AT_MOST = 1_000_000
"""A total that leaves more for one answer is wrong."""

USD_AT_MOST = Decimal(1_000_000)
"""More than any answer can cost."""

USD_PER_TICK = Decimal("1e-10")
"""xAI's unit: https://docs.x.ai/developers/cost-tracking"""

COUNTS_OF_FEES = ("num_sources_used", "num_server_side_tools_used", "web_search_requests", "num_search_queries")
"""xAI's, OpenRouter's and Anthropic's, Perplexity's: each unit of these is charged beside the tokens."""

TABLES_OF_FEES = ("server_tool_use", "server_side_tool_usage_details", "server_side_tool_usage")
"""OpenRouter's and Anthropic's, xAI's: how often each tool was used."""


def read(usage: object) -> TokenUsage | None:
    """None unless both counts are there and can be true: half a report is no report, nor is a prompt of no tokens.

    Reasoning that is counted beside the completion is in the total, as xAI documents and Gemini does; it is billed as
    completion. Parts that contradict their whole are cut to it. Cached audio is not told apart by anybody: what of the
    cached and the audio tokens can't be both in the prompt must be cached audio.
    """
    report = openai_json.mapping(usage)
    prompt, completion = _count(report.get("prompt_tokens")), _count(report.get("completion_tokens"))
    if not prompt or completion is None:
        return None
    of_prompt = openai_json.mapping(report.get("prompt_tokens_details"))
    of_completion = openai_json.mapping(report.get("completion_tokens_details"))
    reasoning = _count(of_completion.get("reasoning_tokens"))
    if reasoning is None:
        reasoning = _count(report.get("reasoning_tokens")) or 0  # Together, Perplexity
    beside = (_count(report.get("total_tokens")) or 0) - prompt
    if completion < beside <= REASONING_AT_MOST:
        reasoning = max(reasoning, beside - completion)
        completion = beside
    cached = min(_cached(report, of_prompt), prompt)
    written, written_1h = _written(report, of_prompt)
    written = min(written, prompt - cached)
    audio = min(_count(of_prompt.get("audio_tokens")) or 0, prompt - written)
    spoken = min(_count(of_completion.get("audio_tokens")) or 0, completion)
    return TokenUsage(
        prompt=prompt,
        completion=completion,
        cached_prompt=cached,
        cache_write=written,
        cache_write_1h=min(written_1h, written),
        audio_prompt=audio,
        cached_audio_prompt=max(0, cached + written + audio - prompt),
        reasoning=min(reasoning, completion - spoken),
        audio_completion=spoken,
    )


def usd(usage: object) -> Decimal | None:
    """What the provider says it charged, fees included: OpenRouter's `cost`, xAI's ticks. None where it doesn't say.

    With a key of the customer's own OpenRouter charges a fee, and the model's host the rest:
    https://openrouter.ai/docs/use-cases/usage-accounting
    """
    report = openai_json.mapping(usage)
    ticks = _amount(report.get("cost_in_usd_ticks"))
    if ticks is not None:
        return _bounded(ticks * USD_PER_TICK)
    charged = _amount(report.get("cost"))
    if charged is None or not report.get("is_byok"):
        return None if charged is None else _bounded(charged)
    upstream = _amount(openai_json.mapping(report.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else _bounded(charged + upstream)


def fees(body: Mapping[str, object]) -> bool | None:
    """Whether an answer reports the use of something that is charged beside tokens; None where it says nothing of it.

    A citation of the web is the trace of a search, also where no count of searches is reported.
    """
    report = openai_json.mapping(body.get("usage"))
    used = [report.get(name) for name in COUNTS_OF_FEES]
    for name in TABLES_OF_FEES:
        used += openai_json.mapping(report.get(name)).values()
    found = [count for count in map(_count, used) if count is not None]
    if any(found) or body.get("citations") or _searched(body.get("choices")):
        return True
    return False if found else None


def _cached(report: Mapping[str, object], details: Mapping[str, object]) -> int:
    """OpenAI's place for it, DeepSeek's, and Moonshot's and Together's."""
    places = (details.get("cached_tokens"), report.get("prompt_cache_hit_tokens"), report.get("cached_tokens"))
    return next((count for count in map(_count, places) if count is not None), 0)


def _written(report: Mapping[str, object], details: Mapping[str, object]) -> tuple[int, int]:
    """Tokens written to the cache, and those of them that stay for an hour: OpenAI's and OpenRouter's place, or
    Anthropic's names, which gateways hand on.
    """
    places = (
        details.get("cache_write_tokens"),
        details.get("cache_creation_tokens"),
        report.get("cache_creation_input_tokens"),
    )
    written = next((count for count in map(_count, places) if count is not None), 0)
    by_time = openai_json.mapping(report.get("cache_creation"))
    return written, _count(by_time.get("ephemeral_1h_input_tokens")) or 0


def _searched(choices: object) -> bool:
    parts = [openai_json.mapping(part) for part in choices] if isinstance(choices, list) else []
    messages = [openai_json.mapping(part.get("message")) for part in parts]
    return any(message.get("annotations") or message.get("executed_tools") for message in messages)


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= TOKENS_AT_MOST else None


def _amount(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    amount = Decimal(value)
    return amount if amount.is_finite() and amount >= 0 else None


def _bounded(amount: Decimal) -> Decimal | None:
    """None for what nobody can have charged, or for more digits than the ledger keeps."""
    return amount if amount <= USD_AT_MOST and len(amount.as_tuple().digits) <= 30 else None
