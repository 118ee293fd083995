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


def slow_put(books, monkeypatch, meanwhile=lambda: None):
    put = books.client.put_item

    def slowly(**arguments):
        put(**arguments)
        meanwhile()
        books.moving.move(INSERT_WITHIN_S + 1)

    monkeypatch.setattr(books.client, "put_item", slowly)


def test_an_opening_that_took_too_long_is_taken_back_and_its_settlement_makes_up_for_it(books, monkeypatch):
    """Nobody knows of a second opening at another position, so it would count as a request of its own."""
    record = pending(books)
    with monkeypatch.context() as slow:
        slow_put(books, slow)
        with pytest.raises(StoreError):
            books.ledger.insert(record)
    assert everything(books) == []
    ended = settled(record, at=books.moving.at)
    written = books.ledger.settle(ended)
    assert everything(books) == [written]
    assert written.request_id == record.request_id
    with pytest.raises(StoreError):
        books.ledger.insert(record)
    assert everything(books) == [written]


def test_an_opening_that_took_too_long_does_not_take_its_settlement_with_it(books, monkeypatch):
    record = pending(books)
    ended = settled(record, at=books.moving.at)
    slow_put(books, monkeypatch, meanwhile=lambda: books.ledger.settle(ended))
    with pytest.raises(StoreError):
        books.ledger.insert(record)
    assert everything(books) == [ended]


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
