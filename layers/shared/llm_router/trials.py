"""One request on its way: what stays the same, how far its attempts have come, what its caller is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from llm_router import routing
from llm_router.candidates import Candidate, Feature, Route
from llm_router.clock import Clock
from llm_router.exchange import Show
from llm_router.fitting import Fitted
from llm_router.prompts import Prompt
from llm_router.upstream import Asked, Reading, Streamed
from llm_router.usage import Attempt, UsageRecord


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer and the record of how it came about. `overhead_ms` is the time not spent on providers.

    `closing` are the events that end a stream whose beginning was shown already.
    """

    text: str
    model: str
    completion: Mapping[str, object]
    record: UsageRecord
    reason: str
    overhead_ms: int
    closing: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """Who is answering, as far as it is known when the first content comes."""

    provider: str
    model: str
    attempts: int
    reason: str


ShowTo = Callable[[bytes, Served], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Request:
    """What stays the same from the first attempt to the last. Times are on the monotonic clock."""

    prompt: Prompt
    fitted: Fitted
    route: Route
    plan: routing.Plan
    keys: Mapping[str, str]
    facts: Mapping[str, routing.Facts]
    started_s: float
    deadline_s: float
    show: ShowTo | None


@dataclass(slots=True)
class Trial:
    """How far the attempts have come."""

    record: UsageRecord
    reading: Reading
    has_shown: bool = False
    closing: tuple[bytes, ...] = ()
    passed_over: set[str] = field(default_factory=set)
    telling: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def last(self) -> Attempt | None:
        return self.record.attempts[-1] if self.record.attempts else None

    def left(self, plan: routing.Plan) -> list[Candidate]:
        """Those of a plan that may be asked: another process probes the others."""
        return [candidate for candidate in plan.candidates if candidate.name not in self.passed_over]

    async def told(self) -> None:
        """What the fleet is being told of this request's attempts has arrived, or could not."""
        await asyncio.gather(*self.telling)


@dataclass(frozen=True, slots=True)
class Way:
    """How a candidate is asked. `output_cap` limits the answer's tokens."""

    streamed: Streamed
    output_cap: int | None


@dataclass(slots=True)
class Opening:
    """The ledger's write before an attempt, and how long the attempt had to wait for it."""

    written: asyncio.Task[None]
    clock: Clock
    waited_s: float = 0.0

    async def acknowledged(self) -> None:
        started_s = self.clock.monotonic_s()
        await asyncio.shield(self.written)
        self.waited_s += self.clock.monotonic_s() - started_s


def asked(prompt: Prompt, candidate: Candidate, streamed: Streamed) -> Asked:
    """What an answer must have to be whole."""
    with_calls = bool({Feature.TOOLS, Feature.AUDIO} & prompt.needs)
    return Asked(
        prompt.choices,
        with_calls=with_calls,
        dialect=candidate.provider.dialect,
        is_streamed=streamed is not Streamed.NO,
    )


def candidate_served(request: Request, record: UsageRecord) -> Candidate | None:
    """The candidate that served; None where none has."""
    name = record.served.candidate if record.served else None
    return next((candidate for candidate in request.plan.candidates if candidate.name == name), None)


def shown_by(request: Request, trial: Trial, candidate: Candidate) -> Show | None:
    """Says with each event who is answering; None where nobody listens."""
    show_to = request.show
    if show_to is None:
        return None
    before = trial.record.attempts
    served = Served(
        provider=candidate.provider.name,
        model=candidate.model,
        attempts=len(before) + 1,
        reason=reason(request, candidate.name, before),
    )

    async def show(data: bytes) -> None:
        await show_to(data, served)

    return show


def reason(request: Request, candidate: str, before: Sequence[Attempt]) -> str:
    """Why this candidate serves: its place in the plan, or what became of the one before."""
    if before:
        return f"after {before[-1].outcome.value}"
    return next(place.reason for place in request.plan.places if place.candidate.name == candidate)
