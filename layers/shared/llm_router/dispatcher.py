"""The use case: one prompt in, one whole answer out, every attempt in the ledger.

Gathers what a plan needs, lets `routing` and `failover` decide, makes the attempts, settles the record. No task that it
starts is pending when it returns, for a Lambda environment freezes then; a thread whose work came too late may be.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from aws_lambda_powertools import Logger

from llm_router import billing, cancellation, failover, journal_items, routing, trials, verdicts
from llm_router.adapters import openai
from llm_router.candidates import Candidate, Configuration, Route, combined
from llm_router.clock import Clock
from llm_router.errors import (
    AbandonedError,
    DeadlineExceededError,
    InvalidRequestError,
    RequestError,
    RouterError,
    StoreError,
)
from llm_router.exchange import Exchange, Limits
from llm_router.experience import Experience
from llm_router.failover import BreakerEffect, Step
from llm_router.fitting import Fitted, Fitter
from llm_router.fleet import Fleet
from llm_router.ledger import Ledger
from llm_router.prompts import Prompt
from llm_router.provider_keys import KeyReader
from llm_router.transport import Transport
from llm_router.trials import Answer, Opening, Request, ShowTo, Trial, Way
from llm_router.upstream import Reading, Streamed
from llm_router.usage import Attempt, Outcome, RecordState, Trying, UsageRecord

SETTLING_S = 1.0
"""Kept back from the deadline for the ledger's last write."""

SETTLED_WITHIN_AT_LEAST_S = 0.2
LEASE_MARGIN_S = 3.0
"""What a probe may take beside its wait for the first content: for the ledger, and to tell the fleet."""

OPENED_WITHIN_S = 1.5
"""Past it the prompt goes out all the same: an outage of the table is no outage of the answers."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Seconds: what the door takes where the route says nothing, and what nobody can go past."""

    default_s: float
    limit_s: float

    def seconds(self, route: Route) -> float:
        return min(self.default_s if route.timeout_s is None else route.timeout_s, self.limit_s)


class RequestFailedError(RouterError):
    """A request that could not be served: the error for the caller, and the record with the attempts."""

    def __init__(self, error: RequestError, record: UsageRecord) -> None:
        self.error = error
        self.record = record
        super().__init__(str(error))


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """`memory_mb` is that of the Lambda function that this is, None where it is none."""

    configuration: Configuration
    keys: KeyReader
    fleet: Fleet
    ledger: Ledger
    transport: Transport
    fitter: Fitter
    clock: Clock
    logger: Logger
    memory_mb: int | None = None
    experience: Experience = field(default_factory=Experience)

    async def answer(
        self,
        prompt: Prompt,
        *,
        key_id: str,
        request_id: Callable[[], str],
        deadline: Deadline,
        show: ShowTo | None = None,
    ) -> Answer:
        """Serve the prompt; raises InvalidRequestError or RequestFailedError.

        `request_id` is a position of the ledger's, asked for when the record is made: it should be no older than that.
        `show` gets the events of the answer while it comes; without it nothing leaves before the whole is proven.
        """
        started_s = self.clock.monotonic_s()
        route = self._route(prompt)
        time_s = deadline.seconds(route) - SETTLING_S
        keys, surroundings = await self._surroundings(route, time_s=time_s)
        try:
            fitted = await asyncio.wait_for(self.fitter.fitted(prompt, route, surroundings), time_s)
        except TimeoutError:
            raise DeadlineExceededError("The prompt could not be made to fit before the deadline.") from None
        request = Request(
            prompt=fitted.prompt,
            fitted=fitted,
            route=route,
            plan=routing.plan(fitted.prompt, route, surroundings),
            keys=keys,
            facts=surroundings.facts,
            started_s=started_s,
            deadline_s=started_s + time_s,
            show=show,
        )
        return await self._serve(request, self._new_record(request, request_id(), key_id, surroundings.now))

    async def plan(self, prompt: Prompt, *, deadline: Deadline) -> tuple[Fitted, routing.Plan]:
        """What `answer` would send and try, in which order and why, without doing it. Raises InvalidRequestError."""
        route = self._route(prompt)
        _, surroundings = await self._surroundings(route, time_s=deadline.seconds(route) - SETTLING_S)
        fitted = await self.fitter.fitted(prompt, route, surroundings)
        return fitted, routing.plan(fitted.prompt, route, surroundings)

    async def _surroundings(
        self, route: Route, *, time_s: float | None
    ) -> tuple[Mapping[str, str], routing.Surroundings]:
        """The keys at hand, and all else that a plan depends on."""
        providers = {candidate.provider.name for candidate in route.candidates}
        keys, fleet = await asyncio.gather(self.keys.keys(providers), self.fleet.current())
        return keys, routing.Surroundings(
            now=self.clock.now(),
            providers_with_key=keys.keys(),
            switched_off=fleet.switched_off,
            health=fleet.health,
            facts=fleet.facts,
            time_s=time_s,
            found_lacking=self.experience.lacking,
        )

    def _route(self, prompt: Prompt) -> Route:
        found = [self.configuration.route(model) for model in prompt.models]
        for at, (model, route) in enumerate(zip(prompt.models, found, strict=True)):
            if route is None:
                param = "model" if prompt.names_model and not at else "models"
                raise InvalidRequestError(_unknown_route(model, self.configuration), param=param)
        return combined([route for route in found if route])

    def _new_record(self, request: Request, request_id: str, key_id: str, now: datetime) -> UsageRecord:
        return UsageRecord(
            position=request_id,
            request_id=request_id,
            state=RecordState.PENDING,
            route=request.prompt.models[0],
            key_id=key_id,
            opened_at=now,
            deadline_at=now + timedelta(seconds=request.deadline_s + SETTLING_S - request.started_s),
            metadata=request.prompt.metadata,
            memory_mb=self.memory_mb,
            trimming=request.fitted.trimming,
            counted_tokens=request.fitted.own_count,
        )

    async def _serve(self, request: Request, record: UsageRecord) -> Answer:
        trial = Trial(record, Reading(Outcome.MALFORMED))
        abandoned = False
        try:
            await self._try(request, trial)
        except asyncio.CancelledError:  # the caller is gone; what was paid for must still be written down
            cancellation.forget()
            abandoned = True
        error = None
        if abandoned or trial.reading.outcome is not Outcome.SUCCESS:
            error = self._verdict(request, trial, abandoned=abandoned)
        settled = await cancellation.to_its_end(self._settle(request, trial, error))
        if error:
            raise RequestFailedError(error, settled)
        return self._whole(request, settled, trial)

    async def _try(self, request: Request, trial: Trial) -> None:
        """Attempt after attempt, until an answer is whole or nothing more may be tried."""
        while step := failover.next_step(
            trial.left(request.plan),
            route=request.route,
            attempts=trial.record.attempts,
            remaining_s=self._remaining_s(request),
            is_open=trial.last is not None and self.fleet.is_failing(trial.last.candidate),
        ):
            if not await self._is_admitted(request, trial, step):
                trial.passed_over.add(step.candidate.name)
                continue
            if step.pause_s:
                await self.clock.sleep(step.pause_s * (1 + self.clock.jitter() * failover.JITTER))
            await self._attempt(request, trial, step)
            if trial.reading.outcome is Outcome.SUCCESS or trial.has_shown:
                return
        if trial.passed_over and not trial.record.attempts:
            await self._attempt(request, trial, Step(request.plan.candidates[0]))

    async def _is_admitted(self, request: Request, trial: Trial, step: Step) -> bool:
        """A half-open candidate is tried by one process of the fleet, unless there is nobody else to try."""
        name = step.candidate.name
        if request.plan.is_forced or any(attempt.candidate == name for attempt in trial.record.attempts):
            return True
        remaining_s = self._remaining_s(request)
        streamed = self.experience.streamed(request.prompt, step.candidate, trial.record.attempts)
        first_s = self._first_content_s(step.candidate, streamed)
        return await self.fleet.admits(name, lease_s=min(first_s, remaining_s) + LEASE_MARGIN_S)

    def _verdict(self, request: Request, trial: Trial, *, abandoned: bool) -> RequestError:
        attempts = trial.record.attempts
        if abandoned or (attempts and attempts[-1].outcome is Outcome.ABANDONED):
            return AbandonedError("The caller hung up before the answer was whole.")
        in_time = self._remaining_s(request) >= failover.SHORTEST_ATTEMPT_S
        if trial.has_shown:
            return verdicts.broken(attempts[-1], in_time=in_time)
        return verdicts.error(
            request.plan, attempts, now=self.clock.now(), in_time=in_time, held_in=request.prompt.held_in
        )

    def _whole(self, request: Request, record: UsageRecord, trial: Trial) -> Answer:
        served = record.attempts[-1]
        upstream_ms = sum(attempt.latency_ms for attempt in record.attempts)
        return Answer(
            text=trial.reading.text,
            model=trial.reading.model or served.model,
            completion=trial.reading.completion,
            record=record,
            reason=trials.reason(request, served.candidate, record.attempts[:-1]),
            overhead_ms=max(0, (record.latency_ms or 0) - upstream_ms),
            closing=trial.closing,
        )

    async def _attempt(self, request: Request, trial: Trial, step: Step) -> None:
        """One try, in the ledger before its body leaves and with its outcome afterwards."""
        candidate = step.candidate
        facts = request.facts.get(candidate.name, routing.UNKNOWN_FACTS)
        streamed = self.experience.streamed(request.prompt, candidate, trial.record.attempts)
        way = Way(streamed, billing.output_cap(request.prompt, candidate, facts))
        upper = billing.upper_usd(request.prompt, candidate)
        trial.record = replace(trial.record, trying=Trying(candidate.name, upper))
        opening = Opening(asyncio.create_task(self._write_trying(trial.record)), self.clock)
        started_s, began_at = self.clock.monotonic_s(), self.clock.now()
        trial.reading = await self._exchange(request, trial, step, opening=opening, way=way)
        latency_ms = _milliseconds(self.clock.monotonic_s() - started_s - opening.waited_s)
        trial.reading = await self.fitter.counted(trial.reading, request.prompt, within_s=self._remaining_s(request))
        await cancellation.to_its_end(opening.written)
        span = billing.Span(began_at, latency_ms)
        attempt = billing.attempt(trial.reading, candidate, prompt=request.prompt, facts=facts, span=span)
        self.experience.learn(attempt, before=trial.record.attempts, streamed=streamed, prompt=request.prompt)
        self._note(trial, candidate, attempt, began_at)
        trial.record = replace(trial.record, attempts=(*trial.record.attempts, attempt))

    async def _exchange(self, request: Request, trial: Trial, step: Step, *, opening: Opening, way: Way) -> Reading:
        candidate = step.candidate
        key = request.keys.get(candidate.provider.name)
        try:
            upstream = openai.build(
                request.prompt, candidate=candidate, key=key, output_cap=way.output_cap, streamed=way.streamed
            )
        except Exception:  # as below; and nothing of it is the provider's, which was not asked
            self.logger.exception("adapter failed", event="adapter_failed", candidate=candidate.name)
            return Reading(Outcome.UNSENT)
        exchange = Exchange(
            transport=self.transport,
            request=upstream,
            limits=self._limits(request, trial, candidate, way.streamed),
            asked=trials.asked(request.prompt, candidate, way.streamed),
            show=trials.shown_by(request, trial, candidate),
            answers=functools.partial(self._tell, trial, candidate, BreakerEffect.ANSWERS, began_at=self.clock.now()),
            fresh=step.fresh,
        )
        try:
            return await exchange.read(before_body=opening.acknowledged, now=self.clock.now)
        except Exception:  # the boundary of an attempt: a fault of ours must not cost the caller the other candidates
            self.logger.exception("adapter failed", event="adapter_failed", candidate=candidate.name)
            return Reading(Outcome.MALFORMED, may_be_billed=exchange.progress.sent_body)
        finally:
            trial.has_shown, trial.closing = exchange.has_shown, exchange.closing

    def _limits(self, request: Request, trial: Trial, candidate: Candidate, streamed: Streamed) -> Limits:
        remaining_s = self._remaining_s(request)
        others = failover.has_more(
            trial.left(request.plan), candidate, route=request.route, attempts=trial.record.attempts
        )
        return Limits(
            first_content_s=self._first_content_s(candidate, streamed),
            one_piece_s=candidate.provider.timeout_s,
            idle_s=candidate.idle_timeout_s,
            before_content_s=failover.turn_s(remaining_s=remaining_s, others_left=others),
            total_s=remaining_s,
        )

    @staticmethod
    def _first_content_s(candidate: Candidate, streamed: Streamed) -> float:
        own_s = candidate.provider.timeout_s
        return own_s if streamed is Streamed.NO else min(own_s, candidate.first_token_timeout_s)

    async def _write_trying(self, record: UsageRecord) -> None:
        """Where DynamoDB fails the request goes on: settling makes up for it."""
        write = self.ledger.note_attempts if record.attempts else self.ledger.insert
        try:
            await asyncio.wait_for(asyncio.to_thread(write, record), OPENED_WITHIN_S)
        except (StoreError, TimeoutError) as error:
            self._log_record(record, error, event="ledger.unopened")

    async def _settle(self, request: Request, trial: Trial, error: RequestError | None) -> UsageRecord:
        """Write the record's end, and wait for what the fleet is being told."""
        opened_at, candidate = trial.record.opened_at, trials.candidate_served(request, trial.record)
        baseline_usd = billing.baseline_usd(trial.record.served, request.route.baseline, at=opened_at)
        settled = replace(
            trial.record,
            state=RecordState.SETTLED,
            trying=None,
            error=error.code if error else None,
            latency_ms=_milliseconds(self.clock.monotonic_s() - request.started_s),
            settled_at=self.clock.now(),
            baseline_usd=baseline_usd,
            trimming=billing.priced(trial.record.trimming, candidate, at=opened_at),
        )
        left_s = max(SETTLED_WITHIN_AT_LEAST_S, self._remaining_s(request) + SETTLING_S)
        try:
            settling = asyncio.wait_for(asyncio.to_thread(self.ledger.settle, settled), left_s)
            written, _ = await asyncio.gather(settling, trial.told())
        except (StoreError, TimeoutError) as failure:
            self._log_record(settled, failure, event="ledger.unwritten")
            await trial.told()
            return settled
        return written

    def _log_record(self, record: UsageRecord, error: Exception, *, event: str) -> None:
        """One line from which a command can write the record later; settling twice changes nothing."""
        reason = str(error) or type(error).__name__
        text = journal_items.log_text(record)
        self.logger.error("ledger did not answer", event=event, reason=reason, record=text)

    def _note(self, trial: Trial, candidate: Candidate, attempt: Attempt, began_at: datetime) -> None:
        """What the fleet is told of an attempt."""
        rule = failover.RULES[attempt.outcome]
        if rule.says_nothing_yet:  # were a probe's lease given back, another process would probe beside the next try
            return
        self._tell(trial, candidate, rule.breaker, began_at=began_at, retry_after_s=attempt.retry_after_s)
        if attempt.outcome is Outcome.REFUSED:
            self.logger.error("provider refuses", event="provider_refused", provider=candidate.provider.name)

    def _tell(
        self,
        trial: Trial,
        candidate: Candidate,
        effect: BreakerEffect,
        *,
        began_at: datetime,
        retry_after_s: float | None = None,
    ) -> None:
        if telling := self.fleet.note(candidate.name, effect, began_at=began_at, retry_after_s=retry_after_s):
            trial.telling.append(telling)

    def _remaining_s(self, request: Request) -> float:
        return request.deadline_s - self.clock.monotonic_s()


def _unknown_route(model: str, configuration: Configuration) -> str:
    known = ", ".join(sorted(configuration.routes))
    return f"There is no route or model {model[:100]!r}. Routes: {known}; or name a model as provider/model."


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
