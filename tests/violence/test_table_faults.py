"""Each write of a request fails, once or as long as it lasts: the caller gets the answer, and the ledger the cost."""

from __future__ import annotations

import pytest

from infra.proof.callers import Door
from infra.proof.door import Step
from infra.proof.provider import Moment
from infra.proof.scripts import Script
from infra.proof.weather import Fault
from violence.stage import Write

FAULTS = [fault for fault in Fault if fault is not Fault.NONE]
WRITES = {"opening": ("PutItem", 1), "noting the next attempt": ("UpdateItem", 1), "settling": ("UpdateItem", 2)}


def first_attempt_is_cut(stage):
    stage.providers.choose = lambda call, _: Script.CUT if call.offer.candidate == "north/small" else Script.WHOLE


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_fails(stage, write, fault, for_ever):
    first_attempt_is_cut(stage)
    stage.fails(*WRITES[write], fault, for_ever=for_ever)
    answer = stage.ask(Door.GENERATE, model="auto")
    assert answer.startswith(b"HTTP/1.1 200 OK"), "an outage of the table is no outage of the answers"
    stage.door.decide = lambda _: Fault.NONE
    verdict = stage.verdict()
    assert verdict.problems == []
    assert verdict.counts["billed calls"] == 2
    assert verdict.counts["settled as reported, equal to the token and the cent"] == 1
    assert verdict.counts["settled at an estimate, labelled so"] == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_all_of_the_table_fails_while_a_request_runs(stage, fault):
    stage.door.decide = lambda _: fault
    assert b"[DONE]" in stage.ask(Door.LIVE)
    stage.door.decide = lambda _: Fault.NONE
    verdict = stage.verdict()
    assert verdict.problems == []
    assert verdict.counts["settled as reported, equal to the token and the cent"] == 1


def test_a_call_that_only_the_log_knows_of_is_there_once(stage):
    """The table was dead when it began, and the process was killed before it ended."""
    stage.fails("PutItem", 1, Fault.DEAD, for_ever=True)
    stage.at(Moment.USAGE, stage.kill)
    stage.ask(Door.GENERATE)
    stage.door.decide = lambda _: Fault.NONE
    assert stage.recorded() == []
    verdict = stage.verdict()
    assert verdict.problems == []
    assert verdict.counts["unsettled, at an upper estimate"] == 1


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("write", WRITES)
def test_the_aggregation_gives_a_request_up_in_the_middle_of_its_writes(stage, write, step):
    """As for a process that slept past its deadline: what it wrote then is put right by a correction."""
    first_attempt_is_cut(stage)
    stage.at_write(Write(*WRITES[write], step), stage.aggregate)
    assert stage.ask(Door.GENERATE, model="auto").startswith(b"HTTP/1.1 200 OK")
    verdict = stage.verdict()
    assert verdict.problems == []
    assert verdict.counts["requests settled"] == 1
    assert verdict.counts["billed calls"] == 2
