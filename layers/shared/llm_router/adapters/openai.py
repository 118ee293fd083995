"""The OpenAI chat completions format, which most providers speak: requests built, answers judged. No I/O.

Facts: https://platform.openai.com/docs/api-reference/chat; where another provider differs, the difference is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TypedDict

from llm_router import completions, json_text
from llm_router.adapters import openai_errors, openai_json, openai_usage
from llm_router.candidates import AuthKind, Candidate
from llm_router.prompts import Prompt
from llm_router.upstream import Asked, Reading, Streamed, UpstreamRequest, UpstreamResponse
from llm_router.usage import Outcome

INCOMPLETE = frozenset({"", "error", "insufficient_system_resource", "abort"})
"""Finish reasons of an answer that broke off: Mistral's and OpenRouter's, DeepSeek's, vLLM's. `length` is complete."""


def build(
    prompt: Prompt,
    *,
    candidate: Candidate,
    key: str | None,
    output_cap: int | None = None,
    streamed: Streamed = Streamed.NO,
) -> UpstreamRequest:
    """The request in this format; `output_cap` limits the answer's tokens."""
    fields: dict[str, object] = {
        "model": candidate.model,
        "messages": prompt.messages,
        candidate.provider.output_cap_parameter or prompt.output_cap_parameter: output_cap,
        **prompt.fields,
        **({} if streamed is Streamed.NO else {"stream": True}),
        "stream_options": {**prompt.stream_options, "include_usage": True} if streamed is Streamed.COUNTED else None,
    }
    refused = candidate.provider.refused_parameters - prompt.parameters  # what asks for something is never left out
    body = {name: value for name, value in fields.items() if value is not None and name not in refused}
    accept = "application/json" if streamed is Streamed.NO else "text/event-stream"
    headers = {"content-type": "application/json", "accept": accept, **_auth(candidate, key)}
    return UpstreamRequest(f"{candidate.provider.base_url}/chat/completions", headers, json_text.encode(body))


def read(response: UpstreamResponse, *, now: datetime, asked: Asked = Asked()) -> Reading:  # noqa: B008  # frozen
    """What the response is: a whole answer, or which failure."""
    if response.status != 200:
        return openai_errors.read(response, now, dialect=asked.dialect)
    return judge(openai_json.mapping(openai_json.decoded(response.body)), asked)


def judge(body: Mapping[str, object], asked: Asked) -> Reading:
    """Whether a completion is whole: each choice has content, a refusal or a tool call, and says why it ended."""
    tokens, bill = openai_usage.read(body.get("usage")), _bill(body)
    billed = Reading(Outcome.MALFORMED, tokens=tokens, may_be_billed=True, **bill)
    found = body.get("choices")
    if body.get("error") or not isinstance(found, list) or len(found) < asked.choices:
        return billed
    parts = [openai_json.mapping(part) for part in found]
    if any(part.get("finish_reason") == "content_filter" for part in parts):
        return replace(billed, outcome=Outcome.CONTENT_FILTER)
    if not all(_is_whole(part, asked) for part in parts):
        return billed
    model = body.get("model")
    text = completions.text(parts[0]) or ""
    if tokens and text and not tokens.completion:
        tokens = None  # words that took no tokens: whoever reports that has not counted
    if tokens is None:  # what can't be true is not handed on either
        body = {name: value for name, value in body.items() if name != "usage"}
    return Reading(
        Outcome.SUCCESS,
        text=text,
        model=model if isinstance(model, str) else None,
        completion=body,
        tokens=tokens,
        **bill,
    )


class _Bill(TypedDict):
    usd_reported: Decimal | None
    fees: bool | None
    service_tier: str | None


def _bill(body: Mapping[str, object]) -> _Bill:
    """What an answer says of its cost beside the counts of tokens."""
    tier = body.get("service_tier")
    return _Bill(
        usd_reported=openai_usage.usd(body.get("usage")),
        fees=openai_usage.fees(body),
        service_tier=tier if isinstance(tier, str) else None,
    )


def _is_whole(choice: Mapping[str, object], asked: Asked) -> bool:
    reason = choice.get("finish_reason")
    if choice.get("error") or not isinstance(reason, str) or reason in INCOMPLETE:
        return False
    return completions.has_substance(choice, with_calls=asked.with_calls)


def _auth(candidate: Candidate, key: str | None) -> dict[str, str]:
    auth = candidate.provider.auth
    if key is None or not auth.needs_key:
        return {}
    if auth.kind is AuthKind.HEADER and auth.header:
        return {auth.header: key}
    return {"authorization": f"Bearer {key}"}
