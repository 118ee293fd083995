"""The OpenAI chat completions format, which most providers speak.

Facts: https://platform.openai.com/docs/api-reference/chat and https://platform.openai.com/docs/guides/error-codes;
where another provider differs, the difference is named with the provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from llm_router import json_text, retry_after
from llm_router.candidates import AuthKind, Candidate
from llm_router.prompts import Prompt
from llm_router.upstream import Reading, UpstreamRequest, UpstreamResponse
from llm_router.usage import Outcome, TokenUsage

CODES = {
    "invalid_api_key": Outcome.REFUSED,
    "account_deactivated": Outcome.REFUSED,
    "API_KEY_INVALID": Outcome.REFUSED,  # Gemini, in `details`
    "insufficient_quota": Outcome.REFUSED,
    "credit_balance_exhausted": Outcome.REFUSED,
    "organization_spend_limit_exceeded": Outcome.REFUSED,
    "project_spend_limit_exceeded": Outcome.REFUSED,
    "organization_usage_limit_exceeded": Outcome.REFUSED,
    "billing_hard_limit_reached": Outcome.REFUSED,
    "model_not_found": Outcome.REFUSED,
    "model_decommissioned": Outcome.REFUSED,  # Groq, https://console.groq.com/docs/deprecations
    "permission_denied": Outcome.REFUSED,
    "unsupported_country_region_territory": Outcome.REFUSED,
    "rate_limit_exceeded": Outcome.RATE_LIMITED,  # Groq sends it with 413 and 498 too
    "capacity_exceeded": Outcome.RATE_LIMITED,  # Groq, 498, https://console.groq.com/docs/flex-processing
    "context_length_exceeded": Outcome.CONTEXT_LENGTH,
    "content_filter": Outcome.CONTENT_FILTER,
    "content_policy_violation": Outcome.CONTENT_FILTER,
}
"""What an error's `code` says, whatever its status."""

STATUSES = {
    401: Outcome.REFUSED,
    402: Outcome.REFUSED,
    403: Outcome.REFUSED,
    404: Outcome.REFUSED,
    408: Outcome.OVERLOADED,
    412: Outcome.REFUSED,  # Fireworks: account suspended, https://docs.fireworks.ai/guides/inference-error-codes
    429: Outcome.RATE_LIMITED,
    500: Outcome.SERVER_ERROR,
    502: Outcome.SERVER_ERROR,
}
"""What a status says where the code says nothing. Other 4xx are the request's fault, other 5xx mean overloaded."""

INCOMPLETE = frozenset({"error", "insufficient_system_resource", "abort"})
"""Finish reasons of an answer that broke off: Mistral's and OpenRouter's, DeepSeek's, vLLM's. `length` is complete."""

TOKENS_AT_MOST = 1_000_000_000
"""More than anybody can have used; a count past it is no count."""

_FIELD_NAME = re.compile(r"[\w.\[\]-]{1,100}", re.ASCII)


def build(prompt: Prompt, *, candidate: Candidate, key: str | None, output_cap: int | None = None) -> UpstreamRequest:
    """The request in this format; `output_cap` limits the answer's tokens."""
    fields: dict[str, object] = {
        "model": candidate.model,
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        candidate.provider.output_cap_parameter: output_cap,
        "temperature": prompt.temperature,
    }
    dropped = candidate.provider.dropped_parameters
    body = {name: value for name, value in fields.items() if value is not None and name not in dropped}
    headers = {"content-type": "application/json", "accept": "application/json", **_auth(candidate, key)}
    return UpstreamRequest(f"{candidate.provider.base_url}/chat/completions", headers, json_text.encode(body))


def read(response: UpstreamResponse, *, now: datetime) -> Reading:
    """What the response is: a whole answer, or which failure. An answer without a finish reason is not whole."""
    if response.status != 200:
        return _refusal(response, now)
    body = _mapping(_decoded(response.body))
    tokens = _tokens(body.get("usage"))
    billed = Reading(Outcome.MALFORMED, tokens=tokens, may_be_billed=True)
    choices = body.get("choices")
    if body.get("error") or not isinstance(choices, list) or not choices:
        return billed
    choice = _mapping(choices[0])
    if choice.get("error"):
        return billed
    finish_reason = choice.get("finish_reason")
    if finish_reason == "content_filter":
        return Reading(Outcome.CONTENT_FILTER, tokens=tokens, may_be_billed=True)
    text = _text(_mapping(choice.get("message")))
    if text is None or not isinstance(finish_reason, str) or finish_reason in INCOMPLETE | {""}:
        return billed
    model = body.get("model")
    return Reading(Outcome.SUCCESS, text=text, model=model if isinstance(model, str) else None, tokens=tokens)


def _auth(candidate: Candidate, key: str | None) -> dict[str, str]:
    auth = candidate.provider.auth
    if key is None or not auth.needs_key:
        return {}
    if auth.kind is AuthKind.HEADER and auth.header:
        return {auth.header: key}
    return {"authorization": f"Bearer {key}"}


def _refusal(response: UpstreamResponse, now: datetime) -> Reading:
    said = _decoded(response.body)
    body = _mapping(said[0] if isinstance(said, list) and said else said)  # Gemini's errors come in a list
    error = _mapping(body.get("error")) or body  # Mistral's stands at the top
    param = error.get("param")
    return Reading(
        _outcome(response.status, error),
        retry_after_s=retry_after.seconds(response.headers, now=now),
        param=param if isinstance(param, str) and _FIELD_NAME.fullmatch(param) else None,
    )


def _outcome(status: int, error: Mapping[str, object]) -> Outcome:
    for said in _codes(error):
        if isinstance(said, str) and said in CODES:
            return CODES[said]
    if status == 403 and "reasons" in _mapping(error.get("metadata")):
        return Outcome.CONTENT_FILTER  # OpenRouter's moderation, https://openrouter.ai/docs/api-reference/errors
    if status in STATUSES:
        return STATUSES[status]
    if status < 400:
        return Outcome.MALFORMED
    return Outcome.OVERLOADED if status >= 500 else Outcome.BAD_REQUEST


def _codes(error: Mapping[str, object]) -> Iterator[object]:
    """What names the kind of an error, the most exact first; Google's APIs have reasons in a list of details."""
    yield error.get("code")
    yield error.get("type")
    details = error.get("details")
    yield from (_mapping(detail).get("reason") for detail in (details if isinstance(details, list) else []))


def _text(message: Mapping[str, object]) -> str | None:
    """The answer's text; None where there is neither content nor a refusal."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # Mistral's reasoning models answer in parts
        texts = [part.get("text") for part in map(_mapping, content) if part.get("type") == "text"]
        strings = [text for text in texts if isinstance(text, str)]
        return "".join(strings) if len(strings) == len(texts) else None
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else None


def _tokens(usage: object) -> TokenUsage | None:
    """None unless both counts are there: half a report is no report.

    Reasoning that is counted beside the completion is in the total, as xAI documents; it is billed as completion.
    """
    report = _mapping(usage)
    prompt, completion = _count(report.get("prompt_tokens")), _count(report.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = _count(_mapping(report.get("prompt_tokens_details")).get("cached_tokens"))
    if cached is None:
        cached = _count(report.get("prompt_cache_hit_tokens"))  # DeepSeek
    completion = max(completion, (_count(report.get("total_tokens")) or 0) - prompt)
    return TokenUsage(prompt=prompt, completion=completion, cached_prompt=min(cached or 0, prompt))


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= TOKENS_AT_MOST else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _decoded(body: bytes) -> object:
    """None where the body is no JSON."""
    try:
        return json_text.decode(body)
    except ValueError:
        return None
