"""The whole walk of a request against a reference of it, over fleets of any behaviour, in virtual time.

The dispatcher, its exchanges and its breakers are the real ones; the wire, the ledger and the table are in memory.
"""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from aws_lambda_powertools import Logger
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from builders import KEYLESS, NOW, VOCABULARY_DIR, candidate, price, prompt
from failover_reference import ATTEMPTS, SHORTEST_S, STATUSES, TRIES, Behaviour, Case, Reference, walk
from llm_router import fleet_items, routing
from llm_router.candidates import Configuration, Route
from llm_router.clock import Clock
from llm_router.dispatcher import SETTLING_S, Deadline, Dispatcher, RequestFailedError
from llm_router.fitting import Fitter
from llm_router.fleet import Fleet
from llm_router.fleet_store import Shared
from llm_router.health import Health, OpenReason
from llm_router.tokens import Tokenizer
from llm_router.transport import TransportError
from llm_router.usage import Outcome, RecordState
from streaming_provider import as_event, chunk, delta
from virtual_time import VirtualTimeLoop

FOR_EVER_S = 1e6
NEVER_FAR = 1e-6
"""What sums of floats differ by."""

CODES = {"too long": "context_length_exceeded", "filter": "content_filter", "429": "rate_limit_exceeded"}


# The surroundings, in memory.


@dataclass
class Upstream:
    """A response as the transport hands it on."""

    status: int
    headers: dict[str, str]
    script: object

    async def chunks(self, *, bytes_at_most=None):
        del bytes_at_most
        async for data in self.script():
            yield data


@dataclass
class Wires:
    """Plays each candidate's behaviour, and counts."""

    references: dict[str, Reference]
    calls: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self, request, *, before_body, progress, fresh=False):
        del fresh
        await before_body()
        progress.sent_body_at_s = 0.0
        model = json.loads(request.body)["model"]
        times = self.calls[model] = self.calls.get(model, 0) + 1
        behaviour = self.references[model].tries[min(times, 2) - 1]
        if behaviour.kind == "silent":
            await asyncio.sleep(FOR_EVER_S)
        if behaviour.kind in STATUSES:
            await asyncio.sleep(behaviour.after_s)
            if behaviour.kind in ("unreachable", "lost"):
                raise TransportError(Outcome(STATUSES[behaviour.kind]), may_be_billed=False)
            yield Upstream(*refusal(behaviour))
        else:
            yield Upstream(200, {"content-type": "text/event-stream"}, lambda: spoken(behaviour, words(model)))


def refusal(behaviour):
    status = {"too long": 400, "filter": 400, "invalid": 400}.get(behaviour.kind) or int(behaviour.kind)
    body = json.dumps({"error": {"message": "no", "code": CODES.get(behaviour.kind)}}).encode()

    async def script():
        yield body

    wait = {} if behaviour.wait_s is None else {"retry-after": str(behaviour.wait_s)}
    return status, {"content-type": "application/json", **wait}, script


def words(model):
    """Each candidate's text is its own, so that no mixture of two goes unseen."""
    return [f"{model} says ", *(f"{number} " for number in range(10))]


async def spoken(behaviour, said):
    yield as_event(chunk(delta(role="assistant")))
    await asyncio.sleep(behaviour.after_s)
    yield as_event(chunk(delta(content=said[0])))
    for gap_s, word in zip(behaviour.gaps_s, said[1:], strict=False):
        await asyncio.sleep(gap_s)
        yield as_event(chunk(delta(content=word)))
    if behaviour.kind == "stalls":
        await asyncio.sleep(FOR_EVER_S)
    if behaviour.kind == "malformed":
        yield b"data: {\n\n"
    if behaviour.kind == "cut":
        raise TransportError(Outcome.CUT, may_be_billed=True)
    yield as_event(chunk(delta(finish="stop"))) + b"data: [DONE]\n\n"


def whole_text(reference, behaviour):
    return "".join(words(reference.model)[: len(behaviour.gaps_s) + 1])


@dataclass
class Books:
    """A ledger that never fails."""

    settled: list = field(default_factory=list)

    def insert(self, record):
        return record

    def note_attempts(self, record):
        """Pending records are of no interest here."""

    def settle(self, record):
        self.settled.append(record)
        return record


@dataclass
class Table:
    """The fleet's items."""

    texts: dict[str, str]

    def read(self, items):
        return {item: dict(self.texts) if item is Shared.FLEET else {} for item in items}

    def swap(self, name, before, after):
        assert self.texts.get(name) == before
        self.texts[name] = after


class Keys:
    async def keys(self, providers):
        del providers
        return {}


# One request through all of it.


@dataclass
class Run:
    tried: tuple
    is_whole: bool
    text: str
    shown: str
    shown_by: set
    ended_at_s: float
    record: object
    calls: dict


def configured(case):
    """The first is the cheapest."""
    found = tuple(
        candidate(
            one.name,
            usd=price(str(at + 1), str(at + 1)),
            auth=KEYLESS,
            timeout_s=one.attempt_s,
            context_window=one.window,
            first_token_timeout_s=one.first_token_s,
            idle_timeout_s=one.idle_s,
        )
        for at, one in enumerate(case.candidates)
    )
    return Route(
        name="auto",
        candidates=tuple(reversed(found)),
        max_wait_s=case.max_wait_s,
        moves_on_after_content_filter=case.moves_on_after_filter,
    )


def opened(reason):
    return Health(reason=OpenReason(reason), opened_at=NOW, open_until=NOW + timedelta(seconds=20))


def run(case):
    route = configured(case)
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        clock = Clock(
            now=lambda: NOW + timedelta(seconds=loop.time()), monotonic_s=loop.time, jitter=lambda: case.jitter
        )
        logger = Logger(service="test_failover_model", stream=io.StringIO())
        breakers = {
            fleet_items.BREAKER + one.name: fleet_items.breaker_text(opened(one.breaker))
            for one in case.candidates
            if one.breaker
        }
        wires, books = Wires({one.model: one for one in case.candidates}), Books()
        dispatcher = Dispatcher(
            configuration=Configuration(candidates=route.candidates, routes={"auto": route}),
            keys=Keys(),
            fleet=Fleet(Table(breakers), clock=clock, logger=logger),
            ledger=books,
            transport=wires,
            fitter=Fitter(Tokenizer(VOCABULARY_DIR, logger=logger), logger),
            clock=clock,
            logger=logger,
        )
        return runner.run(asked(case, dispatcher, wires, books))


async def asked(case, dispatcher, wires, books):
    shown, shown_by, text = [], set(), ""

    async def show(data, served):
        shown.append(json.loads(data)["choices"][0]["delta"].get("content") or "")
        shown_by.add(served.provider)

    seconds = case.time_s + SETTLING_S
    try:
        answer = await dispatcher.answer(
            prompt(),
            key_id="anyone",
            request_id=lambda: "position",
            deadline=Deadline(seconds, seconds),
            show=show if case.live else None,
        )
        text, record, is_whole = answer.text, answer.record, True
    except RequestFailedError as failed:
        record, is_whole = failed.record, False
    assert not asyncio.all_tasks() - {asyncio.current_task()}, "a task outlived the answer"
    assert books.settled == [record]
    tried = tuple((one.candidate, one.outcome.value) for one in record.attempts)
    ended_at_s = asyncio.get_running_loop().time()
    return Run(tried, is_whole, text, "".join(shown), shown_by, ended_at_s, record, wires.calls)


# Requests of any kind.

TIMES_S = st.integers(0, 150).map(lambda tenths: tenths / 10 + 0.0371)
"""Never just at a limit, where either side would do."""

SHORT_S = st.integers(0, 30).map(lambda tenths: tenths / 10 + 0.0173)
LIMITS_S = st.sampled_from([0.5, 2.0, 5.0, 10.0])
FAILS_FOR_IT = ("unreachable", "lost", "500", "503", "429", "401")
SPEAKS = ("answers", "cut", "malformed", "stalls")

BEHAVIOURS = st.builds(
    Behaviour,
    kind=st.sampled_from([*STATUSES, *SPEAKS, "answers", "silent"]),
    after_s=TIMES_S | SHORT_S,
    gaps_s=st.lists(TIMES_S | SHORT_S, max_size=3).map(tuple),
    wait_s=st.none() | TIMES_S,
)
BREAKERS = st.sampled_from([None, None, None, "failing", "rate_limited"])


@st.composite
def cases(draw, behaviours=BEHAVIOURS):
    count = draw(st.integers(1, 8))
    hosts = draw(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=count, max_size=count))
    return Case(
        candidates=tuple(
            Reference(
                provider=host,
                model=f"m{at}",
                tries=(draw(behaviours), draw(behaviours)),
                window=draw(st.none() | st.sampled_from([4_000, 8_000, 32_000])),
                first_token_s=draw(LIMITS_S),
                idle_s=draw(LIMITS_S),
                attempt_s=draw(st.sampled_from([3.0, 60.0])),
                breaker=draw(BREAKERS),
            )
            for at, host in enumerate(hosts)
        ),
        time_s=draw(st.sampled_from([0.3, 2.0, 9.0, 27.0, 119.0])),
        max_wait_s=draw(st.sampled_from([0.0, 3.0])),
        moves_on_after_filter=draw(st.booleans()),
        live=draw(st.booleans()),
        jitter=draw(st.sampled_from([0.0, 0.5, 0.99])),
    )


@settings(max_examples=300)
@given(cases())
def test_a_request_goes_the_way_that_the_reference_says(case):
    expected, found = walk(case), run(case)
    assert found.tried == expected.tried
    assert found.is_whole == expected.is_whole
    assert found.ended_at_s == pytest.approx(expected.ended_at_s, abs=NEVER_FAR)
    event(f"{len(found.tried)} attempts, {'whole' if found.is_whole else 'an error'}")


@given(cases())
def test_no_candidate_is_tried_more_than_twice_and_no_request_more_than_six_times(case):
    found = run(case)
    assert sum(found.calls.values()) == len(found.tried) <= ATTEMPTS == 6
    assert all(count <= TRIES == 2 for count in found.calls.values())


@given(cases())
def test_the_deadline_is_never_passed(case):
    assert run(case).ended_at_s <= case.time_s + NEVER_FAR


@given(cases())
def test_no_success_is_a_part_or_a_mixture(case):
    found = run(case)
    if found.is_whole:
        last = next(one for one in case.candidates if one.name == found.tried[-1][0])
        behaviour = last.tries[min(found.calls[last.model], 2) - 1]
        assert behaviour.kind == "answers"
        assert found.text == whole_text(last, behaviour)
        assert not case.live or found.shown == found.text
    else:
        assert found.record.error is not None
    assert len(found.shown_by) <= 1
    assert found.record.state is RecordState.SETTLED


FRIENDLY = st.builds(
    Behaviour,
    kind=st.sampled_from([*FAILS_FOR_IT, "silent", "cut", "malformed", "stalls"]),
    after_s=SHORT_S,
    gaps_s=st.lists(SHORT_S, max_size=2).map(tuple),
    wait_s=st.none() | SHORT_S,
)
"""Failures that are the provider's, so that others may be asked."""


@given(cases(behaviours=FRIENDLY), st.data())
def test_an_able_candidate_that_answers_in_its_share_of_the_time_is_reached(case, data):
    """Five other providers may fail in any way. A second try is sure to be permitted where there are three in all: with
    more, each of them is asked once before anybody is asked twice.
    """
    others = tuple({one.provider: one for one in case.candidates}.values())
    at = data.draw(st.integers(0, len(others)), label="place")
    tries = data.draw(
        st.sampled_from(
            [
                (Behaviour("answers", 0.2), Behaviour("503")),
                (Behaviour("lost"), Behaviour("answers", 0.2, (0.2,))),
                (Behaviour("unreachable"), Behaviour("answers", 0.2)),
            ]
        ),
        label="tries",
    )
    able = Reference("able", "model", tries)
    patient = Case((*others[:at], able, *others[at:]), 600.0, 0.0, moves_on_after_filter=False, live=False, jitter=0.5)
    assume(tries[0].kind == "answers" or len(others) < ATTEMPTS // TRIES)
    found = run(patient)
    assert found.is_whole
    assert found.tried[-1] == ("able/model", "success")


@given(cases())
def test_the_plan_is_a_permutation_of_the_able_candidates(case):
    route = configured(case)
    surroundings = routing.Surroundings(
        now=NOW,
        providers_with_key=(),
        health={one.name: opened(one.breaker) for one in case.candidates if one.breaker},
    )
    found = routing.plan(prompt(), route, surroundings)
    able = [one.name for one in case.candidates if one.breaker is None]
    if able:
        assert sorted(one.name for one in found.candidates) == sorted(able)
    assert sorted([*(one.name for one in found.candidates), *(item.candidate.name for item in found.excluded)]) == (
        sorted(one.name for one in case.candidates)
    )


def test_the_reference_knows_every_outcome_of_a_read_stream():
    """What it leaves out: a caller who leaves, a provider that refuses streams or this request, a fault of ours, an
    outcome from a later version.
    """
    known = {*STATUSES.values(), "success", "cut", "malformed", "timeout", "out_of_time"}
    left_out = {"abandoned", "stream_refused", "unsent", "unsuited", "unknown"}
    assert known == {one.value for one in Outcome} - left_out
    assert SHORTEST_S < 1
