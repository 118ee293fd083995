"""An export: each request of a range once, and its lines, summed by hand, are the figures of that range."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from infra.local import template
from infra.records import export as exports
from infra.records import openings
from infra.records.export import Format, Writer
from integration.conftest import open_books
from integration.records import CHEAP, STEADY, attempt, pending, settled
from integration.tables import LEDGER_TABLE
from llm_router import json_text
from llm_router.aggregator import ORPHAN_GRACE_S
from llm_router.errors import StoreError
from llm_router.infrastructure import InfrastructurePrices
from llm_router.ledger import INSERT_WITHIN_S, SAFE_BEHIND_S
from llm_router.spans import DAY, HOUR, Span
from llm_router.statistics import Question
from llm_router.usage import Cost, CostBasis, Outcome, TrimKind, Trimming

PRICES = InfrastructurePrices()
START = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
ALL_OF_IT = Span(START - DAY, START + 5 * DAY)
OVER_S = 28 + ORPHAN_GRACE_S + SAFE_BEHIND_S

SUMMED = {"cost_usd": "counted_usd"} | {
    name: name
    for name in (
        *("waste_usd", "savings_usd", "infrastructure_usd", "trimmed_usd", "trimmed_tokens"),
        *("prompt_tokens", "cached_prompt_tokens", "cache_write_tokens", "completion_tokens", "reasoning_tokens"),
    )
}
"""A counter of the rollups, and the column that must add up to it."""


def lines_of(books, span=ALL_OF_IT, kind=Format.JSONL):
    output = io.StringIO()
    done = exports.export(books, span, writer=Writer(kind, output, PRICES))
    return done, output.getvalue()


def parsed(books, span, kind):
    _, text = lines_of(books, span, kind)
    if kind is Format.JSONL:
        return [json_text.decode(line.encode()) for line in text.splitlines()]
    return [
        {**row, "attempts": json_text.decode(row["attempts"].encode())} for row in csv.DictReader(io.StringIO(text))
    ]


def by_hand(rows):
    """The counters that the lines add up to."""
    sums = Counter({counter: Decimal(0) for counter in SUMMED})
    for row in rows:
        for counter, column in SUMMED.items():
            sums[counter] += Decimal(row[column] or 0)
        sums["requests"] += 1
        sums["successes"] += row["status"] == "success"
        sums["unsettled"] += row["status"] == "unsettled"
        sums[f"cost_{row['cost_basis']}"] += 1
        assert (row["cost_usd"] in (None, "")) == (row["cost_basis"] == "unknown")
    return +sums


def as_summed(books, span):
    """What GET /stats is made of."""
    total = books.statistics.figures(Question(span)).total
    named = [*SUMMED, "requests", "successes", "unsettled", "cost_exact", "cost_estimated", "cost_unknown"]
    return +Counter({name: total.get(name, 0) for name in named})


ENDS = st.sampled_from(
    [
        (attempt(CHEAP, usd="0.00000000001"),),
        (attempt(CHEAP, Outcome.OVERLOADED), attempt(STEADY, usd="0.0123")),
        (attempt(CHEAP, Outcome.TIMEOUT),),
        (replace(attempt(CHEAP, Outcome.CUT), cost=Cost(Decimal("0.002"), CostBasis.ESTIMATED)), attempt(STEADY)),
        (replace(attempt(CHEAP), cost=Cost(None, CostBasis.UNKNOWN)),),
        (
            replace(attempt(CHEAP, Outcome.CUT), cost=Cost(Decimal("0.003"), CostBasis.ESTIMATED)),
            replace(attempt(STEADY), cost=Cost(None, CostBasis.UNKNOWN)),
        ),
    ]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.sampled_from([None, Decimal("0.02")]), st.sampled_from([None, 512])),
        st.tuples(st.just("lose"), st.sampled_from([None, Decimal("0.02")]), st.sampled_from([None, 512])),
        st.tuples(st.just("settle"), st.integers(0, 3), ENDS),
        st.tuples(st.just("give up"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from([1, INSERT_WITHIN_S + 1, OVER_S, 3601, 90_000])),
        st.just(("aggregate",)),
    ),
    max_size=30,
)


def run(books, steps):
    """Requests open, or lose their opening; settle in time, late or never, or are given up from the log and settled
    from there after all; the aggregation comes whenever it likes.
    """
    under_way, opened, from_log = [], 0, set()
    for name, *how in steps:
        if name in ("open", "lose"):
            record = replace(pending(books), baseline_usd=how[0], memory_mb=how[1], metadata={"team": 'a,"b"\n'})
            if how[1]:
                saved = Trimming(TrimKind.TRIM, before=9_000, after=6_000, saved_usd=Decimal("0.0015"))
                record = replace(record, trimming=saved)
            under_way.append(record)
            if name == "open":
                books.ledger.insert(record)
            opened += 1
        elif name == "settle" and how[0] < len(under_way):
            record = under_way.pop(how[0])
            settle = books.ledger.settle_from_log if record.request_id in from_log else books.ledger.settle
            settle(settled(record, *how[1], at=books.moving.at))
        elif name == "give up" and how[0] < len(under_way):
            record = replace(under_way[how[0]], attempts=(attempt(CHEAP, Outcome.TIMEOUT),))
            if books.moving.at > record.deadline_at + timedelta(seconds=ORPHAN_GRACE_S):
                books.ledger.give_up_unopened(record)
                from_log.add(record.request_id)
        elif name == "wait":
            books.moving.move(how[0])
        elif name == "aggregate":
            books.aggregator.run(limit_s=100)
    return opened


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), min_size=1, max_size=2))
def test_the_lines_of_any_range_of_hours_summed_by_hand_are_its_figures(steps, ranges):
    with mock_aws():
        client = boto3.client("dynamodb")
        template.create_table(client, logical_name="LedgerTable", name=LEDGER_TABLE)
        books = open_books(client)
        books.moving.at = START + timedelta(minutes=59, seconds=50)
        run(books, steps)
        spans = [ALL_OF_IT, *(Span(START + first * HOUR, START + (first + many) * HOUR) for first, many in ranges)]
        for span in spans:
            figures = as_summed(books, span)
            for kind in Format:
                rows = parsed(books, span, kind)
                assert by_hand(rows) == figures
                ids = [row["request_id"] for row in rows]
                assert ids == sorted(set(ids)), "each request once, in the order of their opening"
        done, _ = lines_of(books)
        assert done.counted_usd == as_summed(books, ALL_OF_IT)["cost_usd"]


@pytest.fixture
def mixed(books):
    """One request of each fate, opened at the last second of a day and ended on the next."""
    books.moving.at = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
    names = ["in time", "never", "late", "lost", "under way"]
    found = {name: pending(books, upper="0.5", timeout_s=10**6 if name == "under way" else 28.0) for name in names}
    for name in names:
        if name != "lost":
            books.ledger.insert(found[name])
    books.ledger.settle(settled(found["in time"], attempt(usd="0.1"), at=books.moving.at))
    books.moving.move(OVER_S)
    books.aggregator.run(limit_s=100)
    for name in ("late", "lost"):
        books.moving.move(DAY.total_seconds())
        books.ledger.settle(settled(found[name], attempt(usd="0.1"), at=books.moving.at))
    return found


def test_corrections_and_records_inserted_late_belong_to_the_hour_of_their_opening(books, mixed):
    hour = Span(datetime(2026, 11, 24, 23, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC))
    done, text = lines_of(books, hour)
    rows = [json_text.decode(line.encode()) for line in text.splitlines()]
    states = {row["request_id"]: (row["status"], row["cost_usd"]) for row in rows}
    assert states == {
        mixed["in time"].request_id: ("success", Decimal("0.1")),
        mixed["never"].request_id: ("unsettled", Decimal("0.5")),
        mixed["late"].request_id: ("success", Decimal("0.1")),
        mixed["lost"].request_id: ("success", Decimal("0.1")),
    }
    assert (done.requests, done.pending) == (4, 1)
    later, _ = lines_of(books, Span(hour.until, hour.until + 10 * DAY))
    assert (later.requests, later.pending) == (0, 0)


@pytest.mark.parametrize("apart_s", [-4.0, -0.2, 0.2, 4.0])
def test_the_hour_is_that_of_the_opening_also_where_the_id_was_stamped_in_another(books, apart_s):
    opened_at = START + timedelta(seconds=-0.1 if apart_s > 0 else 0.1)
    books.moving.at = opened_at + timedelta(seconds=apart_s)
    record = replace(pending(books), opened_at=opened_at)
    books.ledger.insert(record)
    books.ledger.settle(settled(record, at=books.moving.at))
    for hour in (Span(START - HOUR, START), Span(START, START + HOUR)):
        done, _ = lines_of(books, hour)
        assert done.requests == hour.holds(opened_at) == as_summed(books, hour)["requests"]


def test_no_more_is_read_than_the_range_needs(books):
    """A long history before and after the hour that is asked for."""
    for hours in (0, 24, 48):
        books.moving.at = START + hours * HOUR
        for _ in range(40 if hours != 24 else 7):
            books.ledger.insert(pending(books))
    read = []
    books.client.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.extend(parsed.get("Items", []))
    )
    done, _ = lines_of(books, Span(START + 24 * HOUR, START + 25 * HOUR))
    assert (done.pending, len(read)) == (7, 7)


def test_of_a_day_on_which_many_were_inserted_late_only_the_hour_is_read(books):
    books.moving.at = START.replace(hour=0)
    lost = []
    for _ in range(24):
        lost.append(pending(books))
        books.moving.move(HOUR.total_seconds())
    for record in lost:
        books.ledger.settle(settled(record, at=books.moving.at))
    read = []
    books.client.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.extend(parsed.get("Items", []))
    )
    noon = lost[12].opened_at
    done, _ = lines_of(books, Span(noon, noon + HOUR))
    assert (done.requests, len(read)) == (1, 1 + 1), "its mark, and the one that was stamped when the hour ended"


def test_pages_are_read_as_their_lines_are_written_and_not_all_at_first(books, monkeypatch):
    for _ in range(100):
        record = settled(pending(books), at=books.moving.at)
        books.client.put_item(TableName=LEDGER_TABLE, Item=books.ledger._item(record))
        books.moving.move(1)
    monkeypatch.setattr(books.ledger, "after", partial(books.ledger.after, page=5))
    monkeypatch.setattr(openings, "TOGETHER", 5)
    read, most = [], []
    books.client.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.extend(parsed.get("Items", []))
    )
    writer = Writer(Format.JSONL, io.StringIO(), PRICES)
    exports.export(books, ALL_OF_IT, writer=writer, tell=lambda done: most.append(len(read) - done.requests))
    assert len(most) == 100
    assert max(most) <= 4 * (5 + 5), "of each shard a page, and what is looked through for pointers at once"


def test_a_file_is_whole_or_as_it_was(tmp_path):
    file = tmp_path / "november.csv"
    file.write_text("before")
    with pytest.raises(StoreError), exports.whole_file(file) as output:  # noqa: PT012  # what is raised is the point
        output.write("half")
        raise StoreError("Query", "throttled")
    assert file.read_text() == "before"
    with exports.whole_file(file) as output:
        output.write("whole")
    assert file.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [file]


def test_the_command_writes_a_file_and_says_how_much_it_is(books, command_line, tmp_path):
    books.moving.at = datetime.now(UTC) - HOUR
    record = pending(books)
    books.ledger.insert(record)
    books.ledger.settle(settled(record, attempt(usd="0.25"), at=books.moving.at))
    day = books.moving.at.date()
    file = tmp_path / "export.csv"
    asked = ["export", "--from", str(day), "--to", str(day + DAY), "--format", "csv"]
    told = command_line(*asked, "--output", str(file))
    assert (told.exit_code, told.stdout) == (0, "")
    assert "1 request, 0.25 USD." in told.stderr
    assert command_line(*asked).stdout == file.read_text()
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert (row["request_id"], row["counted_usd"]) == (record.request_id, "0.25")


def test_a_long_export_says_how_far_it_has_come_beside_the_lines(books, command_line, monkeypatch):
    monkeypatch.setattr("infra.cli.export.TOLD_EVERY_S", 0.0)
    books.moving.at = datetime.now(UTC).replace(hour=1)
    for _ in range(2):
        record = pending(books)
        books.ledger.insert(record)
        books.ledger.settle(settled(record, at=books.moving.at))
    day = books.moving.at.date()
    told = command_line("export", "--from", str(day), "--to", str(day + DAY))
    assert len(told.stdout.splitlines()) == 2
    assert "  1 request, up to " in told.stderr
    assert "  2 requests, up to " in told.stderr


def test_records_that_have_expired_are_told_of(command_line):
    told = command_line("export", "--from", "2024-01-01", "--to", "2024-01-02")
    assert told.exit_code == 0
    assert "Records are kept for 400 days" in told.stderr


@pytest.mark.parametrize("given", [["--from", "2026-11-24T12:30"], ["--from", "2026-12-01"], ["--format", "xml"]])
def test_wrong_use_is_exit_code_2(command_line, given):
    named = dict([("--from", "2026-11-23"), ("--to", "2026-11-24"), tuple(given)])
    assert command_line("export", *(word for pair in named.items() for word in pair)).exit_code == 2
