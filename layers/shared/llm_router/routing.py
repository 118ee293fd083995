"""Which candidates could serve a request, in which order, and why. Pure functions over plain values."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from llm_router import pricing
from llm_router.candidates import Candidate, Feature, Provider, Route, Strategy
from llm_router.health import HEALTHY, Health, OpenReason
from llm_router.prompts import Prompt, Wishes
from llm_router.usage import TokenUsage

TYPICAL_COMPLETION_TOKENS = 256
"""What a candidate is taken to answer with while the fleet knows nothing better."""


FORCED = "every able candidate is failing; this one is tried all the same"


class Exclusion(StrEnum):
    """Why a candidate is not in a plan."""

    NO_KEY = "no_key"
    SWITCHED_OFF = "switched_off"
    BREAKER_OPEN = "breaker_open"
    CONTEXT_WINDOW = "context_window"
    LACKS_FEATURE = "lacks_feature"
    NOT_WANTED = "not_wanted"
    MAX_PRICE = "max_price"


THE_REQUESTS_OWN = frozenset(
    {Exclusion.CONTEXT_WINDOW, Exclusion.LACKS_FEATURE, Exclusion.NOT_WANTED, Exclusion.MAX_PRICE}
)
"""Exclusions that another request would not meet."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the fleet has seen of a candidate lately; None and 1 where nothing is known.

    `latency_ms` is the median of its answers, `slow_ms` the 95th percentile. `token_factor` is how many tokens it
    counts where the router counts one, `cached_share` the part of its prompts' tokens that it had in its cache.
    """

    latency_ms: float | None = None
    slow_ms: float | None = None
    success_rate: float = 1.0
    completion_tokens: int = TYPICAL_COMPLETION_TOKENS
    token_factor: float = 1.0
    cached_share: float = 0.0


UNKNOWN_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """All that a plan depends on beside the request: the time, keys at hand, switches, breakers, facts of the fleet.

    `time_s` is how long the request may take; None where nobody waits. `found_lacking` is what candidates turned out
    not to do.
    """

    now: datetime
    providers_with_key: Collection[str]
    switched_off: Collection[str] = frozenset()
    health: Mapping[str, Health] = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)
    time_s: float | None = None
    found_lacking: Mapping[str, frozenset[Feature]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """A candidate in a plan, what the request is expected to cost on it, and why it stands there."""

    candidate: Candidate
    expected_usd: Decimal | None
    reason: str


@dataclass(frozen=True, slots=True)
class Excluded:
    """`lacking` are the features and parameters that the request needs and the candidate lacks. `is_probed` says that a
    breaker's time is over and another request is trying the candidate just now.
    """

    candidate: Candidate
    exclusion: Exclusion
    lacking: frozenset[str] = frozenset()
    open_reason: OpenReason | None = None
    open_until: datetime | None = None
    is_probed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered candidates for one request, and those that were left out. Together they are the route's.

    Forced where every breaker is open and the best of the failing candidates is tried all the same.
    """

    places: tuple[Place, ...]
    excluded: tuple[Excluded, ...]
    is_forced: bool = False

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(place.candidate for place in self.places)


def plan(prompt: Prompt, route: Route, surroundings: Surroundings) -> Plan:
    """Order the route's able candidates by its strategy, or by the one the caller asked for.

    When every able candidate's breaker is open, the best of those that are merely failing, or have limited us for long
    enough, is tried all the same.
    """
    excluded = [found for c in route.candidates if (found := _exclusion(c, prompt, surroundings))]
    out = {item.candidate.name for item in excluded}
    able = [candidate for candidate in route.candidates if candidate.name not in out]
    if able:
        places = _ordered(able, prompt, route, surroundings)
        kept = places if prompt.wishes.allows_fallbacks or prompt.wishes.order else places[:1]
        unwanted = tuple(Excluded(place.candidate, Exclusion.NOT_WANTED) for place in places[len(kept) :])
        return Plan(kept, (*excluded, *unwanted))
    failing = [item.candidate for item in excluded if _may_be_forced(item)]
    forced = tuple(replace(place, reason=FORCED) for place in _ordered(failing, prompt, route, surroundings)[:1])
    names = {place.candidate.name for place in forced}
    left_out = tuple(item for item in excluded if item.candidate.name not in names)
    return Plan(forced, left_out, is_forced=bool(forced))


def expected_usd(candidate: Candidate, prompt: Prompt, facts: Facts = UNKNOWN_FACTS, *, at: datetime) -> Decimal | None:
    """Prompt tokens x input price + expected completion tokens x output price; None where the price is unknown."""
    if candidate.price is None:
        return None
    return pricing.usd(expected_tokens(candidate, prompt, facts), candidate.price, at=at)


def expected_tokens(candidate: Candidate, prompt: Prompt, facts: Facts = UNKNOWN_FACTS) -> TokenUsage:
    """The prompt's, and as many as the candidate typically answers with, within what it may answer with."""
    caps = (prompt.max_tokens, candidate.max_output_tokens, candidate.context_window)
    completion = min([facts.completion_tokens, *(cap for cap in caps if cap is not None)])
    return TokenUsage(prompt=prompt_tokens(prompt, facts), completion=completion * prompt.choices)


def prompt_tokens(prompt: Prompt, facts: Facts) -> int:
    """As the candidate will count them, as far as it is known how it does."""
    return math.ceil(prompt.estimated_tokens * facts.token_factor)


def _exclusion(candidate: Candidate, prompt: Prompt, surroundings: Surroundings) -> Excluded | None:
    health = surroundings.health.get(candidate.name, HEALTHY)
    if reason := _provider_exclusion(candidate.provider, surroundings):
        return Excluded(candidate, reason)
    if (missing := _lacking(candidate, prompt, surroundings)) or _is_unwanted(candidate, prompt.wishes):
        reason = Exclusion.LACKS_FEATURE if missing else Exclusion.NOT_WANTED
        return Excluded(candidate, reason, lacking=missing)
    tokens = prompt_tokens(prompt, surroundings.facts.get(candidate.name, UNKNOWN_FACTS))
    if _is_too_dear(candidate, prompt.wishes, tokens, surroundings.now):
        return Excluded(candidate, Exclusion.MAX_PRICE)
    if candidate.context_window is not None and tokens > candidate.context_window:
        return Excluded(candidate, Exclusion.CONTEXT_WINDOW)
    if (until := health.closed_until(surroundings.now)) is not None:
        is_probed = not health.is_open(surroundings.now)
        return Excluded(
            candidate, Exclusion.BREAKER_OPEN, open_reason=health.reason, open_until=until, is_probed=is_probed
        )
    return None


def _may_be_forced(item: Excluded) -> bool:
    """One that limits us is not asked before its time, one that refuses us not beside its probe."""
    if item.open_reason is OpenReason.FAILING:
        return True
    return item.open_reason is OpenReason.RATE_LIMITED and item.is_probed


def _lacking(candidate: Candidate, prompt: Prompt, surroundings: Surroundings) -> frozenset[str]:
    """A parameter that the provider refuses is not dropped: somebody else may take it."""
    found = surroundings.found_lacking.get(candidate.name, frozenset()) & prompt.needs
    return candidate.lacking(prompt.needs) | found | (candidate.provider.refused_parameters & prompt.parameters)


def _provider_exclusion(provider: Provider, surroundings: Surroundings) -> Exclusion | None:
    if provider.auth.needs_key and provider.name not in surroundings.providers_with_key:
        return Exclusion.NO_KEY
    return Exclusion.SWITCHED_OFF if provider.name in surroundings.switched_off else None


def _is_unwanted(candidate: Candidate, wishes: Wishes) -> bool:
    """An order without fallbacks names all who may serve, https://openrouter.ai/docs/features/provider-routing."""
    name = candidate.provider.name
    if name in wishes.ignore or (wishes.only and name not in wishes.only):
        return True
    return bool(wishes.order) and not wishes.allows_fallbacks and name not in wishes.order


def _is_too_dear(candidate: Candidate, wishes: Wishes, tokens: int, at: datetime) -> bool:
    """By what a prompt of its length pays. An unknown price may be any price."""
    if wishes.max_input is None and wishes.max_output is None:
        return False
    if candidate.price is None:
        return True
    rates = pricing.rates_at(candidate.price, prompt_tokens=tokens, at=at)
    too_dear_in = wishes.max_input is not None and rates.input > wishes.max_input
    return too_dear_in or (wishes.max_output is not None and rates.output > wishes.max_output)


def _ordered(able: Sequence[Candidate], prompt: Prompt, route: Route, surroundings: Surroundings) -> tuple[Place, ...]:
    """Route by route where there are several: a fallback stays one, whatever wins within a route."""
    if prompt.wishes.across_models or not route.parts:
        return _ranked(able, prompt, prompt.strategy or route.strategy, surroundings)
    left = {candidate.name: candidate for candidate in able}
    places: list[Place] = []
    for part in route.parts:
        mine = [found for candidate in part.candidates if (found := left.pop(candidate.name, None))]
        places += _ranked(mine, prompt, prompt.strategy or part.strategy, surroundings)
    return tuple(places)


def _ranked(
    able: Sequence[Candidate], prompt: Prompt, strategy: Strategy, surroundings: Surroundings
) -> tuple[Place, ...]:
    """Sorted by the caller's wish, then by the strategy; ties go to the healthier, then to the configured order.

    Where the order is not given, who usually takes longer than there is time comes after all who do not.
    """

    def facts(candidate: Candidate) -> Facts:
        return surroundings.facts.get(candidate.name, UNKNOWN_FACTS)

    def place(candidate: Candidate) -> Place:
        usd = expected_usd(candidate, prompt, facts(candidate), at=surroundings.now)
        return Place(candidate, usd, _reason(strategy, usd))

    order = prompt.wishes.order

    def by_wish(item: Place) -> int:
        name = item.candidate.provider.name
        return order.index(name) if name in order else len(order)

    usual_ms = _usual_latency_ms([facts(candidate) for candidate in able])

    def by_strategy(item: Place) -> tuple[bool, Decimal | float, float]:
        known = facts(item.candidate)
        is_slow = _is_too_slow(known, surroundings.time_s)
        if strategy is Strategy.CHEAPEST:
            usd = Decimal("Infinity") if item.expected_usd is None else item.expected_usd
            return (is_slow, usd, -known.success_rate)
        if strategy is Strategy.FASTEST:
            return (is_slow, usual_ms if known.latency_ms is None else known.latency_ms, -known.success_rate)
        return (False, 0.0, 0.0)

    places = sorted((place(candidate) for candidate in able), key=by_strategy)
    return tuple(sorted(places, key=by_wish))


def _usual_latency_ms(facts: Sequence[Facts]) -> float:
    """What a candidate is taken for of which nothing is known: put last, it might never be asked, and never known."""
    known = sorted(found.latency_ms for found in facts if found.latency_ms is not None)
    return (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2 if known else 0.0


def _is_too_slow(facts: Facts, time_s: float | None) -> bool:
    return time_s is not None and facts.latency_ms is not None and facts.latency_ms > time_s * 1000


def _reason(strategy: Strategy, usd: Decimal | None) -> str:
    if strategy is Strategy.CHEAPEST:
        return "cheapest: price unknown" if usd is None else f"cheapest: {usd:f} USD expected"
    return strategy.value
