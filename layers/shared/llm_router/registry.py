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
    """`refused_parameters` are request fields that the provider answers with a 400, or takes no notice of; `lacks` is
    what none of its models can do. `reports_cost` says that its usage carries what it charged, all fees included.
    `dialect` is its line in `adapters.openai_dialects`. `reads_files` says that it turns files into text for models
    that see no pictures. `unstreamed_for` and `apart` are as in `candidates.Provider`.
    """

    base_url: str
    auth: Auth = _BEARER
    refused_parameters: frozenset[str] = frozenset()
    output_cap_parameter: str | None = "max_tokens"
    first_token_timeout_s: float = FIRST_TOKEN_TIMEOUT_S
    lacks: frozenset[Feature] = frozenset()
    reports_cost: bool = False
    dialect: str = ""
    reads_files: bool = False
    unstreamed_for: frozenset[Feature] = frozenset()
    apart: tuple[frozenset[Feature], ...] = ()


UNKNOWN = KnownProvider("", output_cap_parameter=None)
"""What is taken for granted of a provider that has no row. Its callers know best what it calls the limit."""

PROVIDERS = {
    # Content is text and images: https://inference-docs.cerebras.ai/capabilities/image-inputs
    "cerebras": KnownProvider("https://api.cerebras.ai/v1", lacks=frozenset({Feature.FILES})),
    # Content is text: https://api-docs.deepseek.com/api/create-chat-completion
    "deepseek": KnownProvider("https://api.deepseek.com", dialect="deepseek", lacks=frozenset({Feature.FILES})),
    "fireworks": KnownProvider("https://api.fireworks.ai/inference/v1", dialect="fireworks"),
    "gemini": KnownProvider("https://generativelanguage.googleapis.com/v1beta/openai", dialect="gemini"),
    "groq": KnownProvider(
        "https://api.groq.com/openai/v1",
        # https://console.groq.com/docs/openai: "Currently Unsupported OpenAI Features"
        refused_parameters=frozenset({"logit_bias", "logprobs", "top_logprobs"}),
        # Content is text, images and documents of its own form: https://github.com/groq/groq-python (content parts)
        lacks=frozenset({Feature.LOGPROBS, Feature.SEVERAL_CHOICES, Feature.FILES}),
        # A schema goes neither with streams nor with tools: https://console.groq.com/docs/structured-outputs. Of JSON
        # mode https://console.groq.com/docs/text-chat once said that it does not stream, and says nothing of it now;
        # with tools it is a 400, "json mode cannot be combined with tool/function calling".
        unstreamed_for=frozenset({Feature.JSON_SCHEMA, Feature.JSON_MODE}),
        apart=(
            frozenset({Feature.JSON_SCHEMA, Feature.TOOLS}),
            frozenset({Feature.JSON_MODE, Feature.TOOLS}),
        ),
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
        # It has `document_url` instead: https://docs.mistral.ai/capabilities/document_ai/document_qna
        lacks=frozenset({Feature.FILES}),
        dialect="mistral",
    ),
    "ollama": KnownProvider(
        "http://localhost:11434/v1",
        auth=Auth(AuthKind.NONE),
        # A local server loads a model from disk before its first token.
        first_token_timeout_s=60.0,
        # https://docs.ollama.com/api/openai-compatibility: what is left unticked is overlooked, and content is text,
        # images and videos. Its `tool_choice` is unticked too, but most who send it ask for nothing by it.
        refused_parameters=frozenset({"logit_bias"}),
        lacks=frozenset({Feature.SEVERAL_CHOICES, Feature.FILES}),
    ),
    "openai": KnownProvider(
        "https://api.openai.com/v1",
        # Reasoning models refuse `max_tokens`: https://platform.openai.com/docs/api-reference/chat/create
        output_cap_parameter="max_completion_tokens",
    ),
    "openrouter": KnownProvider(
        "https://openrouter.ai/api/v1",
        reports_cost=True,  # https://openrouter.ai/docs/use-cases/usage-accounting
        dialect="openrouter",
        reads_files=True,  # https://openrouter.ai/docs/guides/overview/multimodal/pdfs
    ),
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
