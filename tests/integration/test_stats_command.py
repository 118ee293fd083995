"""`llm-router stats`: what GET /stats answers, from a shell."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from integration.records import CHEAP, STEADY, attempt, pending, settled
from llm_router import figures, json_text
from llm_router.statistics import EVERYTHING, Grouping, Question


@pytest.fixture
def served(books):
    """Three requests of this moment, one of them failed."""
    books.moving.at = datetime.now(UTC)
    for ended in [(attempt(CHEAP, usd="0.25"),), (attempt(STEADY, usd="1000.5"),)]:
        record = pending(books)
        books.ledger.insert(record)
        books.ledger.settle(settled(record, *ended, at=books.moving.at))
    return books


def test_json_is_the_body_of_get_stats(command_line, served):
    told = json_text.decode(command_line("stats", "--json").stdout.encode())
    body = json_text.decode(json_text.encode(figures.document(served.statistics.figures(EVERYTHING))))
    assert {**told, "asOf": None} == {**body, "asOf": None}
    assert told["totalCost"] == Decimal("1000.75")


@pytest.mark.parametrize("by", Grouping)
def test_each_grouping_is_a_table_with_a_row_a_group(command_line, served, by):
    told = command_line("stats", "--group-by", by.value)
    assert told.exit_code == 0
    table = told.stdout.partition("\n\n")[2].splitlines()
    asked = command_line("stats", "--group-by", by.value, "--json").stdout
    groups = json_text.decode(asked.encode())["groups"]
    assert table[0].split()[0] == by.value
    assert [line.split()[0] for line in table[1:]] == [group[by.value].split()[0] for group in groups]
    assert groups or not served.statistics.figures(Question(group_by=by)).groups


def test_the_totals_are_shown_to_the_last_digit(command_line, served):
    del served
    told = command_line("stats").stdout
    lines = [line.split() for line in told.splitlines()]
    assert ["cost,", "USD", "1,000.75"] in lines
    assert [CHEAP, "1", "1", "0", "15", "0.25", "0", "100%"] in [line[:8] for line in lines]


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        (["--from", "yesterday"], 2, "must be a day or a full hour"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], 2, "before"),
        (["--group-by", "colour"], 2, "colour"),
        (["--stage", "Prod!"], 2, "no stage"),
        (["--stage", "prod"], 1, "There is no stack llm-router-prod here"),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(command_line, asked, code, words):
    told = command_line("stats", *asked)
    assert (told.exit_code, told.stdout) == (code, "")
    assert words in told.stderr


def test_a_table_that_is_gone_is_told_without_a_traceback(command_line, dynamodb):
    dynamodb.delete_table(TableName="ledger")
    told = command_line("stats")
    assert told.exit_code == 1
    assert "ResourceNotFoundException" in told.stderr
