"""`.venv/bin/llm-router`, as the set-up has installed it, against a real `make run`, from any directory."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import simplejson

from builders import record
from e2e.local_run import ROOT, environment, started
from llm_router import journal_items

PROGRAM = ROOT / ".venv" / "bin" / "llm-router"


@pytest.fixture
def run(tmp_path):
    with started(tmp_path / "state") as running:
        yield running


@pytest.fixture
def command_line(run, tmp_path):
    """Called as an operator would, from a directory that has nothing to do with the checkout."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def call(*arguments, **changes):
        environ = environment(**{"STATE_DIR": str(run.state_dir)} | changes)
        return subprocess.run(
            [PROGRAM, *arguments], cwd=elsewhere, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    return call


def decimals(text):
    return simplejson.loads(text, use_decimal=True)


def test_stats_export_show_and_reconcile_agree_with_what_callers_were_told(run, command_line):
    answers = [run.generate({"prompt": "Hello", "metadata": {"team": "docs"}}).json() for _ in range(7)]
    paid = sum(answer["cost"] for answer in answers)

    stats = decimals(command_line("stats", "--json").stdout)
    assert {**stats, "asOf": None} == {**run.get("/stats").json(), "asOf": None}
    assert (stats["totalRequests"], stats["totalCost"]) == (7, paid)

    today = datetime.now(UTC).date()
    days = ("--from", str(today - timedelta(days=1)), "--to", str(today + timedelta(days=1)))
    exported = command_line("export", *days, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(exported.stdout)))
    assert [row["request_id"] for row in rows] == [answer["requestId"] for answer in answers]
    assert sum(Decimal(row["counted_usd"]) for row in rows) == paid
    lines = [decimals(line) for line in command_line("export", *days).stdout.splitlines()]
    assert sum(line["counted_usd"] for line in lines) == paid

    shown = decimals(command_line("show", answers[0]["requestId"], "--json").stdout)
    assert (shown["cost_usd"], shown["metadata"]) == (answers[0]["cost"], {"team": "docs"})

    usage = billed(lines, provider="demo-cheap")
    agreed = command_line(
        "reconcile", usage(run.state_dir / "usage.csv"), "--provider", "demo-cheap", "--tolerance", "0"
    )
    assert (agreed.returncode, agreed.stderr) == (0, "")
    differing = usage(run.state_dir / "more.csv", more=1)
    assert command_line("reconcile", differing, "--provider", "demo-cheap").returncode == 1


def billed(lines, *, provider):
    """Writes what the provider's own export would say."""
    made = [
        (line["opened_at"][:10], each) for line in lines for each in line["attempts"] if each["provider"] == provider
    ]

    def write(file, more=0):
        rows = [
            f"{day},{one['model']},{one.get('prompt_tokens', 0)},{one.get('completion_tokens', 0)},{one['cost_usd']:f}"
            for day, one in made
        ]
        extra = [f"{made[0][0]},{made[0][1]['model']},{more},0,0"]
        file.write_text("\n".join(["date,model,input_tokens,output_tokens,cost_usd", *rows, *extra]))
        return str(file)

    return write


def test_a_record_that_only_a_log_of_the_run_holds_comes_into_the_ledger_once(run, command_line):
    lost = record(at=datetime.now(UTC) - timedelta(hours=1))
    line = json.dumps({"event": "ledger.unwritten", "record": journal_items.log_text(lost)})
    (run.state_dir / "log" / "server.log.1").write_text(f"{line}\n")
    assert decimals(command_line("replay", "--json").stdout)["inserted"] == 1
    assert decimals(command_line("replay", "--json").stdout)["there"] == 1
    assert run.get("/stats").json()["totalCost"] == lost.cost.usd
    shown = command_line("show", lost.request_id)
    assert shown.returncode == 0
    assert "Its opening was not written in time" in shown.stdout


def test_no_run_is_told_with_what_to_do(command_line, tmp_path):
    told = command_line("stats", STATE_DIR=str(tmp_path / "nothing-here"))
    assert (told.returncode, told.stdout) == (1, "")
    assert "make run" in told.stderr
    assert "--stage" in told.stderr


def test_a_reader_that_has_seen_enough_ends_it_without_a_traceback(run, command_line):
    for _ in range(3):
        run.generate({"prompt": "Hello"})
    today = datetime.now(UTC).date()
    asked = [PROGRAM, "export", "--from", str(today), "--to", str(today + timedelta(days=1))]
    line = " ".join(map(str, asked)) + " | head -1"
    told = subprocess.run(
        ["bash", "-c", line],
        env=environment(STATE_DIR=str(run.state_dir)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert len(told.stdout.splitlines()) == 1
    assert "Traceback" not in told.stderr
    assert command_line("--help").returncode == 0
