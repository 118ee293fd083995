"""A caller hangs up at each step: what was billed by then is settled by the router itself, and nothing is left open."""

from __future__ import annotations

import pytest

from infra.proof.callers import Door
from infra.proof.door import Step
from infra.proof.provider import Moment
from violence.stage import Write

DOORS = [Door.CHAT, Door.LIVE, Door.VERIFIED]
"""At /generate nobody looks whether the caller is still there: the answer is brought to its end."""


def is_settled(stage):
    verdict = stage.verdict()
    assert verdict.problems == []
    assert not verdict.counts["requests unsettled"]
    return verdict


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("moment", Moment)
def test_whatever_the_provider_has_just_done(stage, moment, door):
    stage.at(moment, stage.hang_up)
    stage.ask(door)
    is_settled(stage)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem"])
def test_however_far_a_write_has_come(stage, operation, step, door):
    stage.at_write(Write(operation, 1, step), stage.hang_up)
    stage.ask(door)
    is_settled(stage)


def test_with_the_first_byte(stage):
    stage.ask(Door.LIVE, at_first_byte=stage.hang_up)
    is_settled(stage)
