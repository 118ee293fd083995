"""What certain providers tell of an error in nothing but words, each provider's apart: the same words mean nothing from
another. All of it is read after status and code have had their say; tests hold each line to a body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_router.usage import Outcome


@dataclass(frozen=True, slots=True)
class Saying:
    """An error with this status whose message begins so. `param` is the request's field that would have to change."""

    status: int
    begins: re.Pattern[str]
    outcome: Outcome
    param: str | None = None


def _saying(status: int, begins: str, outcome: Outcome, param: str | None = None) -> Saying:
    return Saying(status, re.compile(begins), outcome, param)


DIALECTS = {
    "anthropic": (
        _saying(400, r"Your credit balance is too low", Outcome.REFUSED),
        _saying(400, r"prompt is too long: \d", Outcome.CONTEXT_LENGTH),
    ),
    "deepseek": (_saying(400, r"This model's maximum context length is \d", Outcome.CONTEXT_LENGTH),),
    "fireworks": (_saying(400, r"The prompt is too long: \d", Outcome.CONTEXT_LENGTH),),
    "gemini": (_saying(400, r"The input token count (\(\d+\) )?exceeds the maximum", Outcome.CONTEXT_LENGTH),),
    "mistral": (_saying(400, r"Prompt contains \d+ tokens .*too large for model with \d", Outcome.CONTEXT_LENGTH),),
    "openrouter": (
        _saying(400, r"This endpoint's maximum context length is \d", Outcome.CONTEXT_LENGTH),
        # Whoever can afford nothing at all is out of credit.
        _saying(402, r"This request requires more credits, .* can only afford [1-9]", Outcome.UNSUITED, "max_tokens"),
        _saying(402, r"Prompt tokens limit exceeded: \d+ > [1-9]", Outcome.UNSUITED, "messages"),
        _saying(404, r"No endpoints found that support ", Outcome.UNSUITED),
    ),
    "together": (
        # https://support.together.ai/articles/1067567273-error-codes-explanations-and-solutions: 403 is nothing else.
        _saying(403, r".", Outcome.CONTEXT_LENGTH),
        _saying(400, r"Input validation error: `inputs` ", Outcome.CONTEXT_LENGTH),
    ),
    "xai": (
        _saying(400, r"Incorrect API key provided", Outcome.REFUSED),
        _saying(400, r"This model's maximum prompt length is \d", Outcome.CONTEXT_LENGTH),
    ),
}


def meaning(dialect: str, *, status: int, message: str) -> Saying | None:
    """None where the provider's words add nothing."""
    sayings = DIALECTS.get(dialect, ())
    return next((found for found in sayings if found.status == status and found.begins.match(message)), None)
