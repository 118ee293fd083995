"""The `provider` object of a chat request: which providers the caller wants, as OpenRouter's users write it.

A wish that the router cannot grant is refused by its name: to ignore it would pass for granting it. Facts:
https://openrouter.ai/docs/features/provider-routing
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StrictBool

from llm_router.candidates import Strategy
from llm_router.errors import InvalidRequestError
from llm_router.http_requests import NullIsAbsent, Text
from llm_router.prompts import Wishes

PROVIDERS_AT_MOST = 100
NAME_SHOWN_AT_MOST = 100

GRANTED_ANYWAY: dict[str, tuple[object, ...]] = {
    "data_collection": ("allow",),
    "zdr": (False,),
    "enforce_distillable_text": (False,),
    "quantizations": ([],),
    "require_parameters": (True, False),  # a parameter is never dropped: whoever refuses it is passed over
}
"""What says no more than what the router does without being asked."""

_SORTS = {"price": Strategy.CHEAPEST, "latency": Strategy.FASTEST, "throughput": Strategy.FASTEST}
_Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_Providers = Annotated[list[Text], FailFast(), Field(max_length=PROVIDERS_AT_MOST)]


class MaxPrice(NullIsAbsent):
    """USD per million tokens."""

    model_config = ConfigDict(extra="allow")

    prompt: _Usd | None = None
    completion: _Usd | None = None


class Sort(NullIsAbsent):
    """`partition` is `none` where the models that a request names compete; else each is the fallback of the last."""

    model_config = ConfigDict(extra="allow")

    by: Literal["price", "latency", "throughput"] | None = None
    partition: Literal["model", "none"] = "model"


def _long_form(sort: object) -> object:
    return {"by": sort} if isinstance(sort, str) else sort


class ProviderWishes(NullIsAbsent):
    model_config = ConfigDict(extra="allow")

    order: _Providers = Field(default_factory=list)
    only: _Providers = Field(default_factory=list)
    ignore: _Providers = Field(default_factory=list)
    sort: Annotated[Sort, BeforeValidator(_long_form)] = Sort()
    max_price: MaxPrice = MaxPrice()
    allow_fallbacks: StrictBool = True

    @property
    def strategy(self) -> Strategy | None:
        return _SORTS[self.sort.by] if self.sort.by else None

    def as_wishes(self) -> Wishes:
        """Raises InvalidRequestError for a wish that would have to be ignored."""
        _check(self, "provider")
        _check(self.sort, "provider.sort")
        _check(self.max_price, "provider.max_price")
        return Wishes(
            order=_names(self.order),
            only=_names(self.only),
            ignore=_names(self.ignore),
            max_input=self.max_price.prompt,
            max_output=self.max_price.completion,
            allows_fallbacks=self.allow_fallbacks,
            across_models=self.sort.partition == "none",
        )


def _names(said: list[str]) -> tuple[str, ...]:
    """As the configuration spells them, in small letters alone: `OpenAI` must not be a wish for nobody."""
    return tuple(name.lower() for name in said)


def _check(said: BaseModel, place: str) -> None:
    for name, value in (said.model_extra or {}).items():
        if value not in GRANTED_ANYWAY.get(name, ()):
            param = f"{place}.{name}"[:NAME_SHOWN_AT_MOST]
            raise InvalidRequestError(f"{param} asks for what this router cannot promise; leave it out.", param=param)
