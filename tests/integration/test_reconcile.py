"""`llm-router reconcile`: a provider's own count held against the ledger, line by line."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from integration.records import CHEAP, STEADY, attempt, pending, settled
from llm_router import json_text
from llm_router.ledger import SAFE_BEHIND_S
from llm_router.spans import DAY
from llm_router.usage import Cost, CostBasis, Outcome

HEADER = "date,model,input_tokens,output_tokens,cost_usd"
EXACTLY = ("--tolerance", "0")


@pytest.fixture
def history(books):
    """What `openai` has billed, by day and model: three days, the last of them not aggregated yet."""
    billed = defaultdict(lambda: [0, 0, Decimal(0)])
    books.moving.at = datetime.now(UTC).replace(hour=12) - timedelta(days=40)
    for number in range(30):
        record = pending(books)
        books.ledger.insert(record)
        model = ["openai/gpt-4o-mini", "openai/gpt-4o"][number % 2]
        made = (attempt(CHEAP, Outcome.OVERLOADED), attempt(model, usd=f"0.0{number + 1:05}"))
        books.ledger.settle(settled(record, *made, at=books.moving.at))
        sums = billed[str(books.moving.at.date()), model.partition("/")[2]]
        sums[0] += 10
        sums[1] += 5
        sums[2] += made[-1].cost.usd
        if number % 10 == 9:
            books.moving.move(20 * DAY.total_seconds())
        if number == 20:
            books.moving.move(SAFE_BEHIND_S + 30)
            books.aggregator.run(limit_s=100)
    return billed


@pytest.fixture
def reconcile(command_line, tmp_path):
    def run(rows, *asked):
        file = tmp_path / "usage.csv"
        file.write_text("\n".join([HEADER, *rows]) + "\n")
        return command_line("reconcile", str(file), "--provider", "openai", *asked)

    return run


def rows_of(billed):
    return [",".join([*place, *map(str, amounts)]) for place, amounts in billed.items()]


def test_the_same_count_agrees_to_the_last_digit_over_days_that_were_summed_and_days_that_were_not(reconcile, history):
    told = reconcile(rows_of(history), *EXACTLY)
    assert (told.exit_code, told.stderr) == (0, "")
    assert "Both sides agree." in told.stdout
    document = json_text.decode(reconcile(rows_of(history), *EXACTLY, "--json").stdout.encode())
    assert document["agrees"]
    assert len(document["lines"]) == len(history) == 6
    sums = [sum(amounts[at] for amounts in history.values()) for at in range(3)]
    for side in ("provider", "ledger"):
        totals = document["totals"][side]
        assert [totals["input_tokens"], totals["output_tokens"], totals["usd"]] == sums


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_difference_on_one_line_is_shown_and_is_exit_code_1(reconcile, history, at):
    place = next(iter(history))
    history[place][at] += 1
    told = reconcile(rows_of(history), *EXACTLY)
    assert told.exit_code == 1
    (line,) = [line for line in told.stdout.splitlines() if "DIFFERS" in line]
    assert line.startswith(f"{place[0]}  {place[1]}")
    assert "-1" in line.split()
    assert "6 lines, 1 of which differ." in told.stdout
    assert reconcile(rows_of(history), "--tolerance", "1", "--tolerance-tokens", "1").exit_code == 0


def test_a_line_that_a_side_lacks_is_told_with_the_side(reconcile, history):
    days = sorted(history)
    left_out = days[2]  # in the middle, so that its day is asked for all the same
    rows = rows_of({place: amounts for place, amounts in history.items() if place != left_out})
    told = reconcile([*rows, f"{days[0][0]},o9,7,7,0"])
    assert told.exit_code == 1
    lines = {tuple(line.split()[:2]): line for line in told.stdout.splitlines()}
    assert lines[left_out].endswith("missing: provider")
    assert lines[days[0][0], "o9"].endswith("missing: ledger")


def test_a_line_that_cannot_be_read_is_no_agreement(reconcile, history):
    told = reconcile([*rows_of(history), "Total,all,1,2,3"])
    assert told.exit_code == 1
    assert "line 8 can't be read: 'Total' is no day" in told.stderr
    assert "6 lines, 0 of which differ; 1 line of the file could not be read." in told.stdout


def test_days_that_a_file_lacks_at_its_ends_are_compared_where_they_are_asked_for(reconcile, history):
    first, *_, last = sorted({day for day, _ in history})
    rows = [",".join([*place, *map(str, amounts)]) for place, amounts in history.items() if place[0] != last]
    assert reconcile(rows, *EXACTLY).exit_code == 0
    told = reconcile(rows, *EXACTLY, "--to", last)
    assert told.exit_code == 1
    assert told.stdout.count("missing: provider") == len([day for day, _ in history if day == last])
    assert reconcile(rows_of(history), *EXACTLY, "--from", first, "--to", first).exit_code == 0


def test_costs_that_the_ledger_does_not_know_are_told_beside_the_line(reconcile, books):
    books.moving.at = datetime.now(UTC)
    record = pending(books)
    books.ledger.insert(record)
    unknown = replace(attempt(STEADY), cost=Cost(None, CostBasis.UNKNOWN))
    books.ledger.settle(settled(record, unknown, at=books.moving.at))
    told = reconcile([f"{books.moving.at.date()},gpt-4o-mini,10,5,0.5"])
    assert told.exit_code == 1
    assert "DIFFERS, 1 costs unknown" in told.stdout


def test_a_file_that_does_not_tell_whose_it_is_needs_a_provider(command_line, tmp_path):
    file = tmp_path / "usage.csv"
    file.write_text(f"{HEADER}\n2026-11-23,small,1,1,1\n")
    told = command_line("reconcile", str(file))
    assert told.exit_code == 2
    assert "--provider" in told.stderr


@pytest.mark.parametrize(
    ("text", "asked", "code", "words"),
    [
        ("when,what\n1,2\n", (), 1, "--date-column"),
        ("", (), 1, "empty"),
        (f"{HEADER}\n", ("--same", "gpt"), 2, "THEIRS=OURS"),
        (f"{HEADER}\n", ("--tolerance", "-1"), 2, "no amount"),
        (f"{HEADER}\n", ("--date-column", "date"), 2, "--model-column"),
        (f"{HEADER}\n", ("--date-column", "d", "--model-column", "m", "--cost-column", "c"), 1, "no column c, d, m"),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(command_line, tmp_path, text, asked, code, words):
    file = tmp_path / "usage.csv"
    file.write_text(text)
    told = command_line("reconcile", str(file), "--provider", "openai", *asked)
    assert told.exit_code == code
    assert words in told.stderr


def test_a_file_in_another_encoding_is_told(command_line, tmp_path):
    file = tmp_path / "usage.csv"
    file.write_bytes(HEADER.encode("utf-16"))
    told = command_line("reconcile", str(file))
    assert told.exit_code == 1
    assert "no text in UTF-8" in told.stderr
