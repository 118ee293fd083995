"""The use case: one prompt in, one whole answer out, every attempt in the ledger.

Gathers what a plan needs, lets `routing` and `failover` decide, makes the attempts, settles the record. Nothing that
it starts is still running when it returns: a Lambda environment freezes then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger

from llm_router import billing, failover, journal_items, json_text, pricing, routing, verdicts
from llm_router.adapters import openai
from llm_router.candidates import Candidate, Configuration, Route
from llm_router.clock import Clock
from llm_router.errors import InvalidRequestError, RequestError, RouterError, StoreError
from llm_router.fleet import FleetFacts
from llm_router.health import HEALTHY, Health, OpenReason
from llm_router.ledger import Ledger
from llm_router.prompts import Prompt
from llm_router.provider_keys import KeyReader
from llm_router.transport import Transport, TransportError
from llm_router.upstream import Reading
from llm_router.usage import Attempt, Outcome, RecordState, Trying, UsageRecord

SETTLING_S = 1.0
"""Kept back from the deadline for the ledger's last write."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer and the record of how it came about. `overhead_ms` is the time not spent on providers."""

    text: str
    model: str
    record: UsageRecord
    reason: str
    overhead_ms: int


class RequestFailedError(RouterError):
    """A request that could not be served: the error for the caller, and the record with the attempts."""

    def __init__(self, error: RequestError, record: UsageRecord) -> None:
        self.error = error
        self.record = record
        super().__init__(str(error))


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """`health` lives as long as the process; the fleet's share in it has its own store later."""

    configuration: Configuration
    keys: KeyReader
    facts: FleetFacts
    ledger: Ledger
    transport: Transport
    clock: Clock
    logger: Logger
    health: dict[str, Health] = field(default_factory=dict)

    async def answer(self, prompt: Prompt, *, key_id: str, limit_s: float) -> Answer:
        """Serve the prompt within `limit_s` seconds; raises InvalidRequestError or RequestFailedError."""
        started_s = self.clock.monotonic_s()
        route = self.configuration.route(prompt.model)
        if route is None:
            raise InvalidRequestError(_unknown_route(prompt.model, self.configuration), param="model")
        providers = {candidate.provider.name for candidate in route.candidates}
        keys, facts = await asyncio.gather(self.keys.keys(providers), self.facts.current())
        now = self.clock.now()
        surroundings = routing.Surroundings(now, keys.keys(), self.health, facts)
        request = _Request(
            prompt=prompt,
            route=route,
            plan=routing.plan(prompt, route, surroundings),
            keys=keys,
            facts=facts,
            started_s=started_s,
            deadline_s=started_s + min(route.timeout_s, limit_s) - SETTLING_S,
        )
        return await self._serve(request, self._new_record(request, key_id, now))

    def _new_record(self, request: _Request, key_id: str, now: datetime) -> UsageRecord:
        position = self.ledger.new_position()
        return UsageRecord(
            position=position,
            request_id=position,
            state=RecordState.PENDING,
            route=request.prompt.model,
            key_id=key_id,
            opened_at=now,
            deadline_at=now + timedelta(seconds=request.deadline_s + SETTLING_S - request.started_s),
            metadata=request.prompt.metadata,
        )

    async def _serve(self, request: _Request, record: UsageRecord) -> Answer:
        reading = Reading(Outcome.MALFORMED)
        plan = request.plan.candidates
        while step := failover.next_step(
            plan, route=request.route, attempts=record.attempts, remaining_s=self._remaining_s(request)
        ):
            if step.pause_s:
                await self.clock.sleep(step.pause_s * (1 + self.clock.jitter() / 4))
            record, reading = await self._attempt(request, record, step.candidate)
            if reading.outcome is Outcome.SUCCESS:
                break
        error = None
        if reading.outcome is not Outcome.SUCCESS:
            in_time = self._remaining_s(request) >= failover.SHORTEST_ATTEMPT_S
            error = verdicts.error(request.plan, record.attempts, now=self.clock.now(), in_time=in_time)
        record = await self._settle(request, record, error)
        if error:
            raise RequestFailedError(error, record)
        return self._whole(request, record, reading)

    def _whole(self, request: _Request, record: UsageRecord, reading: Reading) -> Answer:
        served = record.attempts[-1]
        upstream_ms = sum(attempt.latency_ms for attempt in record.attempts)
        place = next(place for place in request.plan.places if place.candidate.name == served.candidate)
        return Answer(
            text=reading.text,
            model=reading.model or served.model,
            record=record,
            reason=place.reason if len(record.attempts) == 1 else f"after {record.attempts[-2].outcome.value}",
            overhead_ms=max(0, (record.latency_ms or 0) - upstream_ms),
        )

    async def _attempt(
        self, request: _Request, record: UsageRecord, candidate: Candidate
    ) -> tuple[UsageRecord, Reading]:
        """One try, in the ledger before its body leaves and with its outcome afterwards."""
        cap = billing.output_cap(request.prompt, candidate)
        upper = pricing.upper_usd(candidate, prompt_bytes=request.prompt.size_bytes, output_cap=cap)
        record = replace(record, trying=Trying(candidate.name, upper))
        tried = {candidate.name, *(attempt.candidate for attempt in record.attempts)}
        others = any(other.name not in tried for other in request.plan.candidates)
        limit_s = failover.attempt_limit_s(candidate, remaining_s=self._remaining_s(request), others_left=others)
        written = asyncio.create_task(self._write_trying(record))
        started_s = self.clock.monotonic_s()
        reading = await self._exchange(request, candidate, written=written, output_cap=cap, limit_s=limit_s)
        latency_ms = _milliseconds(self.clock.monotonic_s() - started_s)
        record = replace(record, position=await written)
        facts = request.facts.get(candidate.name, routing.UNKNOWN_FACTS)
        attempt = billing.attempt(reading, candidate, prompt=request.prompt, facts=facts, latency_ms=latency_ms)
        self._note_health(candidate, attempt)
        return replace(record, attempts=(*record.attempts, attempt)), reading

    async def _exchange(
        self,
        request: _Request,
        candidate: Candidate,
        *,
        written: asyncio.Task[str],
        output_cap: int | None,
        limit_s: float,
    ) -> Reading:
        async def acknowledged() -> None:
            await asyncio.shield(written)

        try:
            key = request.keys.get(candidate.provider.name)
            upstream = openai.build(request.prompt, candidate=candidate, key=key, output_cap=output_cap)
            response = await self.transport.send(upstream, limit_s=limit_s, before_body=acknowledged)
            return openai.read(response, now=self.clock.now())
        except TransportError as error:
            return Reading(error.outcome, may_be_billed=error.may_be_billed)
        except Exception:  # the boundary of an attempt: a fault of ours must not cost the caller the other candidates
            self.logger.exception("adapter failed", event="adapter_failed", candidate=candidate.name)
            return Reading(Outcome.MALFORMED, may_be_billed=True)

    async def _write_trying(self, record: UsageRecord) -> str:
        """Returns the record's position. Where DynamoDB fails the request goes on, and the log keeps what it can."""
        write = self.ledger.note_attempts if record.attempts else self.ledger.insert
        try:
            written = await asyncio.to_thread(write, record)
        except StoreError as error:
            self._log_unwritten(record, error)
            return record.position
        return written.position if written else record.position

    async def _settle(self, request: _Request, record: UsageRecord, error: RequestError | None) -> UsageRecord:
        settled = replace(
            record,
            state=RecordState.SETTLED,
            trying=None,
            error=error.code if error else None,
            latency_ms=_milliseconds(self.clock.monotonic_s() - request.started_s),
            settled_at=self.clock.now(),
        )
        try:
            return await asyncio.to_thread(self.ledger.settle, settled)
        except StoreError as failure:
            self._log_unwritten(settled, failure)
            return settled

    def _log_unwritten(self, record: UsageRecord, error: StoreError) -> None:
        """One line from which a command can write the record later."""
        values = {"position": record.position, **journal_items.record_values(record)}
        text = json_text.encode(values).decode()
        self.logger.error("ledger did not answer", event="ledger.unwritten", reason=str(error), record=text)

    def _note_health(self, candidate: Candidate, attempt: Attempt) -> None:
        rule = failover.RULES[attempt.outcome]
        before = self.health.get(candidate.name, HEALTHY)
        after = before.after(rule.breaker, now=self.clock.now(), retry_after_s=attempt.retry_after_s)
        self.health[candidate.name] = after
        if after.reason is OpenReason.REFUSED and attempt.outcome is Outcome.REFUSED:
            self.logger.error("provider refuses", event="provider_refused", provider=candidate.provider.name)

    def _remaining_s(self, request: _Request) -> float:
        return request.deadline_s - self.clock.monotonic_s()


@dataclass(frozen=True, slots=True)
class _Request:
    """What stays the same from the first attempt to the last. Times are on the monotonic clock."""

    prompt: Prompt
    route: Route
    plan: routing.Plan
    keys: Mapping[str, str]
    facts: Mapping[str, routing.Facts]
    started_s: float
    deadline_s: float


def _unknown_route(model: str, configuration: Configuration) -> str:
    known = ", ".join(sorted(configuration.routes))
    return f"There is no route or model {model[:100]!r}. Routes: {known}; or name a model as provider/model."


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
