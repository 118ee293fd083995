"""Within how many tokens a prompt has to be, and whether trimming it would cost more than it saves. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import takewhile

from llm_router import pricing, routing
from llm_router.candidates import Candidate, Optimize, Route
from llm_router.prompt_sizes import Count, message_tokens
from llm_router.prompts import Prompt
from llm_router.routing import UNKNOWN_FACTS, Facts, Surroundings
from llm_router.turns import ALWAYS_KEPT

ANSWER_TOKENS = 1024
"""Kept free in a context window for the answer where the request has no limit of its own."""

ANSWER_SHARE_AT_MOST = 0.25
"""Of a window; what asks for more gets a shorter answer rather than no prompt."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`tokens` by the router's own count. `first` is who would be asked with the prompt as it is, None where nobody
    could be. `is_routes` tells the route's own limit from the models' windows.
    """

    tokens: int
    is_routes: bool
    first: Candidate | None = None
    facts: Facts = UNKNOWN_FACTS
    at: datetime | None = None

    def refusal(self, before: int) -> str:
        whose = "the route's max_prompt_tokens allows" if self.is_routes else "any model of the route takes"
        return (
            f"The prompt has {before:,} tokens, and what must not be trimmed (the system message, the last user "
            f"message or its beginning and end, tools) is more than the {self.tokens:,} that {whose}."
        )


def tokens_that_may_matter(route: Route, mode: Optimize, surroundings: Surroundings) -> float:
    """Below as many nothing depends on how many tokens a prompt has."""
    bounds = [_window(c, _facts(c, surroundings)) for c in route.candidates if c.context_window is not None]
    if mode is Optimize.TRIM and route.max_prompt_tokens is not None:
        bounds.append(_routes_tokens(route.max_prompt_tokens, route.candidates, surroundings))
    return min(bounds, default=math.inf)


def limit(prompt: Prompt, route: Route, surroundings: Surroundings) -> Limit | None:
    """None where the prompt may be as long as it is: the route has no limit of its own, and a model takes it."""
    plan = routing.plan(prompt, route, surroundings)
    able = _able_if_short(prompt, route, surroundings)
    if not able or (route.max_prompt_tokens is None and plan.candidates):
        return None
    windows = max(_room(candidate, prompt, _facts(candidate, surroundings)) for candidate in able)
    own = math.inf
    if route.max_prompt_tokens is not None:
        own = _routes_tokens(route.max_prompt_tokens, able, surroundings)
    first = plan.candidates[0] if plan.candidates else None
    facts = _facts(first, surroundings) if first else UNKNOWN_FACTS
    return Limit(int(min(own, windows)), own <= windows, first, facts, surroundings.now)


def _able_if_short(prompt: Prompt, route: Route, surroundings: Surroundings) -> Sequence[Candidate]:
    """Those that can be asked now, where there are any: a prompt that another's window takes would help nobody."""
    short = replace(prompt, counted_tokens=1)
    now = routing.plan(short, route, surroundings).candidates
    return now or routing.plan(short, route, replace(surroundings, health={})).candidates


def is_cheaper_kept(prompt: Prompt, limit: Limit, count: Count) -> bool:
    """Whether a conversation costs less as it is, read from the provider's cache, than trimmed and read anew.

    A provider keeps what a prompt began with. All before the last answer of the model was sent in the request before,
    so it may be there; how likely that is, the candidate's own prompts tell. A trimmed prompt begins otherwise.
    """
    candidate = limit.first
    if candidate is None or candidate.price is None or limit.at is None:
        return False
    rates = pricing.rates_now(candidate.price, at=limit.at)
    if rates.cached_input is None or rates.cached_input >= rates.input:
        return False
    share, spared = Decimal(repr(limit.facts.cached_share)), rates.input - rates.cached_input
    kept_usd = prompt.estimated_tokens * rates.input - share * _sent_before(prompt, count) * spared
    trimmed_usd = limit.tokens * rates.input - share * _always_first(prompt, count) * spared
    return kept_usd < trimmed_usd


def _sent_before(prompt: Prompt, count: Count) -> int:
    roles = [message.get("role") for message in prompt.messages]
    answered = next((at for at in reversed(range(len(roles))) if roles[at] == "assistant"), 0)
    return sum(message_tokens(message, count) for message in prompt.messages[:answered])


def _always_first(prompt: Prompt, count: Count) -> int:
    """What a trimmed prompt begins with, too."""
    first = takewhile(lambda message: message.get("role") in ALWAYS_KEPT, prompt.messages)
    return sum(message_tokens(message, count) for message in first)


def _routes_tokens(most: int, candidates: Sequence[Candidate], surroundings: Surroundings) -> int:
    """So many that none of them counts more than the route allows."""
    return int(most / max([1.0, *(_facts(candidate, surroundings).token_factor for candidate in candidates)]))


def _room(candidate: Candidate, prompt: Prompt, facts: Facts) -> float:
    """For a prompt beside its answer."""
    if candidate.context_window is None:
        return math.inf
    answer = min(prompt.max_tokens or ANSWER_TOKENS, candidate.context_window * ANSWER_SHARE_AT_MOST)
    return (candidate.context_window - answer) / facts.token_factor


def _window(candidate: Candidate, facts: Facts) -> float:
    return (candidate.context_window or math.inf) / facts.token_factor


def _facts(candidate: Candidate, surroundings: Surroundings) -> Facts:
    return surroundings.facts.get(candidate.name, UNKNOWN_FACTS)
