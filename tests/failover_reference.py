"""What the design says of failover, once more and in another way: a walk written down as one loop over plain numbers.

Nothing here comes from the library. A provider's behaviour at each try is a value; `walk` says which candidates must be
tried, how each try ends, and whether and when the caller gets a whole answer.
"""

from __future__ import annotations

from dataclasses import dataclass

ATTEMPTS, TRIES = 6, 2
SHORTEST_S = 0.5
RESERVE_S = 10.0
PAUSE_S = 0.25
MOST_JITTER = 0.25


@dataclass(frozen=True)
class Behaviour:
    """How a provider behaves at one try.

    `after_s` passes until its status or first content; `gaps_s` are between the words that follow; `wait_s` is what it
    asks for with Retry-After.
    """

    kind: str
    after_s: float = 0.0
    gaps_s: tuple[float, ...] = ()
    wait_s: float | None = None


@dataclass(frozen=True)
class Reference:
    """A candidate. `tries` are its behaviours at the first and at the second try; `breaker` is None where closed."""

    provider: str
    model: str
    tries: tuple[Behaviour, Behaviour]
    window: int | None = None
    first_token_s: float = 10.0
    idle_s: float = 10.0
    attempt_s: float = 60.0
    breaker: str | None = None

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True)
class Case:
    """One request: its candidates from the cheapest on. `time_s` is what attempts may use of the deadline."""

    candidates: tuple[Reference, ...]
    time_s: float
    max_wait_s: float
    moves_on_after_filter: bool
    live: bool
    jitter: float


@dataclass(frozen=True)
class Walked:
    tried: tuple[tuple[str, str], ...]
    is_whole: bool
    has_shown: bool
    ended_at_s: float


STATUSES = {
    "unreachable": "unreachable",
    "lost": "connection_lost",
    "500": "server_error",
    "503": "overloaded",
    "429": "rate_limited",
    "401": "refused",
    "too long": "context_length",
    "filter": "content_filter",
    "invalid": "bad_request",
}
"""Behaviours that end without content, and what they are called."""

SPOKEN = {"answers": "success", "cut": "cut", "malformed": "malformed"}
"""Behaviours that say words, and what becomes of one that is listened to till its end."""


def walk(case: Case) -> Walked:
    left = plan(case)
    tried: list[tuple[Reference, str, Behaviour]] = []
    now_s, candidate, shown = 0.0, None, False
    while case.time_s - now_s >= SHORTEST_S and len(tried) < ATTEMPTS:
        pause_s = 0.0
        if tried:
            candidate, pause_s = following(case, left, tried, case.time_s - now_s)
        elif left:
            candidate = left[0]
        if candidate is None:
            break
        left = [one for one in left if one.name != candidate.name]
        now_s += pause_s * (1 + MOST_JITTER * case.jitter)
        times = sum(one.name == candidate.name for one, _, _ in tried)
        behaviour = candidate.tries[min(times, 1)]
        others = bool(left) and len(tried) + 1 < ATTEMPTS
        outcome, took_s, has_content = met(candidate, behaviour, case.time_s - now_s, others=others)
        now_s += took_s
        tried.append((candidate, outcome, behaviour))
        shown = case.live and has_content
        if outcome == "success" or shown:
            break
        left = allowed(case, left, tried)
    names = tuple((one.name, outcome) for one, outcome, _ in tried)
    return Walked(names, bool(tried) and tried[-1][1] == "success", shown, now_s)


def plan(case: Case) -> list[Reference]:
    """The able ones; where there are none, the best of those that merely fail."""
    able = [one for one in case.candidates if one.breaker is None]
    failing = [one for one in case.candidates if one.breaker == "failing"]
    return able or failing[:1]


def met(candidate: Reference, behaviour: Behaviour, remaining_s: float, *, others: bool) -> tuple[str, float, bool]:
    """The outcome, the time it took, and whether there was content."""
    reserve_s = min(RESERVE_S, remaining_s / 2) if others else 0.0
    own_s, turn_s = min(candidate.first_token_s, candidate.attempt_s), remaining_s - reserve_s
    if behaviour.kind == "silent" or behaviour.after_s >= min(own_s, turn_s):
        return ran_out(own_s, turn_s), min(own_s, turn_s), False
    if behaviour.kind in STATUSES:
        return STATUSES[behaviour.kind], behaviour.after_s, False
    now_s = behaviour.after_s
    for gap_s in behaviour.gaps_s:
        idle_ends_s = now_s + candidate.idle_s
        if now_s + gap_s >= min(idle_ends_s, remaining_s):
            return ran_out(idle_ends_s, remaining_s), min(idle_ends_s, remaining_s), True
        now_s += gap_s
    if behaviour.kind == "stalls":
        idle_ends_s = now_s + candidate.idle_s
        return ran_out(idle_ends_s, remaining_s), min(idle_ends_s, remaining_s), True
    return SPOKEN[behaviour.kind], now_s, True


def ran_out(own_s: float, given_s: float) -> str:
    """Whose time it was."""
    return "timeout" if own_s <= given_s else "out_of_time"


def following(
    case: Case, left: list[Reference], tried: list[tuple[Reference, str, Behaviour]], remaining_s: float
) -> tuple[Reference | None, float]:
    """Who comes next, and after which pause. A provider that was not asked yet never loses its turn to a repeat."""
    last, outcome, behaviour = tried[-1]
    asked = {one.provider for one, _, _ in tried}
    new = [one for one in left if one.provider not in asked]
    has_spare = ATTEMPTS - len(tried) > len({one.provider for one in new})
    if has_spare and sum(one.name == last.name for one, _, _ in tried) < TRIES:
        pause_s = repeat_after_s(case, outcome, behaviour, is_alone=not left)
        if pause_s == 0 or (pause_s is not None and pause_s * (1 + MOST_JITTER) + SHORTEST_S < remaining_s):
            return last, pause_s
    queue = left if has_spare else new
    return (queue[0] if queue else None), 0.0


def repeat_after_s(case: Case, outcome: str, behaviour: Behaviour, *, is_alone: bool) -> float | None:
    """None where the same candidate is not asked again."""
    if outcome in ("connection_lost", "unreachable"):
        return 0.0
    if outcome == "server_error":
        return PAUSE_S
    if outcome == "rate_limited":
        wait_s = PAUSE_S if behaviour.wait_s is None else behaviour.wait_s
        return wait_s if is_alone or wait_s <= case.max_wait_s else None
    return None


def allowed(case: Case, left: list[Reference], tried: list[tuple[Reference, str, Behaviour]]) -> list[Reference]:
    """Those of the rest that the last outcome leaves in question."""
    last, outcome, _ = tried[-1]
    if outcome == "content_filter" and not case.moves_on_after_filter:
        return []
    if outcome == "context_length":
        return [one for one in left if is_larger(one.window, last.window)]
    if outcome == "bad_request":
        refusals = [one for one, said, _ in tried if said == "bad_request"]
        return [one for one in left if one.provider != last.provider] if len(refusals) == 1 else []
    return left


def is_larger(window: int | None, than: int | None) -> bool:
    """One that nobody knows is taken to be larger than any that is known; than an unknown one none is."""
    if window is None:
        return than is not None
    return than is not None and window > than
