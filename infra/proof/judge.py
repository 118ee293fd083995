"""Holds the ledger against the providers' own count of what they billed, call by call. Pure.

Everything that is not as promised is a problem; what the promise leaves open is counted, so that it can be seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from infra.proof.tariff import Bill
from llm_router.usage import Attempt, CostBasis, Outcome, RecordState, UsageRecord

NONCE = "nonce"
"""The name in a record's metadata of what stands first in its prompt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller was told that its whole answer cost."""

    nonce: str
    usd: Decimal
    basis: CostBasis


@dataclass(frozen=True, slots=True)
class Evidence:
    """`unopened` are openings that only the log holds, not yet replayed: of each the nonce and the candidate."""

    bills: Sequence[Bill]
    records: Sequence[UsageRecord]
    unopened: frozenset[tuple[str, str]] = frozenset()
    answers: Sequence[Answer] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the ledger says that a call cost which did not say so itself, and what was billed for it."""

    why: str
    usd: Decimal
    billed_usd: Decimal


@dataclass(slots=True)
class Verdict:
    """`unbilled` are the requests that count at an upper estimate though nobody billed them; `in_the_log` the calls
    that only the log tells of: the table was dead when they began, and the process was killed before they ended.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    exact_usd: Decimal = Decimal(0)
    estimates: list[Estimate] = field(default_factory=list)
    unsettled: list[Estimate] = field(default_factory=list)
    unbilled: list[str] = field(default_factory=list)
    unbilled_usd: Decimal = Decimal(0)
    in_the_log: list[Bill] = field(default_factory=list)


def judged(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    bills: dict[str, list[Bill]] = defaultdict(list)
    for bill in evidence.bills:
        bills[bill.nonce].append(bill)
    records = _effective(evidence.records, verdict)
    for nonce in bills.keys() | records.keys():
        _judge_request(nonce, bills[nonce], records.get(nonce), evidence.unopened, verdict)
    for answer in evidence.answers:
        _judge_answer(answer, records.get(answer.nonce), verdict)
    return verdict


def effective(records: Iterable[UsageRecord]) -> list[UsageRecord]:
    """Those that count: without what a correction replaces, and without openings that arrived after the record they
    belong to had been inserted elsewhere.
    """
    found = list(records)
    moved = {record.request_id for record in found if record.position != record.request_id}
    return [
        record
        for record in found
        if record.state is not RecordState.CORRECTED
        and not (record.state is RecordState.PENDING and record.request_id in moved)
    ]


def _effective(records: Sequence[UsageRecord], verdict: Verdict) -> dict[str, UsageRecord]:
    by_nonce: dict[str, UsageRecord] = {}
    counting = effective(records)
    replaced = Counter(record.replaces.position for record in records if record.replaces)
    for record in records:
        if replaced[record.position] != (record.state is RecordState.CORRECTED):
            verdict.problems.append(f"{record.request_id}: replaced by {replaced[record.position]} corrections")
    verdict.counts["late openings that count as nothing"] += len(records) - len(counting) - replaced.total()
    verdict.counts["corrections of an estimate"] += replaced.total()
    for record in counting:
        nonce = record.metadata[NONCE]
        if nonce in by_nonce:
            verdict.problems.append(f"{nonce}: two records, {by_nonce[nonce].position} and {record.position}")
        by_nonce[nonce] = record
    return by_nonce


def _judge_request(
    nonce: str,
    bills: Sequence[Bill],
    record: UsageRecord | None,
    unopened: frozenset[tuple[str, str]],
    verdict: Verdict,
) -> None:
    verdict.counts["billed calls"] += len(bills)
    if record is None:
        for bill in bills:
            _judge_unrecorded(bill, unopened, verdict)
        return
    verdict.counts[f"requests {record.state.value}"] += 1
    if record.state is RecordState.PENDING:
        verdict.problems.append(f"{nonce}: still pending")
    left = [attempt for attempt in record.attempts if attempt.tokens]
    trying = record.trying if record.state is RecordState.UNSETTLED else None
    for bill in bills:
        attempt = next((one for one in left if one.candidate == bill.candidate), None)
        if attempt:
            left.remove(attempt)
            _judge_attempt(attempt, bill, verdict)
        elif trying and trying.candidate == bill.candidate:
            _judge_unsettled(trying.upper_usd, bill, verdict)
            trying = None
        else:
            _judge_unrecorded(bill, unopened, verdict)
    for attempt in left:
        _judge_unbilled(nonce, attempt, verdict)
    if trying:
        verdict.unbilled.append(record.request_id)
        verdict.unbilled_usd += trying.upper_usd or 0


def _judge_attempt(attempt: Attempt, bill: Bill, verdict: Verdict) -> None:
    tokens, cost = attempt.tokens, attempt.cost
    if tokens is None or cost.usd is None:
        verdict.problems.append(f"{bill.nonce}: {bill.candidate} was billed and its cost is {cost}")
    elif cost.basis is CostBasis.EXACT:
        counted = (tokens.prompt, tokens.cached_prompt, tokens.completion, cost.usd)
        if counted != (bill.prompt, bill.cached, bill.completion, bill.usd):
            verdict.problems.append(f"{bill.nonce}: the ledger has {counted}, the provider billed {bill}")
        verdict.counts["settled as reported, equal to the token and the cent"] += 1
        verdict.exact_usd += cost.usd
    elif attempt.outcome is Outcome.SUCCESS and bill.says_usage:
        verdict.problems.append(f"{bill.nonce}: usage was reported and the cost is estimated")
    else:
        why = "whole, without usage" if attempt.outcome is Outcome.SUCCESS else attempt.outcome.value
        verdict.counts["settled at an estimate, labelled so"] += 1
        verdict.estimates.append(Estimate(why, cost.usd, bill.usd))


def _judge_unsettled(upper_usd: Decimal | None, bill: Bill, verdict: Verdict) -> None:
    verdict.counts["unsettled, at an upper estimate"] += 1
    if upper_usd is None or upper_usd < bill.usd:
        verdict.problems.append(f"{bill.nonce}: unsettled at {upper_usd}, billed {bill.usd}")
        return
    verdict.unsettled.append(Estimate("unsettled", upper_usd, bill.usd))


def _judge_unrecorded(bill: Bill, unopened: frozenset[tuple[str, str]], verdict: Verdict) -> None:
    if (bill.nonce, bill.candidate) in unopened:
        verdict.in_the_log.append(bill)
    else:
        verdict.problems.append(f"{bill.nonce}: {bill.candidate} billed {bill.usd}, and the ledger knows nothing of it")


def _judge_unbilled(nonce: str, attempt: Attempt, verdict: Verdict) -> None:
    if attempt.cost.basis is CostBasis.EXACT and attempt.cost.usd:
        verdict.problems.append(f"{nonce}: {attempt.candidate} never billed what the ledger calls exact")
    verdict.counts["attempts at an estimate that were never billed"] += 1
    verdict.unbilled_usd += attempt.cost.usd or 0


def _judge_answer(answer: Answer, record: UsageRecord | None, verdict: Verdict) -> None:
    verdict.counts["answers whose caller was told the ledger's cost"] += 1
    if record is None or (record.cost.usd, record.cost.basis) != (answer.usd, answer.basis):
        told = f"{answer.usd} ({answer.basis})"
        verdict.problems.append(f"{answer.nonce}: the caller was told {told}, the ledger has {record and record.cost}")


def ratios(estimates: Iterable[Estimate]) -> Iterator[tuple[str, Sequence[Decimal]]]:
    """By why they are estimates: how many times what was billed they are, in order."""
    found: Mapping[str, list[Decimal]] = defaultdict(list)
    for estimate in estimates:
        found[estimate.why].append(estimate.usd / estimate.billed_usd)
    for why in sorted(found):
        yield why, sorted(found[why])
