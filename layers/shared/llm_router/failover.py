"""What to do after an attempt: the failover table, and the walk through a plan that follows from it. Pure.

Each outcome has one row. `next_step` reads the plan and the attempts so far and says what comes next; it knows no
clock, so the same history always gives the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from llm_router.candidates import Candidate, Route
from llm_router.usage import Attempt, Outcome

ATTEMPTS_A_CANDIDATE = 2
ATTEMPTS_A_REQUEST = 6
RETRY_PAUSE_S = 0.25
JITTER = 0.25
"""By which share a pause may be longer than it says."""

SHORTEST_ATTEMPT_S = 0.5
RESERVED_FOR_NEXT_S = 10.0


class Again(Enum):
    """Whether the same candidate is tried once more."""

    NEVER = auto()
    AT_ONCE = auto()
    AFTER_PAUSE = auto()
    IF_WORTH_WAITING = auto()


class Next(Enum):
    """Which other candidates may be tried."""

    ANY = auto()
    LARGER_WINDOW = auto()
    ONE_OTHER_PROVIDER = auto()
    IF_ROUTE_SAYS = auto()
    NONE = auto()


class BreakerEffect(StrEnum):
    """What an attempt does to its candidate's breaker; `answers` is said at its first content, before its end."""

    NONE = "none"
    ANSWERS = "answers"
    CLOSES = "closes"
    COUNTS = "counts"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rule:
    again: Again
    next: Next
    breaker: BreakerEffect

    @property
    def says_nothing_yet(self) -> bool:
        """Whether it is the try that follows at once that tells how the candidate is."""
        return self.again is Again.AT_ONCE and self.breaker is BreakerEffect.NONE


RULES = {
    Outcome.SUCCESS: Rule(Again.NEVER, Next.NONE, BreakerEffect.CLOSES),
    Outcome.CONNECTION_LOST: Rule(Again.AT_ONCE, Next.ANY, BreakerEffect.NONE),
    Outcome.UNREACHABLE: Rule(Again.AT_ONCE, Next.ANY, BreakerEffect.COUNTS),
    Outcome.SERVER_ERROR: Rule(Again.AFTER_PAUSE, Next.ANY, BreakerEffect.COUNTS),
    Outcome.OVERLOADED: Rule(Again.NEVER, Next.ANY, BreakerEffect.COUNTS),
    Outcome.RATE_LIMITED: Rule(Again.IF_WORTH_WAITING, Next.ANY, BreakerEffect.RATE_LIMITED),
    Outcome.TIMEOUT: Rule(Again.NEVER, Next.ANY, BreakerEffect.COUNTS),
    Outcome.OUT_OF_TIME: Rule(Again.NEVER, Next.ANY, BreakerEffect.NONE),
    Outcome.CUT: Rule(Again.NEVER, Next.ANY, BreakerEffect.COUNTS),
    Outcome.MALFORMED: Rule(Again.NEVER, Next.ANY, BreakerEffect.COUNTS),
    Outcome.REFUSED: Rule(Again.NEVER, Next.ANY, BreakerEffect.REFUSED),
    Outcome.CONTEXT_LENGTH: Rule(Again.NEVER, Next.LARGER_WINDOW, BreakerEffect.NONE),
    Outcome.CONTENT_FILTER: Rule(Again.NEVER, Next.IF_ROUTE_SAYS, BreakerEffect.NONE),
    Outcome.BAD_REQUEST: Rule(Again.NEVER, Next.ONE_OTHER_PROVIDER, BreakerEffect.NONE),
    Outcome.UNSUITED: Rule(Again.NEVER, Next.ANY, BreakerEffect.NONE),
    Outcome.STREAM_REFUSED: Rule(Again.AT_ONCE, Next.ANY, BreakerEffect.NONE),
    Outcome.ABANDONED: Rule(Again.NEVER, Next.NONE, BreakerEffect.NONE),
    Outcome.UNSENT: Rule(Again.NEVER, Next.ANY, BreakerEffect.NONE),
    Outcome.UNKNOWN: Rule(Again.NEVER, Next.ANY, BreakerEffect.NONE),
}


@dataclass(frozen=True, slots=True)
class Step:
    """Try this candidate, after a pause of `pause_s` seconds, to which jitter may be added.

    `fresh` asks for a new connection: the kept one was dead, and others may be too.
    """

    candidate: Candidate
    pause_s: float = 0.0
    fresh: bool = False


def next_step(
    plan: Sequence[Candidate],
    *,
    route: Route,
    attempts: Sequence[Attempt],
    remaining_s: float,
    is_open: bool = False,
) -> Step | None:
    """The next try, or None when nothing may be tried any more. `plan` holds able candidates in order.

    `is_open`: the breaker of the candidate just tried is open for failing by now, so it is tried again only where
    nobody else is left.
    """
    if remaining_s < SHORTEST_ATTEMPT_S or len(attempts) >= ATTEMPTS_A_REQUEST or not plan:
        return None
    if not attempts:
        return Step(plan[0])
    untried = _permitted(plan, route, attempts)
    spare = _spare(untried, attempts)
    may_repeat = spare > 0 and not (is_open and untried)
    if may_repeat and (again := _again(plan, route, attempts, untried, remaining_s)):
        return again
    if spare <= 0:
        untried = _of_new_providers(untried, attempts)
    return Step(untried[0]) if untried else None


def has_more(plan: Sequence[Candidate], candidate: Candidate, *, route: Route, attempts: Sequence[Attempt]) -> bool:
    """Whether another candidate may be tried if this one fails: then time must be kept for it."""
    others = [other for other in _permitted(plan, route, attempts) if other.name != candidate.name]
    return bool(others) and len(attempts) + 1 < ATTEMPTS_A_REQUEST


def _spare(untried: Sequence[Candidate], attempts: Sequence[Attempt]) -> int:
    """How many attempts are left when each provider that was not asked yet has one kept for it."""
    new = {candidate.provider.name for candidate in _of_new_providers(untried, attempts)}
    return ATTEMPTS_A_REQUEST - len(attempts) - len(new)


def _of_new_providers(untried: Sequence[Candidate], attempts: Sequence[Attempt]) -> list[Candidate]:
    asked = {attempt.provider for attempt in attempts}
    return [candidate for candidate in untried if candidate.provider.name not in asked]


def turn_s(*, remaining_s: float, others_left: bool) -> float:
    """How long an attempt may take to show something: all that is left but what the next able candidate will need."""
    return remaining_s - min(RESERVED_FOR_NEXT_S, remaining_s / 2) if others_left else remaining_s


def _again(
    plan: Sequence[Candidate],
    route: Route,
    attempts: Sequence[Attempt],
    untried: Sequence[Candidate],
    remaining_s: float,
) -> Step | None:
    last = attempts[-1]
    candidate = next(c for c in plan if c.name == last.candidate)
    if sum(attempt.candidate == last.candidate for attempt in attempts) >= ATTEMPTS_A_CANDIDATE:
        return None
    again = RULES[last.outcome].again
    if again is Again.AT_ONCE:
        return Step(candidate, fresh=True)
    if again is Again.AFTER_PAUSE:
        return Step(candidate, RETRY_PAUSE_S) if _allows(RETRY_PAUSE_S, remaining_s) else None
    if again is Again.IF_WORTH_WAITING:
        wait_s = last.retry_after_s if last.retry_after_s is not None else RETRY_PAUSE_S
        worth_it = not untried or wait_s <= route.max_wait_s
        return Step(candidate, wait_s) if worth_it and _allows(wait_s, remaining_s) else None
    return None


def _allows(pause_s: float, remaining_s: float) -> bool:
    return pause_s * (1 + JITTER) + SHORTEST_ATTEMPT_S < remaining_s


def _permitted(plan: Sequence[Candidate], route: Route, attempts: Sequence[Attempt]) -> list[Candidate]:
    """The untried candidates that every attempt so far allows."""
    tried = {attempt.candidate for attempt in attempts}
    untried = [candidate for candidate in plan if candidate.name not in tried]
    by_name = {candidate.name: candidate for candidate in plan}
    for attempt in attempts:
        untried = _allowed_after(attempt, by_name[attempt.candidate], untried, route)
    refusals = sum(attempt.outcome is Outcome.BAD_REQUEST for attempt in attempts)
    return [] if refusals > 1 else untried


def _allowed_after(attempt: Attempt, tried: Candidate, untried: list[Candidate], route: Route) -> list[Candidate]:
    rule = RULES[attempt.outcome].next
    if rule is Next.NONE:
        return []
    if rule is Next.LARGER_WINDOW:
        return [c for c in untried if _has_larger_window(c, tried)]
    if rule is Next.ONE_OTHER_PROVIDER:
        return [c for c in untried if c.provider.name != attempt.provider]
    if rule is Next.IF_ROUTE_SAYS and not route.moves_on_after_content_filter:
        return []
    return untried


def _has_larger_window(candidate: Candidate, than: Candidate) -> bool:
    """A window that nobody knows counts as larger only than one that is known."""
    if candidate.context_window is None:
        return than.context_window is not None
    return than.context_window is not None and candidate.context_window > than.context_window
