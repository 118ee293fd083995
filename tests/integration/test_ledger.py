"""The ledger's own rules: one record a request, written once, whatever fails around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from integration.records import STEADY, attempt, pending, settled
from llm_router import journal_items
from llm_router.errors import StoreError
from llm_router.ledger import INSERT_WITHIN_S, SAFE_BEHIND_S
from llm_router.usage import CostBasis, Outcome, RecordState, TokenUsage, Trying


def everything(books):
    return [record for shard in range(books.ledger.shards) for record in books.ledger.after("", shard=shard)]


def test_a_record_reads_back_as_it_was_written(books):
    record = pending(books)
    books.ledger.insert(record)
    ended = settled(record, attempt(outcome=Outcome.OVERLOADED), attempt(STEADY), at=books.moving.at)
    books.ledger.settle(ended)
    assert books.ledger.find(record.position) == ended


def test_settling_twice_changes_nothing(books):
    record = pending(books)
    books.ledger.insert(record)
    ended = settled(record, at=books.moving.at)
    assert books.ledger.settle(ended) == ended
    assert books.ledger.settle(ended) == ended
    assert everything(books) == [ended]


def test_a_record_that_was_never_opened_is_inserted_when_it_settles(books):
    ended = settled(pending(books), at=books.moving.at)
    assert books.ledger.settle(ended) == ended
    assert everything(books) == [ended]


def test_one_that_settles_long_after_its_lost_opening_takes_a_new_position_and_keeps_its_id(books):
    ended = settled(pending(books), at=books.moving.at)
    books.moving.move(INSERT_WITHIN_S + 5)
    written = books.ledger.settle(ended)
    assert written.position > ended.position
    assert written.request_id == ended.request_id
    assert everything(books) == [written]


def test_an_opening_that_arrives_after_the_settlement_does_not_undo_it(books):
    record = pending(books)
    ended = settled(record, at=books.moving.at)
    books.ledger.settle(ended)
    books.ledger.insert(record)
    assert everything(books) == [ended]


def frozen_in(books, monkeypatch, operation, *, before=lambda: None, after=lambda: None):
    """The first call of the operation lies around: what happens before it is applied, and before it is answered."""
    call = getattr(books.client, operation)

    def lying_around(**arguments):
        monkeypatch.setattr(books.client, operation, call)
        before()
        try:
            return call(**arguments)
        finally:
            after()

    monkeypatch.setattr(books.client, operation, lying_around)


def test_an_opening_that_was_acknowledged_too_late_is_taken_back_and_its_settlement_makes_up_for_it(books, monkeypatch):
    frozen_in(books, monkeypatch, "put_item", after=lambda: books.moving.move(INSERT_WITHIN_S + 1))
    record = pending(books)
    with pytest.raises(StoreError):
        books.ledger.insert(record)
    assert everything(books) == []
    written = books.ledger.settle(settled(record, at=books.moving.at))
    assert written.position > record.position
    assert everything(books) == [written]


def test_an_opening_that_wakes_up_long_after_the_settlement_leaves_it_alone(books, monkeypatch):
    """Lambda freezes a function whose answer is out, with all threads that nobody waits for any more."""
    record = pending(books)
    ended = settled(record, at=books.moving.at)

    def meanwhile():
        books.ledger.settle(ended)
        books.moving.move(300)

    frozen_in(books, monkeypatch, "put_item", before=meanwhile)
    books.ledger.insert(record)
    assert everything(books) == [ended]


def test_a_settlement_that_froze_after_it_was_counted_is_not_counted_again(books, monkeypatch):
    def meanwhile():
        books.moving.move(300)
        assert books.aggregator.run(limit_s=10).records == 1

    ended = settled(pending(books, upper="0.5"), attempt(usd="0.002"), at=books.moving.at)
    frozen_in(books, monkeypatch, "put_item", after=meanwhile)
    books.ledger.settle(ended)
    books.moving.move(300)
    books.aggregator.run(limit_s=10)
    assert (books.total()["requests"], books.total()["cost_usd"]) == (1, Decimal("0.002"))


def test_a_note_that_arrives_after_that_of_a_later_attempt_changes_nothing(books):
    record = pending(books)
    books.ledger.insert(record)
    second = replace(record, attempts=(attempt(outcome=Outcome.TIMEOUT),), trying=Trying(STEADY, Decimal("0.7")))
    third = replace(second, attempts=(*second.attempts, attempt(STEADY)), trying=Trying(STEADY, Decimal("0.7")))
    books.ledger.note_attempts(third)
    books.ledger.note_attempts(second)
    assert books.ledger.find(record.position) == third


def test_a_note_of_an_attempt_that_can_neither_be_added_nor_inserted_in_time_is_an_error(books):
    record = replace(pending(books), attempts=(attempt(outcome=Outcome.TIMEOUT),))
    books.moving.move(INSERT_WITHIN_S + 1)
    with pytest.raises(StoreError):
        books.ledger.note_attempts(record)


def test_an_orphan_is_given_up_with_all_that_was_noted_since_it_was_read(books):
    record = pending(books, upper="0.01")
    books.ledger.insert(record)
    failed = attempt(usd="0.002")
    noted = replace(record, attempts=(failed,), trying=Trying(STEADY, Decimal("0.7")))
    books.ledger.note_attempts(noted)
    assert books.ledger.give_up(record).cost.usd == Decimal("0.702")
    assert books.ledger.find(record.position).attempts == (failed,)


def test_an_opening_that_arrives_after_its_record_was_inserted_elsewhere_is_no_request(books):
    record = pending(books)
    books.moving.move(INSERT_WITHIN_S + 5)
    written = books.ledger.settle(settled(record, at=books.moving.at))
    ghost = {**journal_items.journal_key(record.position), **journal_items.record_values(record)}
    books.client.put_item(TableName="ledger", Item=journal_items.to_item(ghost))
    books.moving.move(300)
    assert books.aggregator.run(limit_s=10).records == 1
    assert books.total()["requests"] == 1
    assert written in everything(books)


def test_a_record_past_its_deadline_counts_at_its_upper_estimate(books):
    record = pending(books, upper="0.5")
    books.ledger.insert(record)
    given_up = books.ledger.give_up(record)
    assert given_up.state is RecordState.UNSETTLED
    assert given_up.cost.usd == Decimal("0.5")
    assert given_up.cost.basis is CostBasis.ESTIMATED


def test_giving_up_a_record_that_was_settled_meanwhile_returns_the_settled_one(books):
    record = pending(books)
    books.ledger.insert(record)
    ended = books.ledger.settle(settled(record, at=books.moving.at))
    assert books.ledger.give_up(record) == ended


def test_a_late_settlement_corrects_the_estimate(books):
    record = pending(books, upper="0.5")
    books.ledger.insert(record)
    estimate = books.ledger.give_up(record)
    books.moving.move(100)
    correction = books.ledger.settle(settled(record, at=books.moving.at))
    assert correction.replaces == estimate
    assert correction.request_id == record.request_id
    assert books.ledger.find(record.position).state is RecordState.CORRECTED


def test_each_further_attempt_is_noted_before_it_starts(books):
    record = pending(books)
    books.ledger.insert(record)
    second = replace(record, attempts=(attempt(outcome=Outcome.TIMEOUT),), trying=Trying(STEADY, Decimal("0.7")))
    books.ledger.note_attempts(second)
    assert books.ledger.find(record.position) == second


def test_records_come_back_in_the_order_of_their_opening(books):
    positions = []
    for _ in range(12):
        positions.append(books.ledger.insert(pending(books)).position)
        books.moving.move(0.01)
    for shard in range(books.ledger.shards):
        read = [record.position for record in books.ledger.after("", shard=shard, page=2)]
        assert read == sorted(read)
    assert sorted(record.position for record in everything(books)) == sorted(positions)


def test_reading_stops_at_the_time_asked_for(books):
    first = books.ledger.insert(pending(books))
    books.moving.move(10)
    until = books.moving.at
    books.ledger.insert(pending(books))
    read = [r for shard in range(4) for r in books.ledger.after("", shard=shard, until=until)]
    assert [record.position for record in read] == [first.position]


def test_the_latest_come_newest_first(books):
    for _ in range(9):
        books.ledger.insert(pending(books))
        books.moving.move(1)
    latest = books.ledger.latest(2, shard=0)
    assert len(latest) == 2
    assert latest[0].position > latest[1].position


def test_more_records_than_one_batch_takes_are_found(books):
    positions = [books.ledger.insert(pending(books)).position for _ in range(130)]
    found = books.ledger.find_all([*positions, books.ledger.new_position()])
    assert sorted(record.position for record in found) == sorted(positions)


def test_a_record_expires_after_its_retention(books):
    record = books.ledger.insert(pending(books))
    key = journal_items.to_item(journal_items.journal_key(record.position))
    item = books.client.get_item(TableName="ledger", Key=key)["Item"]
    assert int(item["expires_at"]["N"]) == int((record.opened_at + timedelta(days=400)).timestamp())


def test_tokens_that_a_failed_attempt_was_billed_for_are_kept(books):
    record = pending(books)
    books.ledger.insert(record)
    cut = replace(attempt(outcome=Outcome.CUT), tokens=TokenUsage(prompt=7, completion=3))
    books.ledger.settle(settled(record, cut, at=books.moving.at))
    assert books.ledger.find(record.position).tokens == TokenUsage(prompt=7, completion=3)


@pytest.mark.parametrize("method", ["insert", "settle", "give_up", "note_attempts"])
def test_a_table_that_is_gone_is_a_store_error(books, method):
    books.client.delete_table(TableName="ledger")
    with pytest.raises(StoreError):
        getattr(books.ledger, method)(pending(books))


def test_a_record_that_was_inserted_late_is_not_inserted_again(books):
    ended = settled(pending(books), at=books.moving.at)
    books.moving.move(INSERT_WITHIN_S + 5)
    written = books.ledger.settle(ended)
    books.moving.move(3600)
    assert books.ledger.settle(ended) == ended
    assert everything(books) == [written]


def test_a_run_of_the_aggregation_that_a_late_insert_overtakes_reads_again_and_misses_nothing(books, monkeypatch):
    """The insert commits at a position that the run, when it read, was already entitled to pass."""
    lost = settled(pending(books), at=books.moving.at)
    books.moving.move(INSERT_WITHIN_S + 5)
    after = pending(books)
    books.ledger.insert(after)
    books.ledger.settle(settled(after, at=books.moving.at))
    early = books.ledger.new_position()
    books.moving.move(SAFE_BEHIND_S + 60)
    monkeypatch.setattr(books.ledger, "new_position", lambda: early)
    advance = books.checkpoints.advance

    def overtaken(*arguments, **named):
        monkeypatch.setattr(books.checkpoints, "advance", advance)
        assert books.ledger.settle(lost).position == early
        return advance(*arguments, **named)

    monkeypatch.setattr(books.checkpoints, "advance", overtaken)
    assert books.aggregator.run(limit_s=60).records == 2


def test_the_latest_records_are_read_and_no_page_more(books):
    for _ in range(5):
        books.ledger.insert(pending(books))
        books.moving.move(1)
    asked = []
    books.client.meta.events.register("before-call.dynamodb.Query", lambda **called: asked.append(called))
    shard = max(range(books.ledger.shards), key=lambda each: len(books.ledger.latest(9, shard=each)))
    asked.clear()
    assert len(books.ledger.latest(1, shard=shard)) == 1
    assert len(asked) == 1


def test_a_position_that_the_walk_has_passed_is_not_inserted_at(books, monkeypatch):
    lost, stale = settled(pending(books), at=books.moving.at), books.ledger.new_position()
    for _ in range(books.ledger.shards):
        walked = pending(books)
        books.ledger.insert(walked)
        books.ledger.settle(settled(walked, at=books.moving.at))
    books.moving.move(SAFE_BEHIND_S + 60)
    assert books.aggregator.run(limit_s=60).records == 4
    fresh = books.ledger.new_position
    offered = iter([stale, stale])
    monkeypatch.setattr(books.ledger, "new_position", lambda: next(offered, None) or fresh())
    assert books.ledger.settle(lost).position > stale
    assert books.aggregator.run(limit_s=60).records == 0
    books.moving.move(SAFE_BEHIND_S + 60)
    assert books.aggregator.run(limit_s=60).records == 1
