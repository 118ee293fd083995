"""The aggregation, failed, overtaken and killed at each of its calls: every record counts once.

One run over the journal of these tests reads the checkpoint and two shards, gives up two orphans, reads the rollups and
moves the sums: nine calls.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config

from infra.local import template
from infra.local.aws_resources import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from infra.proof import ledgers, sums
from infra.proof.door import LATER_S, Step
from infra.proof.members import ROOT
from infra.proof.weather import Fault
from integration.records import CHEAP, STEADY, attempt, pending, settled
from llm_router.errors import StoreError
from llm_router.usage import Outcome
from violence.stage import SHARDS

FAULTS = [fault for fault in Fault if fault is not Fault.NONE]
CALLS = 9
COUNTED = {"requests": 4, "unsettled": 2, "successes": 1, "cost_usd": Decimal("0.0207")}

names = (f"ledger-{number}" for number in itertools.count())


@dataclass(frozen=True)
class Journal:
    """A table of its own, with a few records."""

    table: str
    direct: ledgers.Ledgers
    behind_the_door: ledgers.Ledgers

    def is_counted_once(self):
        """As soon as somebody aggregates undisturbed."""
        ledgers.settle_orphans(self.direct)
        walked = sums.by_hand(self.direct.items())
        assert {name: walked.whole[name] for name in COUNTED} == COUNTED
        assert list(sums.of_candidates(self.direct.checkpoints, walked)) == []
        for place, known in sums.of_rollups(self.direct.checkpoints):
            assert list(sums.differences(place, known, walked.whole)) == []


@pytest.fixture
def journal(stage):
    """Makes a new one at each call. The client at the door gives up soon: what comes late is late."""
    tries = {"total_max_attempts": 2, "mode": "standard"}
    quick = Config(connect_timeout=1, read_timeout=0.4, retries=tries, proxies={})
    session = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION)
    at_the_door = session.client("dynamodb", endpoint_url=stage.door.url, config=quick)
    stage.door.later_s = 0.5

    def made():
        stage.door.decide, stage.door.watch = (lambda _: Fault.NONE), (lambda *_: None)
        table = next(names)
        template.create_table(stage.dynamodb, logical_name="LedgerTable", name=table)
        _fill(ledgers.opened(stage.dynamodb, table=table, ahead=timedelta(), shards=SHARDS))
        clients = (stage.dynamodb, at_the_door)
        return Journal(table, *(ledgers.opened(client, table=table, shards=SHARDS) for client in clients))

    yield made
    stage.door.later_s = LATER_S


def _fill(today):
    """Two that were settled, of which one failed, and two orphans."""
    books = SimpleNamespace(ledger=today.ledger, moving=SimpleNamespace(at=datetime.now(UTC)))
    orphans = [pending(books), pending(books, candidate=STEADY)]
    ended = [
        settled(pending(books), attempt(CHEAP, Outcome.CUT), attempt(STEADY, usd="0.0007"), at=books.moving.at),
        settled(pending(books), attempt(CHEAP, Outcome.SERVER_ERROR), at=books.moving.at),
    ]
    for record in orphans:
        today.ledger.insert(record)
    for record in ended:
        today.ledger.settle(record)


def calls(journal, at):
    """Whether a call of the door on the journal's table is the one at that place, each counted as it arrives."""
    counted = itertools.count()

    def is_it(message):
        return f'"{journal.table}"'.encode() in message.body and next(counted) == at

    return is_it


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_call_fails(stage, journal, fault, for_ever):
    for at in range(CALLS):
        violated = journal()
        is_it, has_begun = calls(violated, at), False

        def decide(message, is_it=is_it):
            nonlocal has_begun
            now = is_it(message)
            has_begun = has_begun or now
            return fault if now or (for_ever and has_begun) else Fault.NONE

        stage.door.decide = decide
        try:
            ledgers.settle_orphans(violated.behind_the_door)
            assert not for_ever
        except StoreError:
            assert for_ever, "the clients ask twice"
        assert has_begun
        stage.await_quiet()
        violated.is_counted_once()


def test_another_one_overtakes_it_at_each_call(stage, journal):
    for at, step in itertools.product(range(CALLS), Step):
        violated = journal()
        is_it = calls(violated, at)

        def overtake(now, message, step=step, is_it=is_it, violated=violated):
            if now is step and is_it(message):
                ledgers.settle_orphans(violated.direct)

        stage.door.watch = overtake
        ledgers.settle_orphans(violated.behind_the_door)
        violated.is_counted_once()


@pytest.mark.parametrize("step", [Step.ARRIVED, Step.APPLIED])
def test_it_is_killed_at_each_call(stage, journal, step):
    for at in range(CALLS):
        violated = journal()
        is_it, killed = calls(violated, at), []
        run = subprocess.Popen(
            [sys.executable, "-m", "infra.proof.ledgers", "--table", violated.table, "--shards", str(SHARDS)],
            env=stage.surroundings.environ(),
            cwd=ROOT,
        )

        def kill(now, message, is_it=is_it, run=run, killed=killed):
            if now is step and is_it(message):
                run.kill()
                killed.append(run.pid)

        stage.door.watch = kill
        assert run.wait(60) < 0
        assert killed
        violated.is_counted_once()
