"""The OpenAI chat completions format, which most providers speak: requests built, answers judged. No I/O.

Facts: https://platform.openai.com/docs/api-reference/chat; where another provider differs, the difference is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from llm_router import completions, json_text
from llm_router.adapters import finish_reasons, openai_errors, openai_json, openai_usage
from llm_router.candidates import AuthKind, Candidate
from llm_router.prompts import Prompt
from llm_router.upstream import Asked, Reading, Streamed, UpstreamRequest, UpstreamResponse
from llm_router.usage import Outcome, TokenUsage

CHOICES = "n"
"""The field that asks for several choices."""


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
        return openai_errors.read(response, now, asked)
    return judge(openai_json.mapping(openai_json.decoded(response.body)), asked)


def judge(body: Mapping[str, object], asked: Asked) -> Reading:
    """Whether a completion is whole: each choice has content, a refusal or a tool call, and says why it ended."""
    found = body.get("choices")
    parts = [openai_json.mapping(part) for part in found] if isinstance(found, list) else []
    text = completions.text(parts[0]) or "" if parts else ""
    failed = billed(body, has_text=bool(text))
    if body.get("error") or openai_json.mapping(body.get("x_groq")).get("error") or not parts:
        return failed
    if any(finish_reasons.is_filtered(part.get("finish_reason")) for part in parts):
        return replace(failed, outcome=Outcome.CONTENT_FILTER)
    if not all(_is_whole(part, asked, failed.tokens) for part in parts):
        return failed
    if len(parts) < asked.choices:  # it takes no notice of `n`, and answers whole to whoever asks for one
        arrived_bytes = completions.size_bytes(body)
        return replace(failed, outcome=Outcome.UNSUITED, param=CHOICES, arrived_bytes=arrived_bytes)
    if failed.tokens is None:  # what can't be true is not handed on either
        body = {name: value for name, value in body.items() if name != "usage"}
    model = body.get("model")
    return replace(
        failed,
        outcome=Outcome.SUCCESS,
        text=text,
        model=model if isinstance(model, str) else None,
        completion=body,
        may_be_billed=False,
    )


def billed(body: Mapping[str, object], *, has_text: bool) -> Reading:
    """A failure that may be billed, with what the body says of its cost.

    Words that took no tokens: whoever reports that has not counted.
    """
    tokens = openai_usage.read(body.get("usage"))
    if has_text and tokens and not tokens.completion:
        tokens = None
    tier = body.get("service_tier")
    return Reading(
        Outcome.MALFORMED,
        tokens=tokens,
        may_be_billed=True,
        usd_reported=openai_usage.usd(body.get("usage")),
        fees=openai_usage.fees(body),
        service_tier=tier if isinstance(tier, str) else None,
    )


def _is_whole(choice: Mapping[str, object], asked: Asked, tokens: TokenUsage | None) -> bool:
    reason = choice.get("finish_reason")
    if choice.get("error") or not finish_reasons.is_an_end(reason) or completions.has_nameless_calls(choice):
        return False
    if completions.has_substance(choice, with_calls=asked.with_calls):
        return True
    has_worked = completions.has_reasoning(choice) or bool(tokens and tokens.completion)
    return finish_reasons.is_at_the_limit(reason) and has_worked  # thinking took all the tokens that there were


def _auth(candidate: Candidate, key: str | None) -> dict[str, str]:
    auth = candidate.provider.auth
    if key is None or not auth.needs_key:
        return {}
    if auth.kind is AuthKind.HEADER and auth.header:
        return {auth.header: key}
    return {"authorization": f"Bearer {key}"}
