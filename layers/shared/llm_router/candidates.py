"""What could serve a request: providers, their models, prices and limits, and the routes that list them.

Frozen values only. They come from the configuration and the catalogue and are read by everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from decimal import Decimal
from enum import StrEnum

__all__ = [
    "Auth",
    "AuthKind",
    "Candidate",
    "Change",
    "Configuration",
    "Delivery",
    "Feature",
    "Optimize",
    "Price",
    "Provider",
    "Rates",
    "Route",
    "Schedule",
    "Sheet",
    "Strategy",
    "Tier",
    "combined",
]


class AuthKind(StrEnum):
    """How a provider wants its key."""

    BEARER = "bearer"
    HEADER = "header"
    NONE = "none"
    AWS_ROLE = "aws_role"


@dataclass(frozen=True, slots=True)
class Auth:
    """`header` is the header's name for `AuthKind.HEADER`, None otherwise."""

    kind: AuthKind
    header: str | None = None

    @property
    def needs_key(self) -> bool:
        return self.kind in (AuthKind.BEARER, AuthKind.HEADER)


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens of each kind; None where a kind has no rate of its own and costs what it is a part of."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    audio_input: Decimal | None = None
    cached_audio_input: Decimal | None = None
    reasoning: Decimal | None = None
    audio_output: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """What every token of a request costs whose prompt has more tokens than `above`."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rates that hold at one time; `tiers` by rising length of the prompt."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A sheet that holds from a day on, or at certain hours of each day (past midnight where `until` is the earlier).

    Days and hours are UTC. Of the changes that hold at one time the last one counts.
    """

    sheet: Sheet
    from_day: date | None = None
    from_time: time | None = None
    until: time | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """What holds when nothing else does, and what changes it."""

    sheet: Sheet
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Price(Rates):
    """What a model costs, with where and when it was read. The rates are those of a short prompt on that day.

    `service_tiers` are the ways of being served, by the provider's names, that have prices of their own.
    """

    tiers: tuple[Tier, ...] = ()
    changes: tuple[Change, ...] = ()
    service_tiers: Mapping[str, Schedule] = field(default_factory=dict, hash=False)
    source: str = "configuration"
    as_of: date | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """A company or server that hosts models.

    `refused_parameters` are request fields that this provider answers with a 400, though its format is OpenAI's;
    `output_cap_parameter` is its name for the limit on the answer's tokens, None where it gets the caller's.
    `reports_cost` says that the usage it reports carries what it charged. `dialect` names its words for errors, where
    nothing but words tells them. `unstreamed_for` are features with which it streams no answer, `apart` those of which
    it does each, but not all in one request.
    """

    name: str
    base_url: str
    auth: Auth
    timeout_s: float
    output_cap_parameter: str | None = None
    refused_parameters: frozenset[str] = frozenset()
    reports_cost: bool = False
    dialect: str = ""
    unstreamed_for: frozenset[Feature] = frozenset()
    apart: tuple[frozenset[Feature], ...] = ()


class Feature(StrEnum):
    """What a request may need and a model may lack."""

    TOOLS = "tools"
    JSON_MODE = "json_mode"
    JSON_SCHEMA = "json_schema"
    IMAGES = "images"
    AUDIO = "audio"
    FILES = "files"
    SEVERAL_CHOICES = "n"
    LOGPROBS = "logprobs"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One provider + model pair that could serve a request.

    `price` is None where the configuration says `price: unknown`: such a candidate costs an unknown sum, never 0.
    """

    provider: Provider
    model: str
    price: Price | None
    context_window: int | None = None
    max_output_tokens: int | None = None
    first_token_timeout_s: float = 10.0
    idle_timeout_s: float = 10.0
    lacks: frozenset[Feature] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model}"

    def lacking(self, needs: frozenset[Feature]) -> frozenset[Feature]:
        """Of what a request needs: what the model can't do, and what its provider does not do together."""
        together = (features for features in self.provider.apart if features <= needs)
        return (self.lacks & needs).union(*together)


class Strategy(StrEnum):
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    PRIORITY = "priority"


class Delivery(StrEnum):
    """Whether an answer is proven whole before anything of it leaves, or passed on as it comes."""

    VERIFIED = "verified"
    LIVE = "live"


REQUEST_AT_LEAST_S = 2.0
"""Less leaves no time for an attempt between reading what the fleet knows and the ledger's last write."""


class Optimize(StrEnum):
    """What may be done to a prompt: nothing, what cannot change its meaning, or what makes it fit."""

    OFF = "off"
    SAFE = "safe"
    TRIM = "trim"


@dataclass(frozen=True, slots=True)
class Route:
    """A named list of candidates with a strategy; a client asks for it in `model`.

    `timeout_s` is for the whole request; None leaves it to the door, as does `delivery`. `baseline` is the candidate
    that would have been asked without a router: savings are counted against it. `max_prompt_tokens` is what `trim`
    makes a prompt fit; None leaves that to the models' context windows. `parts` are the routes that it was
    made of, each the fallback of the one before; empty where it is one by itself.
    """

    name: str
    candidates: tuple[Candidate, ...]
    strategy: Strategy = Strategy.CHEAPEST
    timeout_s: float | None = None
    max_wait_s: float = 0.0
    delivery: Delivery | None = None
    moves_on_after_content_filter: bool = False
    baseline: Candidate | None = None
    optimize: Optimize = Optimize.OFF
    max_prompt_tokens: int | None = None
    parts: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that `providers.yaml` says, checked and completed from the catalogue.

    `notices` name what the file says and the router does not do yet, or does in a way worth knowing.
    """

    candidates: tuple[Candidate, ...]
    routes: Mapping[str, Route] = field(default_factory=dict)
    catalogue_as_of: date | None = None
    notices: tuple[str, ...] = ()

    def route(self, model: str) -> Route | None:
        """The route of that name, or a route of one for `provider/model`, or None."""
        if found := self.routes.get(model):
            return found
        for candidate in self.candidates:
            if candidate.name == model:
                return Route(name=model, candidates=(candidate,))
        return None


def combined(routes: Sequence[Route]) -> Route:
    """One route of several, each the fallback of the one before: all candidates once; for the rest the first one."""
    first = routes[0]
    if len(routes) == 1:
        return first
    candidates = {candidate.name: candidate for route in routes for candidate in route.candidates}
    return replace(first, candidates=tuple(candidates.values()), parts=tuple(routes))
