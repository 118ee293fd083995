"""Writes the catalogue of prices and limits (`make prices`), or prints what has changed upstream since
(`make prices-diff`, which writes nothing).

The rows come from the data of `genai-prices` and from the project's own file of limits. That our arithmetic agrees with
theirs for every row is a test: tests/contract/test_published_prices.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.prices import limits, published
from infra.prices.newest import DIFFERS

CATALOGUE_FILE = Path(__file__).parents[2] / "layers/shared/llm_router/catalogue.json"

Row = dict[str, Any]
Rows = Mapping[str, Mapping[str, Row | str]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="The catalogue of prices and limits.")
    parser.add_argument("--diff", action="store_true", help="print what would change and write nothing")
    parser.add_argument("--json", action="store_true", help="with --diff: as JSON, each row before and after")
    asked = parser.parse_args(arguments)
    before = catalogue_now()
    found = published.read()
    rows = limits.completed(found.rows)
    header = {"source": found.source, "as_of": found.as_of.isoformat()}
    if asked.diff:
        return compare(before, header, rows, as_json=asked.json)
    print_left_out(found)
    CATALOGUE_FILE.write_text(text(header, rows), encoding="utf-8")
    print_changes(before["providers"], rows)
    return 0


def compare(before: Mapping[str, Any], header: Mapping[str, str], rows: Rows, *, as_json: bool) -> int:
    """Prints what would change; DIFFERS where something would."""
    if as_json:
        changes = [
            {"candidate": name, "before": old, "after": new}
            for name, old, new in changed_rows(before["providers"], rows)
        ]
        was = {key: before.get(key) for key in header}
        print(json.dumps({"before": was, "after": header, "changes": changes}))
        return DIFFERS if changes else 0
    print(f"{before['source']} of {before.get('as_of')} -> {header['source']} of {header['as_of']}")
    if not print_changes(before["providers"], rows):
        return 0
    version = header["source"].split()[-1]
    print(f"To take this over: write genai-prices=={version} in infra/prices/requirements.txt, then make prices.")
    return DIFFERS


def catalogue_now() -> Mapping[str, Any]:
    nothing = {"source": "none", "providers": {}}
    written: Mapping[str, Any] = json.loads(CATALOGUE_FILE.read_text()) if CATALOGUE_FILE.exists() else nothing
    return written


def print_left_out(found: published.Published) -> None:
    for provider, models in found.rows.items():
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.left_out[provider].most_common())
        print(f"{provider}: {len(models)} rows; models left out: {reasons or 'none'}")


def text(header: Mapping[str, str], rows: Rows) -> str:
    """JSON with one line a row, so that a change of price is one line of a diff."""
    head = "".join(f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in header.items())
    providers = ",\n".join(
        f"    {json.dumps(name)}: {{\n"
        + ",\n".join(f"      {json.dumps(model)}: {json.dumps(row)}" for model, row in models.items())
        + "\n    }"
        for name, models in rows.items()
    )
    return f'{{\n{head}  "providers": {{\n{providers}\n  }}\n}}\n'


def print_changes(before: Rows, after: Rows) -> int:
    """One line a model: what came, what went, and for the others each value that is another. How many there are."""
    lines = [change(*each) for each in changed_rows(before, after)]
    old, new = (sum(1 for _ in _flat(rows)) for rows in (before, after))
    print("\n".join(lines) or "nothing has changed")
    print(f"{len(lines)} of {new} rows are not as before ({old} rows)")
    return len(lines)


def changed_rows(before: Rows, after: Rows) -> list[tuple[str, Row | None, Row | None]]:
    """By candidate: the row as it was and as it is, None where there was or is none."""
    old, new = dict(_flat(before)), dict(_flat(after))
    each = [(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]
    return [(name, was, now) for name, was, now in each if was != now]


def change(name: str, old: Row | None, new: Row | None) -> str:
    if old is None or new is None:
        row = new or old or {}
        rates = f"input {row['input']}, output {row['output']} USD per million tokens"
        return f"+ {name}: {rates}" if new else f"- {name}: was {rates}"
    values_before, values_after = dict(_values(old)), dict(_values(new))
    parts = [
        f"{key} {values_before.get(key, 'none')} -> {values_after.get(key, 'none')}"
        for key in dict.fromkeys([*values_before, *values_after])
        if values_before.get(key) != values_after.get(key)
    ]
    return f"~ {name}: {', '.join(parts)}"


def _flat(providers: Rows) -> Iterator[tuple[str, Row]]:
    for provider, models in providers.items():
        for model, row in models.items():
            whole = models[row] if isinstance(row, str) else row
            if isinstance(whole, dict):
                yield f"{provider}/{model}", whole


def _values(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value of a row with where it stands, `tiers.0.input`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _values(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(inner, Mapping) for inner in value):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{path}.{index}")
    else:
        yield path, " ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
