"""`llm-router replay`: what only the log holds comes into the ledger once, however often it is tried."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from infra.local import processes, template
from infra.records import replay
from infra.records.replay import Fate
from integration.conftest import LOG_GROUPS, open_books
from integration.records import attempt, pending, settled
from integration.tables import LEDGER_TABLE
from integration.test_emulator import emulator
from llm_router import journal_items, positions
from llm_router.aggregator import ORPHAN_GRACE_S
from llm_router.clock import Clock
from llm_router.errors import StoreError
from llm_router.ledger import SAFE_BEHIND_S, Ledger
from llm_router.usage import RecordState, Trying

RETENTION = timedelta(days=400)
PAID, UPPER = Decimal("0.0003"), Decimal("0.01")
LONG_S = 30 * 60.0
"""Long after each request's deadline, and well within the retention."""


def line(record, *, event="ledger.unwritten"):
    """As the router logs it."""
    words = {"level": "ERROR", "event": event, "reason": "UpdateItem failed", "record": journal_items.log_text(record)}
    return json.dumps(words, separators=(",", ":"))


def opened(ended):
    """The record as it was before."""
    trying = Trying(ended.attempts[0].candidate, UPPER)
    return replace(
        ended, state=RecordState.PENDING, attempts=(), trying=trying, error=None, latency_ms=None, settled_at=None
    )


def restore(books, lines):
    found = replay.records(lines)
    assert found.damaged == ()
    return list(replay.restore(found.records, books.ledger, retention=RETENTION, clock=books.clock))


def aggregate(books):
    books.moving.move(SAFE_BEHIND_S + ORPHAN_GRACE_S + 60)
    books.aggregator.run(limit_s=60)
    return books.total()


def not_there(books, ended):
    del ended
    books.moving.move(LONG_S)


def still_pending(books, ended):
    books.ledger.insert(opened(ended))


def given_up(books, ended):
    books.ledger.insert(opened(ended))
    books.moving.move(LONG_S)
    assert aggregate(books)["cost_usd"] == UPPER


def settled_without_acknowledgement(books, ended):
    books.ledger.insert(opened(ended))
    books.ledger.settle(ended)


def inserted_without_acknowledgement(books, ended):
    books.moving.move(LONG_S)
    books.ledger.settle(ended)


def corrected(books, ended):
    given_up(books, ended)
    books.ledger.settle(ended)


FATES = [
    (not_there, Fate.INSERTED),
    (still_pending, Fate.SETTLED),
    (given_up, Fate.CORRECTED),
    (settled_without_acknowledgement, Fate.THERE),
    (inserted_without_acknowledgement, Fate.THERE),
    (corrected, Fate.THERE),
]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """The embedded AWS of a run on one machine."""
    with emulator(tmp_path_factory.mktemp("restored") / "aws") as (child, dynamodb):
        yield dynamodb
        processes.stop(child)


@pytest.fixture(params=["moto", "embedded"])
def ledger_of(request):
    """Books on an empty table."""
    if request.param == "moto":
        return open_books(request.getfixturevalue("dynamodb"))
    dynamodb = request.getfixturevalue("embedded")
    if LEDGER_TABLE in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=LEDGER_TABLE)
    template.create_table(dynamodb, logical_name="LedgerTable", name=LEDGER_TABLE)
    return open_books(dynamodb)


@pytest.mark.parametrize(("before", "fate"), FATES, ids=[before.__name__ for before, _ in FATES])
def test_whatever_the_ledger_holds_the_record_counts_once_at_what_it_cost(ledger_of, before, fate):
    books = ledger_of
    ended = settled(pending(books, upper=str(UPPER)), attempt(usd=str(PAID)), at=books.moving.at)
    before(books, ended)
    assert restore(books, [line(ended), line(ended)]) == [fate], "a line that is there twice is one record"
    assert restore(books, [line(ended)]) == [Fate.THERE]
    totals = aggregate(books)
    assert (totals["requests"], totals["cost_usd"]) == (1, PAID)
    assert restore(books, [line(ended)]) == [Fate.THERE]
    assert aggregate(books) == totals
    assert books.statistics.figures().total == totals


@pytest.mark.parametrize("before", [not_there, given_up])
@pytest.mark.parametrize("reached", [False, True], ids=["the write was lost", "its acknowledgement was lost"])
def test_a_run_that_is_cut_off_may_be_repeated(ledger_of, before, reached, monkeypatch):
    books = ledger_of
    ended = settled(pending(books, upper=str(UPPER)), attempt(usd=str(PAID)), at=books.moving.at)
    before(books, ended)
    write = books.client.transact_write_items

    def cut_off(**request):
        if reached:
            write(**request)
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    with monkeypatch.context() as broken:
        broken.setattr(books.client, "transact_write_items", cut_off)
        with pytest.raises(StoreError):
            restore(books, [line(ended)])
    restore(books, [line(ended)])
    totals = aggregate(books)
    assert (totals["requests"], totals["cost_usd"]) == (1, PAID)


def test_a_record_that_has_expired_or_would_at_once_is_refused(books):
    ended = settled(pending(books), at=books.moving.at)
    books.moving.move(RETENTION.total_seconds())
    assert restore(books, [line(ended)]) == [Fate.EXPIRED]
    assert books.ledger.find(ended.position) is None


def unopened(books, *attempts):
    """An opening, or the note of a further attempt, that the table did not acknowledge."""
    return replace(pending(books, upper=str(UPPER)), attempts=attempts)


def nothing_at_all(books, record):
    del books, record


def applied_all_the_same(books, record):
    books.ledger.insert(replace(record, attempts=()))


def known_without_its_last_attempt(books, record):
    applied_all_the_same(books, record)
    aggregate(books)


@pytest.mark.parametrize("before", [nothing_at_all, applied_all_the_same, known_without_its_last_attempt])
def test_what_only_an_opening_tells_of_counts_once_at_its_upper_estimate(ledger_of, before):
    books = ledger_of
    record = unopened(books, attempt(usd=str(PAID)))
    before(books, record)
    books.moving.move(LONG_S)
    lines = [line(replace(record, attempts=()), event="ledger.unopened"), line(record, event="ledger.unopened")]
    assert restore(books, lines) == [Fate.GIVEN_UP]
    assert restore(books, lines) == [Fate.THERE]
    totals = aggregate(books)
    assert (totals["requests"], totals["unsettled"], totals["cost_usd"]) == (1, 1, PAID + UPPER)
    assert restore(books, lines) == [Fate.THERE]
    assert books.statistics.figures().total == totals


@pytest.mark.parametrize("before", [settled_without_acknowledgement, inserted_without_acknowledgement, corrected])
def test_an_opening_of_what_was_settled_after_all_changes_nothing(ledger_of, before):
    books = ledger_of
    ended = settled(pending(books, upper=str(UPPER)), attempt(usd=str(PAID)), at=books.moving.at)
    before(books, ended)
    books.moving.move(LONG_S)
    assert restore(books, [line(opened(ended), event="ledger.unopened")]) == [Fate.THERE]
    assert aggregate(books)["cost_usd"] == PAID


def test_an_opening_is_left_alone_while_its_request_may_be_under_way(books):
    record = unopened(books)
    assert restore(books, [line(record, event="ledger.unopened")]) == [Fate.UNDER_WAY]
    assert books.ledger.find(record.position) is None


def test_a_settlement_that_turns_up_after_its_opening_was_given_up_puts_it_right(ledger_of):
    books = ledger_of
    ended = settled(pending(books, upper=str(UPPER)), attempt(usd=str(PAID)), at=books.moving.at)
    books.moving.move(LONG_S)
    assert restore(books, [line(opened(ended), event="ledger.unopened")]) == [Fate.GIVEN_UP]
    aggregate(books)
    restore(books, [line(ended)])
    assert restore(books, [line(ended)]) == [Fate.THERE]
    totals = aggregate(books)
    assert (totals["requests"], totals.get("unsettled", 0), totals["cost_usd"]) == (1, 0, PAID)


@pytest.mark.parametrize("before", [applied_all_the_same, known_without_its_last_attempt])
def test_a_settlement_puts_an_estimate_right_that_replaced_another_one(ledger_of, before):
    books = ledger_of
    record = unopened(books, attempt(usd="0.0001"))
    before(books, record)
    books.moving.move(LONG_S)
    restore(books, [line(record, event="ledger.unopened")])
    aggregate(books)
    restore(books, [line(settled(record, attempt(usd=str(PAID)), at=books.moving.at))])
    totals = aggregate(books)
    assert (totals["requests"], totals.get("unsettled", 0), totals["cost_usd"]) == (1, 0, PAID)


def test_of_each_request_the_line_that_tells_most_is_taken(books):
    opened_only = pending(books)
    ended = settled(opened_only, at=books.moving.at)
    lines = [
        "START RequestId: 1 Version: $LATEST",
        "",
        line(opened_only, event="ledger.unopened"),
        json.dumps({"event": "request", "path": "ledger.unwritten"}),
        f"2026-11-24T12:00:01.000Z {line(ended)}",
    ]
    assert replay.records(lines) == replay.Found(records=(ended,), damaged=())


def test_damaged_lines_are_numbered_and_stop_no_other(books):
    ended = settled(pending(books), at=books.moving.at)
    unfinished = line(replace(ended, state=RecordState.PENDING))
    lines = [line(ended)[:-20], line(ended), '{"event": "ledger.unwritten"}', unfinished]
    assert replay.records(lines) == replay.Found(records=(ended,), damaged=(1, 3, 4))


def lost_now():
    """A record of this moment that no table holds, by the real clock."""
    ledger = Ledger(lambda: None, table="", shards=4, retention_days=1, clock=Clock())
    opened = pending(SimpleNamespace(ledger=ledger, moving=SimpleNamespace(at=datetime.now(UTC))))
    past = opened.opened_at - timedelta(hours=1)
    position = positions.position(past, shard=1, random_bits=7)
    opened = replace(opened, position=position, request_id=position, opened_at=past, deadline_at=past)
    return settled(opened, at=past)


def test_the_command_reads_both_log_groups_and_says_what_became_of_their_records(stage, command_line):
    first, second = lost_now(), replace(lost_now(), request_id="another")
    for group, one in zip(LOG_GROUPS, [first, second], strict=True):
        event = {"timestamp": round(datetime.now(UTC).timestamp() * 1000), "message": line(one)}
        stage.put_log_events(logGroupName=group, logStreamName="one", logEvents=[event])
    told = command_line("replay")
    assert (told.exit_code, told.stdout.count("2 records with the event ledger.unwritten")) == (0, 1)
    assert "2 inserted" in told.stdout
    assert "2 there" in command_line("replay").stdout
    assert json.loads(command_line("replay", "--json").stdout)["there"] == 2


def test_the_command_reads_a_file_and_fails_where_a_line_was_damaged(command_line, tmp_path):
    file = tmp_path / "log-lines.jsonl"
    file.write_text(f"{line(lost_now())}\n{line(lost_now())[:-9]}\n")
    told = command_line("replay", "--file", str(file))
    assert told.exit_code == 1
    assert "1 inserted" in told.stdout
    assert "passed over: 2" in told.stderr


def test_a_ledger_that_cannot_be_written_is_told_with_what_to_do(command_line, dynamodb, tmp_path):
    file = tmp_path / "log-lines.jsonl"
    file.write_text(line(lost_now()))
    dynamodb.delete_table(TableName=LEDGER_TABLE)
    told = command_line("replay", "--file", str(file))
    assert told.exit_code == 1
    assert "It is safe to run llm-router replay again." in told.stderr


@pytest.mark.parametrize(
    ("arguments", "stage", "code"), [((), "prod", 1), (("--file", "no-such-file"), "dev", 2)], ids=["stage", "file"]
)
def test_what_is_not_there_is_told_without_a_traceback(command_line, arguments, stage, code):
    told = command_line("replay", *arguments, stage=stage)
    assert told.exit_code == code
    assert "Error: " in told.stderr
