"""The judge of the ledger's proof finds each thing that could be off: a proof that can't fail proves nothing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from builders import NOW
from infra.proof.judge import NONCE, Answer, Evidence, judged
from infra.proof.tariff import Bill
from llm_router.usage import Attempt, Cost, CostBasis, Outcome, RecordState, TokenUsage, Trying, UsageRecord

BILL = Bill(1, "n-1", "north/small", 20, 5, 7, Decimal("0.0000013125"), "whole", says_usage=True, is_whole=True)
CUT = replace(BILL, says_usage=False, is_whole=False)
TOLD = Attempt(
    "north",
    "small",
    Outcome.SUCCESS,
    100,
    Cost(BILL.usd, CostBasis.EXACT),
    TokenUsage(prompt=20, completion=7, cached_prompt=5),
)
ESTIMATED = replace(TOLD, outcome=Outcome.CUT, cost=Cost(Decimal("0.000001"), CostBasis.ESTIMATED))
SETTLED = UsageRecord(
    position="01",
    request_id="01",
    state=RecordState.SETTLED,
    route="auto",
    key_id="anyone",
    opened_at=NOW,
    deadline_at=NOW,
    attempts=(TOLD,),
    metadata={NONCE: "n-1"},
)
TRYING = Trying("north/small", Decimal("0.00001"))
UNSETTLED = replace(SETTLED, state=RecordState.UNSETTLED, attempts=(), trying=TRYING)
CORRECTION = replace(SETTLED, position="02", replaces=UNSETTLED)
CORRECTED = replace(UNSETTLED, state=RecordState.CORRECTED)
CORRECTED_AGAIN = replace(CORRECTED, position="02", replaces=UNSETTLED)
LATE_OPENING = replace(SETTLED, state=RecordState.PENDING, attempts=(), trying=TRYING)
TOLD_ANSWER = Answer("n-1", BILL.usd, CostBasis.EXACT)


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence([BILL], [SETTLED]),
        Evidence([BILL], [SETTLED], answers=[TOLD_ANSWER]),
        Evidence([CUT], [replace(SETTLED, attempts=(ESTIMATED,))]),
        Evidence([BILL], [UNSETTLED]),
        Evidence([BILL], [CORRECTED, CORRECTION]),
        Evidence([BILL], [CORRECTED, CORRECTED_AGAIN, replace(SETTLED, position="03", replaces=CORRECTED_AGAIN)]),
        Evidence([BILL], [replace(SETTLED, position="02"), LATE_OPENING]),
        Evidence([CUT, BILL], [replace(SETTLED, attempts=(ESTIMATED, TOLD))]),
        Evidence([], [UNSETTLED]),
        Evidence([BILL], [], unopened=frozenset({("n-1", "north/small")})),
    ],
)
def test_what_is_as_promised_is_no_problem(evidence):
    assert judged(evidence).problems == []


def cost(usd, basis):
    return replace(SETTLED, attempts=(replace(TOLD, cost=Cost(usd, basis)),))


@pytest.mark.parametrize(
    ("evidence", "problem"),
    [
        (Evidence([BILL], []), "the ledger knows nothing of it"),
        (Evidence([BILL], [replace(SETTLED, attempts=())]), "the ledger knows nothing of it"),
        (Evidence([BILL, BILL], [SETTLED]), "the ledger knows nothing of it"),
        (Evidence([replace(BILL, candidate="west/large")], [UNSETTLED]), "the ledger knows nothing of it"),
        (Evidence([BILL], [SETTLED, replace(SETTLED, position="02")]), "two records"),
        (Evidence([BILL], [CORRECTED, SETTLED]), "replaced by 0 corrections"),
        (Evidence([BILL], [UNSETTLED, replace(CORRECTION, position="02")]), "replaced by 1 corrections"),
        (Evidence([BILL], [LATE_OPENING]), "still pending"),
        (Evidence([BILL], [cost(BILL.usd + Decimal("1E-10"), CostBasis.EXACT)]), "the provider billed"),
        (Evidence([replace(BILL, cached=4)], [SETTLED]), "the provider billed"),
        (Evidence([BILL], [cost(BILL.usd, CostBasis.ESTIMATED)]), "usage was reported"),
        (Evidence([BILL], [cost(None, CostBasis.UNKNOWN)]), "its cost is"),
        (Evidence([BILL], [replace(UNSETTLED, trying=replace(TRYING, upper_usd=Decimal("0.000001")))]), "unsettled at"),
        (Evidence([BILL], [replace(UNSETTLED, trying=replace(TRYING, upper_usd=None))]), "unsettled at"),
        (Evidence([], [SETTLED]), "never billed"),
        (Evidence([BILL], [SETTLED], answers=[replace(TOLD_ANSWER, usd=Decimal(0))]), "the caller was told"),
        (Evidence([BILL], [SETTLED], answers=[replace(TOLD_ANSWER, nonce="n-2")]), "the caller was told"),
    ],
)
def test_what_is_off_is_a_problem(evidence, problem):
    found = judged(evidence).problems
    assert found
    assert any(problem in each for each in found)


def test_what_was_never_billed_and_what_only_the_log_tells_of_are_told_apart():
    lost = replace(BILL, nonce="n-2")
    found = judged(Evidence([lost], [UNSETTLED], unopened=frozenset({("n-2", "north/small")})))
    assert found.unbilled == ["01"]
    assert found.in_the_log == [lost]
    assert found.unbilled_usd == TRYING.upper_usd
