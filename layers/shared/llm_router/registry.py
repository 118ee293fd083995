"""Providers that need no more than their name in the configuration: where each is and how it differs.

All of them speak OpenAI's chat completions format. A row holds only what the provider's own documentation states.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_router.candidates import Auth, AuthKind, Feature

FIRST_TOKEN_TIMEOUT_S = 10.0

NOT_YET = frozenset({"anthropic", "aws", "bedrock"})
"""Well-known providers whose own format has no adapter here yet."""

_BEARER = Auth(AuthKind.BEARER)


@dataclass(frozen=True, slots=True)
class KnownProvider:
    """`refused_parameters` are request fields that the provider answers with a 400; `lacks` is what none of its models
    can do. `reports_cost` says that its usage carries what it charged, all fees included. `dialect` is its line in
    `adapters.openai_dialects`.
    """

    base_url: str
    auth: Auth = _BEARER
    refused_parameters: frozenset[str] = frozenset()
    output_cap_parameter: str | None = "max_tokens"
    first_token_timeout_s: float = FIRST_TOKEN_TIMEOUT_S
    lacks: frozenset[Feature] = frozenset()
    reports_cost: bool = False
    dialect: str = ""


UNKNOWN = KnownProvider("", output_cap_parameter=None)
"""What is taken for granted of a provider that has no row. Its callers know best what it calls the limit."""

PROVIDERS = {
    "cerebras": KnownProvider("https://api.cerebras.ai/v1"),
    "deepseek": KnownProvider("https://api.deepseek.com", dialect="deepseek"),
    "fireworks": KnownProvider("https://api.fireworks.ai/inference/v1", dialect="fireworks"),
    "gemini": KnownProvider("https://generativelanguage.googleapis.com/v1beta/openai", dialect="gemini"),
    "groq": KnownProvider(
        "https://api.groq.com/openai/v1",
        # https://console.groq.com/docs/openai: "Currently Unsupported OpenAI Features"
        refused_parameters=frozenset({"logit_bias", "logprobs", "top_logprobs"}),
        lacks=frozenset({Feature.LOGPROBS, Feature.SEVERAL_CHOICES}),
    ),
    "mistral": KnownProvider(
        "https://api.mistral.ai/v1",
        # OpenAI's fields that are none of its ChatCompletionRequest, which takes no others:
        # https://github.com/mistralai/platform-docs-public (openapi.yaml)
        refused_parameters=frozenset(
            {
                "audio",
                "function_call",
                "functions",
                "logit_bias",
                "logprobs",
                "modalities",
                "prompt_cache_retention",
                "safety_identifier",
                "seed",
                "service_tier",
                "store",
                "top_logprobs",
                "user",
                "verbosity",
                "web_search_options",
            }
        ),
        dialect="mistral",
    ),
    # A local server loads a model from disk before its first token.
    "ollama": KnownProvider("http://localhost:11434/v1", auth=Auth(AuthKind.NONE), first_token_timeout_s=60.0),
    "openai": KnownProvider(
        "https://api.openai.com/v1",
        # Reasoning models refuse `max_tokens`: https://platform.openai.com/docs/api-reference/chat/create
        output_cap_parameter="max_completion_tokens",
    ),
    # https://openrouter.ai/docs/use-cases/usage-accounting
    "openrouter": KnownProvider("https://openrouter.ai/api/v1", reports_cost=True, dialect="openrouter"),
    "together": KnownProvider("https://api.together.ai/v1", dialect="together"),
    # https://docs.x.ai/developers/cost-tracking
    "xai": KnownProvider("https://api.x.ai/v1", reports_cost=True, dialect="xai"),
}

LAYERS = {
    "anthropic": KnownProvider("https://api.anthropic.com/v1", output_cap_parameter=None, dialect="anthropic"),
}
"""Second formats of providers whose first is another one: known where the configuration gives their address."""


def known(name: str, *, base_url: str | None = None) -> KnownProvider | None:
    """The row of that name, or the one whose host `base_url` has: a second account keeps its provider's ways."""
    if name in PROVIDERS or base_url is None:
        return PROVIDERS.get(name)
    host = urlsplit(base_url).hostname
    rows = (*PROVIDERS.values(), *LAYERS.values())
    return next((row for row in rows if _public_host(row) == host), None)


def _public_host(row: KnownProvider) -> str | None:
    """None for what runs on one machine: anything at all may listen there."""
    parts = urlsplit(row.base_url)
    return parts.hostname if parts.scheme == "https" else None
