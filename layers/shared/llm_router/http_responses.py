"""What callers get: answers, errors in the OpenAI shape, and the router's headers."""

from __future__ import annotations

from starlette.responses import Response

from llm_router import completions, figures, json_text, prompt_warnings
from llm_router.errors import CallerError
from llm_router.fitting import Fitted
from llm_router.prompts import Prompt
from llm_router.routing import Plan
from llm_router.trials import Answer, Served
from llm_router.usage import UsageRecord

LAMBDA_BYTES_AT_MOST = 6_291_556
"""What Lambda's runtime interface takes as an answer. It refuses more, and the environment ends with that."""

HEADERS_BYTES_AT_MOST = 10_000
"""What Lambda's answer has beside the body: the router's headers, each of at most 256 characters."""


def as_json(value: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response in which decimals are plain literals."""
    return Response(json_text.encode(value), status, headers, media_type="application/json")


def generated(answer: Answer) -> Response:
    """The answer of `POST /generate`: seven documented keys, and what else is known beside them."""
    record = answer.record
    served = record.attempts[-1]
    tokens = served.tokens
    body = {
        "provider": served.provider,
        "modelUsed": answer.model,
        "tokens": tokens.total if tokens else None,
        "cost": record.cost.usd,
        "latency": figures.seconds(record.latency_ms or 0),
        "response": answer.text,
        "status": "success",
        "requestId": record.request_id,
        "promptTokens": tokens.prompt if tokens else None,
        "completionTokens": tokens.completion if tokens else None,
        "costBasis": record.cost.basis.value,
        "warnings": prompt_warnings.warnings(record.trimming),
        "attempts": figures.attempt_rows(record.attempts),
    }
    return as_json(body, headers=answer_headers(answer))


def chat(answer: Answer) -> Response:
    """The answer of `POST /v1/chat/completions`: the provider's own completion, with what it cost.

    `warnings` stand in it only where there are any: OpenAI's clients know no such field and hand it on.
    """
    record = answer.record
    usage = completions.usage(record.attempts[-1].tokens, record.cost, answer.completion.get("usage"))
    body = {
        "id": record.request_id,
        "object": "chat.completion",
        "created": int(record.opened_at.timestamp()),
        **answer.completion,
        "model": answer.model,
        "usage": usage,
        **told(record),
    }
    return as_json(body, headers=answer_headers(answer))


def told(record: UsageRecord) -> dict[str, object]:
    """What OpenAI's door says beside a completion: nothing, or the warnings."""
    warnings = prompt_warnings.warnings(record.trimming)
    return {"warnings": warnings} if warnings else {}


def estimated(prompt: Prompt, fitted: Fitted, plan: Plan) -> Response:
    """The answer of `POST /estimate`: the plan, why candidates are not in it, and what would be sent of the prompt."""
    sent = fitted.prompt
    body = {
        "promptTokens": sent.estimated_tokens,
        "tokensBasis": "estimated" if sent.counted_tokens is None else "counted",
        "candidates": [
            {
                "provider": place.candidate.provider.name,
                "model": place.candidate.model,
                "expectedCost": place.expected_usd,
                "reason": place.reason,
            }
            for place in plan.places
        ],
        "excluded": [
            {
                "provider": item.candidate.provider.name,
                "model": item.candidate.model,
                "reason": item.exclusion.value,
                "lacking": sorted(map(str, item.lacking)),
            }
            for item in plan.excluded
        ],
        "outline": fitted.outline(prompt.messages),
        "warnings": prompt_warnings.warnings(fitted.trimming),
    }
    return as_json(body)


def fits_lambda(response: Response) -> bool:
    return lambda_bytes_at_most(response) <= LAMBDA_BYTES_AT_MOST


def lambda_bytes_at_most(response: Response) -> int:
    """What the runtime makes of it. The body is a string there: each quote and backslash is escaped once more."""
    body = bytes(response.body)
    return len(body) + body.count(b'"') + body.count(b"\\") + HEADERS_BYTES_AT_MOST


def answer_headers(answer: Answer) -> dict[str, str]:
    served = answer.record.attempts[-1]
    headers = {
        **_record_headers(answer.record),
        "x-router-provider": served.provider,
        "x-router-model": answer.model,
        "x-router-reason": answer.reason,
        "x-router-overhead-ms": str(answer.overhead_ms),
    }
    return {name: _header_safe(value) for name, value in headers.items()}


def served_headers(served: Served) -> dict[str, str]:
    """What is known at the first content of a live stream; the rest comes in its last chunk."""
    headers = {
        "x-request-id": served.request_id,
        "x-router-provider": served.provider,
        "x-router-model": served.model,
        "x-router-attempts": str(served.attempts),
        "x-router-reason": served.reason,
    }
    return {name: _header_safe(value) for name, value in headers.items()}


def error_body(error: CallerError, record: UsageRecord | None = None) -> dict[str, object]:
    """In the OpenAI shape, with the attempts where providers were tried."""
    told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return {"error": told, **({"attempts": figures.attempt_rows(record.attempts)} if record else {})}


def failed(error: CallerError, record: UsageRecord | None = None) -> Response:
    headers = _record_headers(record) if record else {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    return as_json(error_body(error, record), status=error.status, headers=headers)


def _record_headers(record: UsageRecord) -> dict[str, str]:
    usd = record.cost.usd
    return {
        "x-request-id": record.request_id,
        "x-router-attempts": str(len(record.attempts)),
        "x-router-cost-basis": record.cost.basis.value,
        **({} if usd is None else {"x-router-cost-usd": f"{usd:f}"}),
    }


def _header_safe(value: str) -> str:
    """A model's name comes from upstream; a header takes printable ASCII only."""
    return "".join(character if " " <= character <= "~" else "?" for character in value)[:256]
