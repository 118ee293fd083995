"""What callers get: answers, errors in the OpenAI shape, and the router's headers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

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

TOLD_IN_USAGE = ("cost_basis", "cost_usd")
"""Of what the headers tell: a completion's `usage` has it, the cost as `cost`."""


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
    return as_json(body, headers=router_headers(answer_facts(answer)))


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
    return as_json(body, headers=router_headers(answer_facts(answer)))


def told(record: UsageRecord, *, late: Mapping[str, object] | None = None) -> dict[str, object]:
    """What OpenAI's door says beside a completion: nothing, or the warnings, and what came too `late` for the headers.

    What the completion's `usage` tells is not said twice.
    """
    warnings = prompt_warnings.warnings(record.trimming)
    beside = {name: value for name, value in (late or {}).items() if name not in TOLD_IN_USAGE}
    return {**({"warnings": warnings} if warnings else {}), **_under_own_name(beside)}


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


def answer_facts(answer: Answer) -> dict[str, object]:
    """What the headers tell of an answer. `model` is the candidate's; what the provider calls it is in the body."""
    served = answer.record.attempts[-1]
    return {
        "provider": served.provider,
        "model": served.model,
        "attempts": len(answer.record.attempts),
        "reason": answer.reason,
        "overhead_ms": answer.overhead_ms,
        **_cost_facts(answer.record),
    }


def served_facts(served: Served) -> dict[str, object]:
    """Those that are known at the first content of a live stream; the rest comes in its last chunk."""
    return {
        "provider": served.provider,
        "model": served.model,
        "attempts": served.attempts,
        "reason": served.reason,
    }


def router_headers(facts: Mapping[str, object]) -> dict[str, str]:
    return {f"x-router-{name.replace('_', '-')}": _header_safe(_text(value)) for name, value in facts.items()}


def error_body(error: CallerError, record: UsageRecord | None = None) -> dict[str, object]:
    """In the OpenAI shape, with the attempts where providers were tried."""
    told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return {"error": told, **({"attempts": figures.attempt_rows(record.attempts)} if record else {})}


def error_event(error: CallerError, record: UsageRecord | None = None, *, request_id: str) -> dict[str, object]:
    """That of a stream that has begun: with what the headers tell of an error that has a status."""
    paid = _cost_facts(record) if record else {}
    return {**error_body(error, record), "requestId": request_id, **_under_own_name(paid)}


def failed(error: CallerError, record: UsageRecord | None = None) -> Response:
    facts = {"attempts": len(record.attempts), **_cost_facts(record)} if record else {}
    headers = router_headers(facts)
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    return as_json(error_body(error, record), status=error.status, headers=headers)


def _cost_facts(record: UsageRecord) -> dict[str, object]:
    usd = record.cost.usd
    return {"cost_basis": record.cost.basis.value, **({} if usd is None else {"cost_usd": usd})}


def _under_own_name(facts: Mapping[str, object]) -> dict[str, object]:
    """What the headers call x-router-…; a name that no provider has a use for, as Groq's is `x_groq`."""
    return {"x_router": facts} if facts else {}


def _text(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _header_safe(value: str) -> str:
    """A model's name comes from upstream; a header takes printable ASCII only."""
    return "".join(character if " " <= character <= "~" else "?" for character in value)[:256]
