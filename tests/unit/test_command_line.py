"""The command line starts from what `make run` installs, and tells people amounts to the last digit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.cli import entry, tables

ROOT = Path(__file__).parents[2]
DEVELOPERS_OWN = {"genai_prices", "httpx2", "moto", "pytest", "hypothesis", "playwright", "mypy_boto3_dynamodb"}
NEEDLESS = {"fastapi", "starlette", "mangum", "ministack", "uvicorn", "httpx", "tiktoken"}


def python(code, **environ):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'layers/shared'}{os.pathsep}{ROOT}"} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_starts_without_what_only_developers_have_and_without_what_serves():
    told = python("import sys, infra.cli.entry; print(*sys.modules)")
    loaded = {name.partition(".")[0] for name in told.stdout.split()}
    assert "click" in loaded
    assert loaded & (DEVELOPERS_OWN | NEEDLESS) == set()


def test_prices_that_are_not_installed_are_told_with_what_to_do():
    told = python(
        "import sys; sys.modules['genai_prices'] = None\n"
        "import importlib.util; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'genai_prices' else found(name)\n"
        "from infra.cli.entry import main; main(['prices', 'diff'])"
    )
    assert told.returncode == 1
    assert "run `make setup`" in told.stderr


def test_newest_prices_that_cannot_be_fetched_are_no_difference_and_no_agreement():
    told = python("from infra.cli.entry import main; main(['prices', 'diff'])", PIP_NO_INDEX="1")
    assert told.returncode == 1
    assert told.stdout == ""
    assert "could not be installed" in told.stderr


@pytest.mark.parametrize("command", [[], *([name] for name in entry.main.commands), ["prices", "diff"]])
def test_every_command_has_help(command):
    told = CliRunner().invoke(entry.main, [*command, "--help"])
    assert told.exit_code == 0
    assert told.stdout.startswith(f"Usage: {' '.join(['main', *command])}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (Decimal("0.00000365"), "0.00000365"),
        (Decimal("1E-11"), "0.00000000001"),
        (Decimal("1234567.50"), "1,234,567.5"),
        (Decimal(100), "100"),
        (Decimal("0.00"), "0"),
        (1234567, "1,234,567"),
        ("team=\x1b[2Jred\n", "team=?[2Jred?"),
    ],
)
def test_values_are_shown_whole_and_cannot_command_a_terminal(value, text):
    assert tables.shown(value) == text


def test_a_table_has_numbers_to_the_right_and_words_to_the_left():
    table = tables.text(["name", "usd"], [["a", Decimal("10.5")], ["bcdef", None]])
    assert table.splitlines() == ["name    usd", "a      10.5", "bcdef     -"]


ROW = {"input": "1", "output": "2"}


@pytest.mark.parametrize(("after", "code"), [({"p": {"m": ROW}}, 0), ({"p": {"m": {**ROW, "input": "3"}}}, 3)])
def test_a_comparison_of_prices_says_by_its_code_whether_there_is_a_difference(after, code, capsys):
    from infra.prices import update

    before = {"source": "genai-prices 1", "as_of": "2026-01-01", "providers": {"p": {"m": ROW}}}
    header = {"source": "genai-prices 2", "as_of": "2026-02-01"}
    assert update.compare(before, header, after, as_json=True) == code
    told = json.loads(capsys.readouterr().out)
    changed = [{"candidate": "p/m", "before": ROW, "after": after["p"]["m"]}] if code else []
    assert told["changes"] == changed
    assert update.compare(before, header, after, as_json=False) == code
    assert ("~ p/m: input 1 -> 3" in capsys.readouterr().out) == bool(code)
