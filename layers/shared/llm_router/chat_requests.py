"""The body of `POST /v1/chat/completions`: what the router must understand of it; all else is handed on as it came."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    FailFast,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from llm_router import request_faults
from llm_router.candidates import Feature, Optimize, Strategy
from llm_router.errors import InvalidRequestError
from llm_router.http_requests import Metadata, NullIsAbsent, Text, Tokens
from llm_router.prompts import NO_WISHES, Prompt
from llm_router.provider_wishes import ProviderWishes

CHOICES_AT_MOST = 128
MESSAGES_AT_MOST = 10_000
MODELS_AT_MOST = 20
PARTS_AT_MOST = 10_000

OURS = frozenset(
    {
        "model",
        "models",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "provider",
        "metadata",
        "strategy",
        "optimize",
    }
)
"""Fields that do not go upstream as they came."""

GRANTED: Mapping[str, object] = {"route": "fallback", "usage": {"include": True}}
"""What OpenRouter's users ask for and get here without asking; other providers need not know the fields.
https://openrouter.ai/docs/api-reference/parameters
"""


def _form(content: object) -> str | None:
    if isinstance(content, str):
        return request_faults.TEXT
    return request_faults.PARTS if isinstance(content, list) else None


# Every list ends at its first fault: a list of two million wrong things would have an error for each of them.
_Text = Annotated[StrictStr, Tag(request_faults.TEXT)]
_Parts = Annotated[list[dict[str, Any]], FailFast(), Field(max_length=PARTS_AT_MOST), Tag(request_faults.PARTS)]
_Content = Annotated[
    _Text | _Parts, Discriminator(_form, custom_error_type="content_type", custom_error_message="neither form")
]
_Models = Annotated[list[Text], FailFast(), Field(max_length=MODELS_AT_MOST)]


class ChatMessage(BaseModel):
    """Only its role and the shape of its content are looked at."""

    model_config = ConfigDict(extra="allow")

    role: Text
    content: _Content | None = None


class StreamOptions(NullIsAbsent):
    model_config = ConfigDict(extra="allow")

    include_usage: StrictBool = False


class ChatRequest(BaseModel):
    model_config = ConfigDict(extra="allow")

    messages: Annotated[list[ChatMessage], FailFast(), Field(min_length=1, max_length=MESSAGES_AT_MOST)]
    model: Text = "auto"
    models: _Models = []
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    n: Annotated[StrictInt, Field(ge=1, le=CHOICES_AT_MOST)] | None = None
    provider: ProviderWishes | None = None
    strategy: Strategy | None = None
    optimize: Optimize | None = None
    metadata: Metadata | None = None

    @model_validator(mode="before")
    @classmethod
    def _nobody_named(cls, said: object) -> object:
        """OpenRouter's users may write null for the models; the router's default serves then."""
        if not isinstance(said, dict):
            return said
        return {name: value for name, value in said.items() if value is not None or name not in ("model", "models")}

    def as_prompt(self) -> Prompt:
        if any(found.role == "user" for found in self.messages) and not _has_content(_last_of_the_user(self.messages)):
            raise InvalidRequestError("The last user message in messages must not be empty.", param="messages")
        fields = self.model_dump(exclude_unset=True, exclude=set(OURS))
        fields = {name: value for name, value in fields.items() if name not in GRANTED or value != GRANTED[name]}
        if fields.get("store"):
            fields["metadata"] = self.metadata
        messages = tuple(found.model_dump(exclude_unset=True) for found in self.messages)
        return Prompt(
            messages=messages,
            held_in="messages",
            models=self._models(),
            names_model=self._names_model,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            output_cap_parameter="max_completion_tokens" if self.max_completion_tokens else "max_tokens",
            choices=self.n or 1,
            fields=fields,
            needs=frozenset(_needs(fields, messages)),
            stream_options=(self.stream_options and self.stream_options.model_extra) or {},
            strategy=self.strategy or (self.provider.strategy if self.provider else None),
            optimize=self.optimize,
            wishes=self.provider.as_wishes() if self.provider else NO_WISHES,
            metadata=self.metadata or {},
        )

    def _models(self) -> tuple[str, ...]:
        """The default stands in for nobody where the caller lists whom to ask, as OpenRouter's users may."""
        return tuple(dict.fromkeys((self.model, *self.models) if self._names_model else self.models))

    @property
    def _names_model(self) -> bool:
        return "model" in self.model_fields_set or not self.models

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def _last_of_the_user(messages: Sequence[ChatMessage]) -> ChatMessage:
    return next(found for found in reversed(messages) if found.role == "user")


def _has_content(found: ChatMessage) -> bool:
    """Text that is more than white space, or a part that is no text."""
    if not isinstance(found.content, list):
        return bool((found.content or "").strip())
    return any(part.get("type") != "text" or str(part.get("text") or "").strip() for part in found.content)


def _needs(fields: Mapping[str, Any], messages: tuple[Mapping[str, Any], ...]) -> Iterator[Feature]:
    if fields.get("tools") or fields.get("functions"):
        yield Feature.TOOLS
    response_format = fields.get("response_format")
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "json_schema":
        yield Feature.JSON_SCHEMA
    if kind == "json_object":
        yield Feature.JSON_MODE
    if (fields.get("n") or 1) > 1:
        yield Feature.SEVERAL_CHOICES
    if fields.get("logprobs"):
        yield Feature.LOGPROBS
    kinds = {kind for found in messages for part in _parts(found) if isinstance(kind := part.get("type"), str)}
    if kinds & {"image_url", "input_image", "image"}:
        yield Feature.IMAGES
    if kinds & {"file", "input_file"}:
        yield Feature.FILES
    modalities = fields.get("modalities")
    if "input_audio" in kinds or (isinstance(modalities, list) and "audio" in modalities):
        yield Feature.AUDIO


def _parts(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = found.get("content")
    return content if isinstance(content, list) else []
