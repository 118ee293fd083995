"""`llm-router --stage`: it finds the stack by what CloudFormation says of it, and tells what the doors have told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from infra.cli import entry
from llm_router import json_text


@pytest.fixture
def command_line(stack):
    def run(*arguments):
        told = CliRunner().invoke(entry.main, [*arguments, "--stage", stack.stage, "--region", stack.region])
        assert told.exit_code == 0, told.output
        return told.stdout

    return run


def test_a_request_is_shown_at_what_its_caller_was_told(answer, command_line):
    body = answer.json()
    shown = json_text.decode(command_line("show", body["requestId"], "--json").encode())
    assert (shown["request_id"], shown["cost_usd"]) == (body["requestId"], body["cost"])


def test_the_figures_are_those_of_the_door(stack, answer, command_line):
    """Others may ask in between, so the command's are between two of the door's."""
    del answer
    before = stack.get("/stats", **stack.signed_in).json()
    told = json_text.decode(command_line("stats", "--json").encode())
    after = stack.get("/stats", **stack.signed_in).json()
    assert before["totalCost"] <= told["totalCost"] <= after["totalCost"]
    assert before["totalRequests"] <= told["totalRequests"] <= after["totalRequests"]


def test_an_export_holds_the_request(answer, command_line):
    today = datetime.now(UTC).date()
    lines = command_line("export", "--from", str(today - timedelta(days=1)), "--to", str(today + timedelta(days=1)))
    rows = {row["request_id"]: row for row in (json_text.decode(line.encode()) for line in lines.splitlines())}
    assert rows[answer.json()["requestId"]]["cost_usd"] == answer.json()["cost"]


def test_replay_reads_the_logs_of_both_functions(command_line):
    assert json_text.decode(command_line("replay", "--json").encode())["damagedLines"] == []
