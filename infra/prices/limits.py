"""What the published prices do not say of models: windows, limits of output, what a model lacks, whether it reasons.

It stands in `limits.json`, the project's own file, in which each line names its source and each source its day. A value
of the published data is not overruled by it; what it says of the same model in two lines is put together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

LIMITS_FILE = Path(__file__).with_name("limits.json")

REASONING_S = {"first_token_timeout_s": 60, "idle_timeout_s": 30}
"""How long a model that reasons may be silent before its first token and between two: it thinks where others stall, and
many hosts send nothing of it. The route's deadline still holds."""

KEPT = ("context_window", "max_output_tokens")

Row = dict[str, Any]
Rows = Mapping[str, Mapping[str, Row | str]]


def completed(rows: Rows, *, file: Path = LIMITS_FILE) -> dict[str, dict[str, Row | str]]:
    """The rows with what is known beside their prices. Raises ValueError for a line that speaks of no row."""
    document = json.loads(file.read_text(encoding="utf-8"))
    done = {
        provider: {name: dict(row) if isinstance(row, dict) else row for name, row in models.items()}
        for provider, models in rows.items()
    }
    for line in document["limits"]:
        if line["source"] not in document["sources"]:
            raise ValueError(f"a source without a day: {line['source']}")
        found = list(_matching(done[line["provider"]], line["models"]))
        if not found:
            raise ValueError(f"no row has this name: {line['provider']} {line['models']}")
        for row in found:
            _complete(row, line)
    return done


def _matching(models: Mapping[str, Row | str], patterns: list[str]) -> Iterator[Row]:
    for name, row in models.items():
        if isinstance(row, dict) and any(fnmatchcase(name, pattern) for pattern in patterns):
            yield row


def _complete(row: Row, line: Mapping[str, Any]) -> None:
    for name in KEPT:
        if name in line:
            row.setdefault(name, line[name])
    if lacks := [*row.get("lacks", ()), *line.get("lacks", ())]:
        row["lacks"] = list(dict.fromkeys(lacks))
    if line.get("reasons"):
        row.update(REASONING_S)
