"""The whole table of faults: what the callers got, who was asked, what the ledger says, and how long it took.

Each rule is one test over all rows; what it shows when it fails are the rows that break it.
"""

from __future__ import annotations

from decimal import Decimal

from faults.cells import CELLS, EXACT_USD, LIVE, SECOND_TEXT
from faults.faults import COOLING_DOWN, FIRST, GRACE_S, PIECES, SECOND, WORDS, Try
from llm_router.usage import CostBasis, Outcome, RecordState
from streaming_provider import USAGE

TEXTS = {FIRST: "".join(PIECES), SECOND: SECOND_TEXT}

EVENT = "error event "


def broken(results, rule, *, of=CELLS):
    """The rows for which `rule` has something to say."""
    found = {cell.label: rule(cell, results[cell]) for cell in of}
    return {label: said for label, said in found.items() if said}


def unlike(got, expected):
    return None if got == expected else f"{got}, not {expected}"


def test_each_caller_gets_a_whole_answer_or_a_clean_error(results):
    def rule(cell, result):
        seen, end = result.seen, cell.expected.end
        if end in TEXTS:
            return unlike((seen.end, seen.text, seen.broke_off), ("whole", TEXTS[end], False))
        return unlike((seen.end, seen.is_clean, seen.broke_off), (end, False, False))

    assert broken(results, rule) == {}


def test_what_a_caller_saw_of_a_broken_answer_is_its_beginning(results):
    def rule(cell, result):
        if cell.expected.end.startswith(EVENT) and not TEXTS[FIRST].startswith(result.seen.text or "nothing"):
            return result.seen.text or "nothing"
        return None

    assert broken(results, rule) == {}


def test_nothing_that_was_handed_over_as_a_success_is_a_part(results):
    """The requests before the one in the table are held to it too."""

    def rule(_, result):
        texts = [seen.text for seen in (*result.earlier, result.seen) if seen.is_clean]
        return [text for text in texts if text not in TEXTS.values()]

    assert broken(results, rule) == {}


def test_the_ledger_has_each_attempt_and_what_it_cost(results):
    def rule(cell, result):
        tries = [("first", one) for one in cell.expected.tries]
        expected = [*tries, ("second", Try("success", "exact"))] if cell.expected.end == SECOND else tries
        return unlike([(place(one), as_try(one)) for one in result.record.attempts], expected)

    assert broken(results, rule) == {}


def test_the_ledger_has_the_error_that_the_caller_got(results):
    def rule(cell, result):
        code = None if cell.expected.end in TEXTS else cell.expected.end.rpartition(" ")[2]
        return unlike((result.record.state, result.record.error), (RecordState.SETTLED, code))

    assert broken(results, rule) == {}


def test_each_error_tells_the_attempts_that_the_ledger_has(results):
    def rule(_, result):
        if result.seen.is_clean:
            return None
        told = [(row["provider"], row["outcome"]) for row in result.seen.attempts]
        return unlike(told, [(one.provider, one.outcome.value) for one in result.record.attempts])

    assert broken(results, rule) == {}


def test_who_may_come_again_is_told_when_and_nobody_else_is_asked_to(results):
    def rule(cell, result):
        headers, end = result.seen.headers, cell.expected.end
        if end == COOLING_DOWN:
            return None if 1 <= int(headers.get("retry-after", 0)) <= 60 else headers.get("retry-after", "never")
        should_retry = "false" if end.startswith(("502", "504")) else None
        return unlike((headers.get("x-should-retry"), headers.get("retry-after")), (should_retry, None))

    assert broken(results, rule) == {}


def test_each_caller_is_told_what_the_ledger_says_it_cost(results):
    """An error has it in a header, or in its event where its headers have left before it."""

    def rule(cell, result):
        seen = result.seen
        in_body = seen.is_clean or cell.expected.end.startswith(EVENT)
        told = seen.cost if in_body else Decimal(seen.headers["x-router-cost-usd"])
        return unlike(told, result.record.cost.usd)

    assert broken(results, rule) == {}


def test_each_provider_sees_as_many_requests_as_the_ledger_has_attempts(results):
    def rule(cell, result):
        first, *second = [sum(one.provider == name for one in result.record.attempts) for name in cell.providers]
        return unlike(result.calls, (0 if cell.fault.is_unseen else first, *second))

    assert broken(results, rule) == {}


def test_no_error_has_a_providers_words_or_its_address(results):
    def rule(_, result):
        told = "" if result.seen.is_clean else result.seen.body + str(result.seen.headers)
        return [word for word in (WORDS, "127.0.0.1", "Traceback") if word in told]

    assert broken(results, rule) == {}


def test_nobody_waits_past_the_deadline(results):
    def rule(cell, result):
        return None if result.seen.seconds <= cell.fault.request_s else f"{result.seen.seconds:.2f} s"

    assert broken(results, rule) == {}


def test_a_silent_provider_costs_its_limit_and_two_seconds_at_most(results):
    def rule(cell, result):
        return None if result.seen.seconds <= cell.fault.limit_s + GRACE_S else f"{result.seen.seconds:.2f} s"

    assert broken(results, rule, of=[cell for cell in CELLS if cell.fault.limit_s]) == {}


def test_every_fault_meets_every_way_alone_and_with_another():
    met = {(cell.fault.name, cell.door, cell.delivery, cell.several) for cell in CELLS}
    names = {cell.fault.name for cell in CELLS}
    assert len(met) == len(CELLS) == len(names) * 4 * 2


def test_with_a_healthy_second_candidate_a_providers_fault_costs_no_answer():
    """Unless a live caller has seen its beginning. What remains are the request's own faults, and its deadline."""
    unanswered = {
        cell.fault.name
        for cell in CELLS
        if cell.several and cell.expected.end not in TEXTS and not (cell.delivery == LIVE and cell.fault.shows)
    }
    assert unanswered == {
        "content filter",
        "content filter in mid-stream",
        "a safety stop in mid-stream, in capitals",
        "moderation, 403",
        "context length, no larger window",
        "a drip past the deadline",
    }


def test_every_kind_of_failure_occurs(results):
    met = {attempt.outcome for result in results.values() for attempt in result.record.attempts}
    not_the_providers = {Outcome.ABANDONED, Outcome.UNSENT, Outcome.UNSUITED, Outcome.UNKNOWN}
    assert met == set(Outcome) - not_the_providers


def place(attempt):
    return attempt.provider.rpartition("-")[2]


def as_try(attempt):
    """Whether it was billed by the tokens it reported, by an estimate, or not at all."""
    cost, tokens = attempt.cost, attempt.tokens
    if cost.basis is CostBasis.ESTIMATED and cost.usd > 0 and tokens.prompt > 0:
        return Try(attempt.outcome.value, "estimated")
    if cost.basis is CostBasis.EXACT and tokens is None and cost.usd == 0:
        return Try(attempt.outcome.value)
    counted = (USAGE["prompt_tokens"], USAGE["completion_tokens"], EXACT_USD[place(attempt)])
    if cost.basis is CostBasis.EXACT and (tokens.prompt, tokens.completion, cost.usd) == counted:
        return Try(attempt.outcome.value, "exact")
    return Try(attempt.outcome.value, f"{tokens} for {cost}")
