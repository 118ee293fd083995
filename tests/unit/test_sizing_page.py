"""The template's sizes are those that the measurements speak for."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.runtime import declared

ROOT = Path(__file__).parents[2]
DEFAULTS = {
    "router function": "RouterMemoryMb",
    "streaming function": "StreamingMemoryMb",
    "stats function": "StatsMemoryMb",
}


def verdicts():
    """The table under "What to take": the size, and what is said of it for each function."""
    section = (ROOT / "docs" / "sizing.md").read_text().partition("## What to take")[2].partition("##")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    titles, _, *sizes = rows
    return [dict(zip(titles, row, strict=True)) for row in sizes]


@pytest.mark.parametrize("function", DEFAULTS)
def test_a_functions_default_memory_is_the_size_to_take(function):
    (taken,) = [row["memory"] for row in verdicts() if row[function] == "**take this**"]
    assert taken == f"{declared.load()['Parameters'][DEFAULTS[function]]['Default']} MB"
