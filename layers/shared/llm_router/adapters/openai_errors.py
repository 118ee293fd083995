"""What a provider's refusal means: statuses and codes of OpenAI's format, and where other providers differ.

Facts: https://platform.openai.com/docs/guides/error-codes; others stand beside what they are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime

from llm_router import retry_after
from llm_router.adapters import openai_dialects, openai_json
from llm_router.upstream import Asked, Reading, UpstreamResponse
from llm_router.usage import Outcome

GENERATED = frozenset({"tool_use_failed", "json_validate_failed"})
"""Codes of a model that answered, but not in the form that was asked for; `failed_generation` is what it said. Groq's:
https://console.groq.com/docs/tool-use, https://console.groq.com/docs/structured-outputs
"""

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
    **dict.fromkeys(GENERATED, Outcome.UNSUITED),
}
"""What an error's `code` says, whatever its status."""

TOO_MANY = "input_tokens"
"""What vLLM calls the field at fault where a prompt is too long: no request has one of that name."""

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

_FIELD_NAME = re.compile(r"[\w.\[\]-]{1,100}", re.ASCII)

_STREAMING = frozenset({"stream", "stream_options"})
"""What the router adds to a request by itself, and can do without."""

_NO_STREAM = re.compile(
    r"\bstream(?:s|ed|ing)?\b[^.]*\b(?:not|unsupported)\b|\b(?:not|cannot|unsupported)\b[^.]*\bstream(?:s|ed|ing)?\b",
    re.IGNORECASE,
)
"""A sentence by which this request may not be streamed, from whoever names no field. Were it about anything else, it
costs one more refusal."""

_READ_OF_A_MESSAGE = 1000


def read(response: UpstreamResponse, now: datetime, asked: Asked) -> Reading:
    """Which failure a response with an error status is."""
    said = openai_json.decoded(response.body)
    body = openai_json.mapping(said[0] if isinstance(said, list) and said else said)  # Gemini's errors come in a list
    error = openai_json.mapping(body.get("error")) or body  # Mistral's stands at the top
    saying = openai_dialects.meaning(asked.dialect, status=response.status, message=_message(error))
    param = _param(error) or (saying.param if saying else None)
    outcome = _coded(error) or (saying.outcome if saying else _outcome(response.status, error))
    if outcome is Outcome.BAD_REQUEST and _is_about_streams(error, param, asked):
        outcome = Outcome.STREAM_REFUSED
    return Reading(
        outcome,
        may_be_billed=any(code in GENERATED for code in _codes(error)),
        arrived_bytes=_generated_bytes(error),
        retry_after_s=retry_after.seconds(response.headers, now=now),
        param=param,
    )


def _is_about_streams(error: Mapping[str, object], param: str | None, asked: Asked) -> bool:
    if param is not None:
        return param.partition(".")[0] in _STREAMING
    return asked.is_streamed and bool(_NO_STREAM.search(_message(error)[:_READ_OF_A_MESSAGE]))


def _generated_bytes(error: Mapping[str, object]) -> int:
    said = error.get("failed_generation")
    return len(said.encode("utf-8", "surrogatepass")) if isinstance(said, str) else 0


def broken_by(data: bytes) -> tuple[Outcome, int]:
    """What the event means at which a stream breaks, and how many bytes of text it says were generated."""
    error = openai_json.mapping(openai_json.mapping(openai_json.decoded(data)).get("error"))
    outcome = next((CODES[code] for code in _codes(error) if code in GENERATED), Outcome.MALFORMED)
    return outcome, _generated_bytes(error)


def _param(error: Mapping[str, object]) -> str | None:
    """The field that is objected to: OpenAI's `param`, or the first place among FastAPI's details."""
    said = error.get("param")
    if not isinstance(said, str):
        said = next(_places(error), "")
    return said if _FIELD_NAME.fullmatch(said) else None


def _places(error: Mapping[str, object]) -> Iterator[str]:
    """Fields as FastAPI's servers name them, `["body", "stream_options", "include_usage"]`: Mistral's, and vLLM's kin.

    The details stand at the top, in `message`, or are it.
    """
    message = error.get("message")
    for details in (error.get("detail"), openai_json.mapping(message).get("detail"), message):
        for detail in details if isinstance(details, list) else []:
            place = openai_json.mapping(detail).get("loc")
            if isinstance(place, list):
                yield ".".join(str(part) for part in place[place[:1] == ["body"] :])


def _message(error: Mapping[str, object]) -> str:
    """XAI's stands in `error` itself."""
    return next((said for said in (error.get("message"), error.get("error")) if isinstance(said, str)), "")


def _coded(error: Mapping[str, object]) -> Outcome | None:
    if error.get("param") == TOO_MANY:
        return Outcome.CONTEXT_LENGTH
    return next((CODES[said] for said in _codes(error) if said in CODES), None)


def _outcome(status: int, error: Mapping[str, object]) -> Outcome:
    if status == 403 and "reasons" in openai_json.mapping(error.get("metadata")):
        return Outcome.CONTENT_FILTER  # OpenRouter's moderation, https://openrouter.ai/docs/api-reference/errors
    if status in STATUSES:
        return STATUSES[status]
    if status < 400:
        return Outcome.MALFORMED
    return Outcome.OVERLOADED if status >= 500 else Outcome.BAD_REQUEST


def _codes(error: Mapping[str, object]) -> Iterator[str]:
    """What names the kind of an error, the most exact first; Google's APIs have reasons in a list of details."""
    details = error.get("details")
    reasons = [openai_json.mapping(detail).get("reason") for detail in (details if isinstance(details, list) else [])]
    yield from (said for said in (error.get("code"), error.get("type"), *reasons) if isinstance(said, str))
