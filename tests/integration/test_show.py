"""`llm-router show`: whatever became of a request, it is found by the id that its caller has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from infra.records import known
from infra.records.known import Counted
from integration.records import CHEAP, STEADY, attempt, pending, settled
from llm_router import json_text
from llm_router.aggregator import ORPHAN_GRACE_S
from llm_router.ledger import INSERT_WITHIN_S, SAFE_BEHIND_S
from llm_router.usage import Cost, CostBasis, Outcome, RecordState, TokenUsage, TrimKind, Trimming

OVER_S = 28 + ORPHAN_GRACE_S + SAFE_BEHIND_S
PAID, UPPER = Decimal("0.0003"), Decimal("0.01")


@pytest.fixture
def today(books):
    """The commands go by the real clock."""
    books.moving.at = datetime.now(UTC)
    return books


def opened(books):
    record = pending(books, upper=str(UPPER))
    books.ledger.insert(record)
    return record


def end(books, record):
    return books.ledger.settle(settled(record, attempt(usd=str(PAID)), at=books.moving.at))


def aggregate(books):
    books.moving.move(OVER_S)
    books.aggregator.run(limit_s=100)


def test_a_request_is_counted_from_its_settlement_on_and_in_the_sums_once_the_walk_has_passed_it(books):
    record = opened(books)
    assert known.of(books, record.request_id).counted is Counted.NOT_YET
    ended = end(books, record)
    assert known.of(books, record.request_id) == known.Known(ended, None, Counted.LIVE)
    aggregate(books)
    assert known.of(books, record.request_id) == known.Known(ended, None, Counted.SUMMED)


def test_a_request_that_the_walk_has_passed_while_it_was_under_way_is_not_in_the_sums(books):
    record = pending(books, timeout_s=900)
    books.ledger.insert(record)
    books.moving.move(SAFE_BEHIND_S + 1)
    books.aggregator.run(limit_s=100)
    end(books, record)
    assert known.of(books, record.request_id).counted is Counted.LIVE


def test_a_corrected_request_is_shown_as_it_ended_beside_the_estimate_that_it_replaced(books):
    record = opened(books)
    aggregate(books)
    correction = end(books, record)
    found = known.of(books, record.request_id)
    assert (found.record, found.counted) == (correction, Counted.LIVE)
    assert (found.before.state, found.before.cost.usd) == (RecordState.CORRECTED, UPPER)
    assert not found.has_moved


def test_a_request_whose_opening_was_lost_is_found_where_it_was_inserted_also_on_another_day(books):
    books.moving.at = books.moving.at.replace(hour=23, minute=59, second=59)
    record = pending(books)
    books.moving.move(INSERT_WITHIN_S + 86_400)
    written = end(books, record)
    found = known.of(books, record.request_id)
    assert (found.record, found.has_moved) == (written, True)


def test_an_opening_that_came_after_all_does_not_hide_the_request_that_was_inserted_late(books):
    record = pending(books)
    books.moving.move(INSERT_WITHIN_S + 1)
    written = end(books, record)
    books.client.put_item(TableName="ledger", Item=books.ledger._item(record))
    assert known.of(books, record.request_id).record == written


def test_nothing_is_known_of_a_request_that_never_was(books):
    assert known.of(books, books.ledger.new_position()) is None


@pytest.mark.parametrize("text", ["", "x", "U" * 26, "llmr_abc"])
def test_what_is_no_request_id_is_wrong_use(command_line, text):
    told = command_line("show", text)
    assert told.exit_code == 2
    assert "no request id" in told.stderr


def test_an_unknown_request_is_told_in_words_with_exit_code_1(command_line, today):
    told = command_line("show", today.ledger.new_position())
    assert (told.exit_code, told.stdout) == (1, "")
    assert "knows nothing of" in told.stderr


def test_the_command_tells_everything(command_line, today):
    record = replace(opened(today), baseline_usd=Decimal("0.001"), metadata={"team": "search\x1b[31m"})
    cut = replace(
        attempt(CHEAP, Outcome.CUT),
        cost=Cost(Decimal("0.0001"), CostBasis.ESTIMATED),
        tokens=TokenUsage(prompt=900, completion=20, cached_prompt=512),
    )
    served = attempt(STEADY, usd="0.0004")
    today.ledger.settle(settled(record, cut, served, at=today.moving.at))
    told = command_line("show", record.request_id.lower())
    assert told.exit_code == 0
    lines = [line.split() for line in told.stdout.splitlines()]
    for expected in [
        ["state", "settled"],
        ["cost,", "USD", "0.0005"],
        ["cost", "basis", "estimated"],
        ["savings,", "USD", "0.0006"],
        [CHEAP, "cut", "0.12", "s", "900", "20", "512", "0.0001", "estimated"],
        [STEADY, "success", "0.12", "s", "10", "5", "0", "0.0004", "exact"],
        ["metadata", "team", "=", "search?[31m"],
    ]:
        assert expected in lines
    document = json_text.decode(command_line("show", record.request_id, "--json").stdout.encode())
    assert document["cost_usd"] == Decimal("0.0005")
    assert document["metadata"] == record.metadata
    assert document["counted"] == Counted.LIVE
    assert document["replaced"] is None


def test_the_command_follows_a_correction_and_says_what_counted_before(command_line, today):
    record = opened(today)
    aggregate(today)
    correction = end(today, record)
    told = command_line("show", record.request_id).stdout
    assert f"stands at {correction.position}" in told
    assert f"as unsettled, at {UPPER} USD" in told
    document = json_text.decode(command_line("show", record.request_id, "--json").stdout.encode())
    assert (document["cost_usd"], document["replaced"]["cost_usd"]) == (PAID, UPPER)


def test_what_was_cut_from_the_prompt_is_told(command_line, today):
    trimmed = Trimming(TrimKind.TRIM, before=49_963, after=5_953, passages_gone=554, limit=6_000)
    record = replace(pending(today), trimming=trimmed)
    today.ledger.insert(record)
    assert "trimmed from 49,963 to 5,953 tokens" in command_line("show", record.request_id).stdout
    document = json_text.decode(command_line("show", record.request_id, "--json").stdout.encode())
    assert document["trimming"]["passages_gone"] == 554


@pytest.mark.parametrize("given_up", [False, True])
def test_an_attempt_without_an_end_is_shown_at_its_upper_estimate(command_line, today, given_up):
    record = opened(today)
    if given_up:
        today.ledger.give_up(record)
    told = command_line("show", record.request_id).stdout
    assert f"at most {UPPER}" in told
    assert ("never ended" if given_up else "under way") in told
