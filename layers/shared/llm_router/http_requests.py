"""What callers may send: request bodies checked, and every fault named with the field that has it."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from llm_router import json_text, request_faults
from llm_router.candidates import Optimize, Strategy
from llm_router.errors import InvalidRequestError, RequestTooLargeError
from llm_router.prompts import Prompt, message

Body = TypeVar("Body", bound=BaseModel)
Text = Annotated[StrictStr, Field(min_length=1)]

TOKENS_AT_MOST = 10_000_000
"""More than any model answers with, and little enough for the ledger's numbers."""

FIELDS_AT_MOST = 100
DROPPED_AT_MOST = 16_000_000


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        raise PydanticCustomError("number_type", "must be a number")
    return value


Tokens = Annotated[StrictInt, Field(ge=1, le=TOKENS_AT_MOST)]
_MetadataName = Annotated[StrictStr, Field(min_length=1, max_length=64)]
_MetadataValue = Annotated[StrictStr, Field(max_length=512)]

Metadata = Annotated[dict[_MetadataName, _MetadataValue], Field(max_length=16)]


class NullIsAbsent(BaseModel):
    """A mapping in which null says as much as nothing."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, said: object) -> object:
        return {name: value for name, value in said.items() if value is not None} if isinstance(said, dict) else said


class GenerateRequest(BaseModel):
    """The body of `POST /generate`."""

    model_config = ConfigDict(extra="forbid")

    prompt: Text
    system: Text | None = None
    model: Text = "auto"
    max_tokens: Tokens | None = None
    temperature: Annotated[Decimal, BeforeValidator(_number), Field(ge=0, le=2, decimal_places=20)] | None = None
    strategy: Strategy | None = None
    optimize: Optimize | None = None
    metadata: Metadata | None = None

    def as_prompt(self) -> Prompt:
        if not self.prompt.strip():
            raise InvalidRequestError("prompt must not be empty.", param="prompt")
        system = (message("system", self.system),) if self.system else ()
        return Prompt(
            messages=(*system, message("user", self.prompt)),
            models=(self.model,),
            max_tokens=self.max_tokens,
            fields={} if self.temperature is None else {"temperature": self.temperature},
            strategy=self.strategy,
            optimize=self.optimize,
            metadata=self.metadata or {},
        )


class SwitchRequest(BaseModel):
    """The body of `PUT /providers/{name}`."""

    model_config = ConfigDict(extra="forbid")

    enabled: StrictBool
    reason: Annotated[StrictStr, Field(max_length=200)] = ""


async def read_json(request: Request, kind: type[Body], *, max_bytes: int) -> Body:
    """The request's body as `kind`; raises RequestTooLargeError or InvalidRequestError. Any content type is read."""
    return parsed(await read_value(request, max_bytes=max_bytes), kind)


async def read_value(request: Request, *, max_bytes: int) -> object:
    """The request's body as JSON of any shape. Raises RequestTooLargeError or InvalidRequestError."""
    try:
        return json_text.decode(await _body(request, max_bytes))
    except ValueError as error:
        raise InvalidRequestError("The body is not valid JSON.") from error


def parsed(value: object, kind: type[Body]) -> Body:
    """Raises InvalidRequestError, which names the first field at fault."""
    if isinstance(value, dict):
        _check_size(value, "The body")
        _check_size(value.get("metadata"), "metadata")
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise request_faults.first(error) from error


async def _body(request: Request, max_bytes: int) -> bytes:
    """The rest of a body that is too large is read and dropped, within a bound, or its sender would miss the answer."""
    received = bytearray()
    size = 0
    async with aclosing(request.stream()) as chunks:  # left open, its clean-up would be a task that outlives the answer
        async for chunk in chunks:
            size += len(chunk)
            if size <= max_bytes:
                received += chunk
            if size > max_bytes + DROPPED_AT_MOST:
                break
    if size > max_bytes:
        raise RequestTooLargeError(f"The body is larger than {max_bytes:,} bytes.")
    return bytes(received)


def _check_size(value: object, name: str) -> None:
    """Before each of a hundred thousand wrong fields gets an error of its own."""
    if isinstance(value, dict) and len(value) > FIELDS_AT_MOST:
        param = None if name == "The body" else name
        raise InvalidRequestError(f"{name} has more than {FIELDS_AT_MOST} fields.", param=param)
