"""The walk over the journal: each record counts once, whenever, however often and by however many it is run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from infra.local import template
from integration.conftest import open_books
from integration.records import CHEAP, STEADY, attempt, pending, settled
from llm_router import aggregator, contributions, journal_items, statistics
from llm_router.aggregator import ORPHAN_GRACE_S, Aggregator
from llm_router.checkpoints import Checkpoint, Checkpoints
from llm_router.errors import CatchingUpError, StoreError
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import SAFE_BEHIND_S
from llm_router.rollups import Kind, Period
from llm_router.spans import Segment, last_hours
from llm_router.statistics import Grouping, Question
from llm_router.usage import Outcome

LONG_AGO_S = SAFE_BEHIND_S + 60


def serve(books, *attempts, candidate=CHEAP):
    record = pending(books, candidate=candidate)
    books.ledger.insert(record)
    return books.ledger.settle(settled(record, *attempts, at=books.moving.at))


def test_sums_are_those_of_the_records(books):
    serve(books, attempt(usd="0.0001"))
    serve(books, attempt(outcome=Outcome.OVERLOADED), attempt(STEADY, usd="0.002"))
    serve(books, attempt(outcome=Outcome.SERVER_ERROR), attempt(STEADY, Outcome.TIMEOUT))
    books.moving.move(LONG_AGO_S)
    assert books.aggregator.run(limit_s=10).records == 3
    sums = books.total()
    assert (sums["requests"], sums["successes"], sums["failures"]) == (3, 2, 1)
    assert sums["cost_usd"] == Decimal("0.0021")
    assert (sums["prompt_tokens"], sums["completion_tokens"]) == (20, 10)
    cheap, steady = books.total(Kind.CANDIDATE, CHEAP), books.total(Kind.CANDIDATE, STEADY)
    assert (cheap["attempts"], cheap["failed_attempts"], cheap["requests"]) == (3, 2, 1)
    assert (steady["attempts"], steady["failed_attempts"], steady["requests"]) == (2, 1, 1)
    assert steady["cost_usd"] == Decimal("0.002")


def test_hours_and_days_are_those_of_the_opening(books):
    serve(books)
    books.moving.move(3600)
    serve(books)
    serve(books)
    books.moving.move(LONG_AGO_S)
    books.aggregator.run(limit_s=10)
    hours = books.checkpoints.sums(Kind.ALL, segment=Segment(Period.HOUR, "2026-11-24T00", "2026-11-25T00"))
    assert {each.start: int(each.counters["requests"]) for each in hours} == {"2026-11-24T12": 1, "2026-11-24T13": 2}
    days = books.checkpoints.sums(Kind.ALL, segment=Segment(Period.DAY, "2026-11-24", "2026-11-25"))
    assert {each.start: int(each.counters["requests"]) for each in days} == {"2026-11-24": 3}


def test_a_second_run_changes_nothing(books):
    serve(books)
    books.moving.move(LONG_AGO_S)
    books.aggregator.run(limit_s=10)
    before, checkpoint = books.total(), books.checkpoints.current()
    assert books.aggregator.run(limit_s=10).records == 0
    assert books.total() == before
    assert books.checkpoints.current() == checkpoint


def test_what_is_younger_than_the_safe_distance_is_left_for_later(books):
    serve(books)
    books.moving.move(SAFE_BEHIND_S - 1)
    assert books.aggregator.run(limit_s=10).records == 0
    books.moving.move(2)
    assert books.aggregator.run(limit_s=10).records == 1


def test_a_record_passed_while_pending_counts_when_it_settles(books):
    record = pending(books, timeout_s=900)
    books.ledger.insert(record)
    serve(books)
    books.moving.move(LONG_AGO_S)
    assert books.aggregator.run(limit_s=10).records == 1
    assert books.checkpoints.current().open == (record.position,)
    books.ledger.settle(settled(record, at=books.moving.at))
    assert books.aggregator.run(limit_s=10).records == 1
    assert books.total()["requests"] == 2
    assert books.checkpoints.current().open == ()


def test_an_orphan_counts_once_as_unsettled_after_its_grace(books):
    record = pending(books, upper="0.25", timeout_s=28)
    books.ledger.insert(record)
    books.moving.move(28 + ORPHAN_GRACE_S - 1)
    books.aggregator.run(limit_s=10)
    assert books.total() == {}
    books.moving.move(SAFE_BEHIND_S)
    books.aggregator.run(limit_s=10)
    sums = books.total()
    assert (sums["requests"], sums["unsettled"], sums["cost_usd"]) == (1, 1, Decimal("0.25"))


def test_a_late_settlement_replaces_the_estimate_in_the_sums(books):
    record = pending(books, upper="0.25", timeout_s=28)
    books.ledger.insert(record)
    books.moving.move(LONG_AGO_S)
    books.aggregator.run(limit_s=10)
    books.ledger.settle(settled(record, attempt(usd="0.003"), at=books.moving.at))
    books.moving.move(LONG_AGO_S)
    books.aggregator.run(limit_s=10)
    sums = books.total()
    assert (sums["requests"], sums.get("unsettled", 0), sums["successes"]) == (1, 0, 1)
    assert sums["cost_usd"] == Decimal("0.003")


def test_one_page_touches_no_more_rollups_than_a_transaction_takes(books):
    """Forty hours make over a hundred rollups, so the run needs more than one transaction."""
    for _ in range(40):
        serve(books)
        books.moving.move(3600)
    assert books.aggregator.run(limit_s=30).records == 40
    assert books.total()["requests"] == 40
    assert books.checkpoints.current().version > 1


def test_a_run_stops_when_its_time_is_up_and_says_how_far_behind_it_is(books):
    """The clock stands still in this test, so a limit of 0 s is up after the first page."""
    for _ in range(36):
        serve(books)
        books.moving.move(3600)
    run = books.aggregator.run(limit_s=0)
    assert 0 < run.records < 36
    assert run.behind_s > 0
    while books.aggregator.run(limit_s=0).records:
        pass
    assert books.total()["requests"] == 36


def test_a_run_reads_each_record_once_however_many_pages_it_makes(books, monkeypatch):
    monkeypatch.setattr(aggregator, "RECORDS_A_PAGE", 2)
    for _ in range(9):
        serve(books)
    books.moving.move(LONG_AGO_S)
    read = []
    find = books.ledger.after

    def noting(position, **asked):
        for record in find(position, **asked):
            read.append(record.position)
            yield record

    monkeypatch.setattr(books.ledger, "after", noting)
    assert books.aggregator.run(limit_s=10).records == 9
    assert len(read) == len(set(read)) == 9
    assert books.checkpoints.current().version == 5


@pytest.mark.parametrize("moment", [1, 2])
def test_a_run_that_is_overtaken_between_two_pages_begins_anew(books, monkeypatch, moment):
    monkeypatch.setattr(aggregator, "RECORDS_A_PAGE", 2)
    for _ in range(7):
        serve(books)
    books.moving.move(LONG_AGO_S)
    advance, calls = books.checkpoints.advance, []

    def overtaken(*asked, **named):
        calls.append(asked)
        if len(calls) == moment:
            monkeypatch.setattr(books.checkpoints, "advance", advance)
            assert books.aggregator.run(limit_s=0).records == 2
        return advance(*asked, **named)

    monkeypatch.setattr(books.checkpoints, "advance", overtaken)
    books.aggregator.run(limit_s=10)
    assert books.total()["requests"] == 7


def test_of_two_runs_at_once_one_gives_way(books):
    serve(books)
    books.moving.move(LONG_AGO_S)
    before = books.checkpoints.current()
    books.aggregator.run(limit_s=10)
    increments = contributions.increments(serve(books), InfrastructurePrices())
    assert books.checkpoints.advance(before, Checkpoint(walked={0: "x"}), increments, known={}) is None
    assert books.total()["requests"] == 1


class DyingCheckpoints(Checkpoints):
    """Dies at the move of the checkpoint: before it, or after it and before anyone hears."""

    def __init__(self, client, *, when):
        super().__init__(lambda: client, table="ledger")
        self.when = when

    def advance(self, before, after, increments, *, known):
        if self.when == "after":
            super().advance(before, after, increments, known=known)
        raise StoreError("TransactWriteItems", "killed")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_dies_at_the_checkpoint_is_made_up_for(books, when):
    serve(books)
    books.moving.move(LONG_AGO_S)
    dying = Aggregator(
        ledger=books.ledger,
        checkpoints=DyingCheckpoints(books.client, when=when),
        prices=InfrastructurePrices(),
        clock=books.clock,
    )
    with pytest.raises(StoreError):
        dying.run(limit_s=10)
    books.aggregator.run(limit_s=10)
    assert books.total()["requests"] == 1


def test_more_shards_and_fewer_shards_lose_nothing(dynamodb):
    many = open_books(dynamodb, shards=8)
    for _ in range(8):
        serve(many)
    few = open_books(dynamodb, shards=2)
    few.moving.move(LONG_AGO_S)
    many.moving.move(LONG_AGO_S)
    many.aggregator.run(limit_s=10)
    for _ in range(4):
        serve(few)
    few.moving.move(LONG_AGO_S)
    few.aggregator.run(limit_s=10)
    assert few.total()["requests"] == 12


STEPS = st.lists(
    st.one_of(
        st.just(("serve",)),
        st.just(("open",)),
        st.tuples(st.just("settle"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.sampled_from([5, 40, 70, 200])),
        st.just(("aggregate",)),
    ),
    max_size=25,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_happens_in_whatever_order_each_request_counts_once_and_figures_never_fall(steps):
    """Requests are served, left open, settled late or never, while the aggregator runs at any time."""
    with mock_aws():
        books = open_books(_tables())
        opened, requests, seen = [], 0, 0
        for step in steps:
            if step[0] == "serve":
                serve(books, attempt(usd="0.001"))
                requests += 1
            elif step[0] == "open":
                opened.append(pending(books, upper="0.01"))
                books.ledger.insert(opened[-1])
                requests += 1
            elif step[0] == "settle" and step[1] < len(opened):
                books.ledger.settle(settled(opened.pop(step[1]), attempt(usd="0.001"), at=books.moving.at))
            elif step[0] == "wait":
                books.moving.move(step[1])
            elif step[0] == "aggregate":
                books.aggregator.run(limit_s=10)
            counted = int(books.statistics.figures().total.get("requests", 0))
            assert seen <= counted <= requests
            seen = counted
        for record in opened[: len(opened) // 2]:
            books.ledger.settle(settled(record, attempt(usd="0.001"), at=books.moving.at))
        books.moving.move(1000)
        books.aggregator.run(limit_s=10)
        unsettled = len(opened) - len(opened) // 2
        sums = books.statistics.figures().total
        assert sums.get("requests", 0) == requests
        assert sums.get("unsettled", 0) == unsettled
        expected = Decimal("0.001") * (requests - unsettled) + Decimal("0.01") * unsettled
        assert sums.get("cost_usd", 0) == expected


def _tables():
    import boto3

    client = boto3.client("dynamodb")
    template.create_table(client, logical_name="LedgerTable", name="ledger")
    return client


def test_the_tail_adds_exactly_what_the_aggregation_has_not_reached(books):
    for _ in range(3):
        serve(books, attempt(usd="0.001"))
        books.moving.move(50)
    books.aggregator.run(limit_s=10)
    serve(books, attempt(STEADY, usd="0.001"))
    found = books.statistics.figures()
    assert found.total["requests"] == 4
    assert found.total["cost_usd"] == Decimal("0.004")
    assert found.candidates[STEADY]["requests"] == 1
    hours = books.statistics.figures(Question(last_hours(24, now=books.moving.at), Grouping.HOUR)).groups
    assert {hour: counters["requests"] for hour, counters in hours.items()} == {"2026-11-24T12": 4}


def test_requests_under_way_are_told_apart(books):
    books.ledger.insert(pending(books))
    serve(books)
    found = books.statistics.figures()
    assert found.pending == 1
    assert found.total["requests"] == 1


def test_recent_requests_come_newest_first_and_a_corrected_one_shows_once(books):
    record = pending(books)
    books.ledger.insert(record)
    books.ledger.give_up(record)
    books.moving.move(1)
    correction = books.ledger.settle(settled(record, at=books.moving.at))
    books.moving.move(1)
    newest = serve(books)
    assert books.statistics.recent() == [newest, correction]


def test_a_correction_that_changes_nothing_of_a_candidate_does_not_stop_the_walk(books):
    """A failed, B was under way when the process slept: A's part of the correction is nothing at all."""
    record = pending(books, candidate=STEADY)
    failed = attempt(CHEAP, Outcome.OVERLOADED)
    books.ledger.insert(replace(record, attempts=(failed,)))
    books.moving.move(LONG_AGO_S)
    books.aggregator.run(limit_s=10)
    books.ledger.settle(settled(record, failed, attempt(STEADY), at=books.moving.at))
    books.moving.move(LONG_AGO_S)
    books.aggregator.run(limit_s=10)
    serve(books)
    assert books.statistics.figures().total["requests"] == 2


def test_a_record_of_a_newer_version_is_read_all_the_same(books):
    record = serve(books, attempt(CHEAP, Outcome.CUT), attempt(STEADY))
    key = journal_items.to_item(journal_items.journal_key(record.position))
    item = books.client.get_item(TableName="ledger", Key=key)["Item"]
    item["attempts"]["L"][0]["M"]["outcome"]["S"] = "an outcome of next year"
    books.client.put_item(TableName="ledger", Item=item)
    assert [one.outcome for one in books.ledger.find(record.position).attempts] == [Outcome.UNKNOWN, Outcome.SUCCESS]
    assert books.statistics.figures().total["requests"] == 1


def test_shards_that_are_put_out_of_use_are_remembered(dynamodb):
    """They need not have had a record when the aggregation last ran."""
    many = open_books(dynamodb, shards=8)
    many.aggregator.run(limit_s=10)
    for _ in range(16):
        serve(many)
    few = open_books(dynamodb, shards=4)
    few.moving.move(LONG_AGO_S)
    few.aggregator.run(limit_s=10)
    assert few.total()["requests"] == 16


def test_a_record_that_its_writer_took_back_is_not_counted(books):
    record = books.ledger.insert(pending(books))
    books.moving.move(LONG_AGO_S)
    taken_back = books.ledger.find_all([record.position])
    key = journal_items.to_item(journal_items.journal_key(record.position))
    books.client.delete_item(TableName="ledger", Key=key)
    assert books.ledger.give_up(taken_back[0]) is None


def test_a_further_attempt_opens_a_record_whose_opening_failed(books):
    record = replace(pending(books), attempts=(attempt(outcome=Outcome.TIMEOUT),))
    books.ledger.note_attempts(record)
    assert books.ledger.find(record.position) == record


def test_a_hopeless_backlog_is_said_and_not_read_to_its_end(books, monkeypatch):
    monkeypatch.setattr(statistics, "TAIL_AT_MOST", 3)
    for _ in range(4):
        serve(books)
    with pytest.raises(CatchingUpError):
        books.statistics.figures()
