"""SIGKILL at each step between the first byte sent upstream and the last byte to the caller: no billed call is lost."""

from __future__ import annotations

import pytest

from infra.proof.callers import Door
from infra.proof.door import Step
from infra.proof.provider import Moment
from infra.proof.scripts import Script
from infra.proof.weather import Fault
from violence.stage import Write

DOORS = [Door.GENERATE, Door.LIVE]
OPENING, SETTLING = "PutItem", "UpdateItem"


def is_in_the_ledger(stage, *, billed=1, or_one_more=False):
    """`or_one_more`: what the router waited for has reached it, so it may send once more before it is dead."""
    verdict = stage.verdict()
    assert verdict.problems == []
    assert verdict.counts["billed calls"] in range(billed, billed + 1 + or_one_more)
    return verdict


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("moment", Moment)
def test_whatever_the_provider_has_just_done(stage, moment, door):
    stage.at(moment, stage.kill)
    stage.ask(door)
    billed = 0 if moment in (Moment.CONNECTED, Moment.HEAD) else 1
    is_in_the_ledger(stage, billed=billed, or_one_more=moment is Moment.HEAD)


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("operation", [OPENING, SETTLING])
def test_however_far_a_write_has_come(stage, operation, step):
    stage.at_write(Write(operation, 1, step), stage.kill)
    stage.ask(Door.GENERATE)
    goes_on = operation is OPENING and step is Step.ACKNOWLEDGED
    verdict = is_in_the_ledger(stage, billed=1 if operation is SETTLING else 0, or_one_more=goes_on)
    if (operation, step) in {(SETTLING, Step.APPLIED), (SETTLING, Step.ACKNOWLEDGED)}:
        assert verdict.counts["settled as reported, equal to the token and the cent"] == 1


@pytest.mark.parametrize("operation", [OPENING, SETTLING])
def test_with_a_write_that_never_arrives(stage, operation):
    stage.fails(operation, 1, Fault.CUT, for_ever=True)
    stage.at_write(Write(operation, 1, Step.ARRIVED), stage.kill)
    stage.ask(Door.GENERATE)
    is_in_the_ledger(stage, billed=1 if operation is SETTLING else 0)


def test_when_the_caller_has_the_first_byte(stage):
    stage.ask(Door.LIVE, at_first_byte=stage.kill)
    is_in_the_ledger(stage)


@pytest.mark.parametrize("step", Step)
def test_between_two_attempts_of_which_the_first_was_billed(stage, step):
    stage.providers.choose = lambda call, _: Script.CUT if call.offer.candidate == "north/small" else Script.WHOLE
    stage.at_write(Write("UpdateItem", 1, step), stage.kill)
    stage.ask(Door.GENERATE, model="auto")
    is_in_the_ledger(stage, or_one_more=step is Step.ACKNOWLEDGED)


def test_during_the_second_attempt(stage):
    stage.providers.choose = lambda call, _: Script.CUT if call.offer.candidate == "north/small" else Script.WHOLE
    stage.at(Moment.USAGE, stage.kill)
    stage.ask(Door.GENERATE, model="auto")
    is_in_the_ledger(stage, billed=2)
