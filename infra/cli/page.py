"""Keeps the generated parts of docs/command-line.md: what --help prints, and the tables of columns and layouts.

`make command-line-page` writes them; a test holds the page to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from infra.cli.entry import main as commands
from infra.reconciliation.layouts import LAYOUTS
from infra.records.rows import COLUMNS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
PART = re.compile(r"(<!-- generated: ([\w -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 100


def parts() -> dict[str, str]:
    """The text of each part by its name."""
    found = {f"help {name}".rstrip(): f"```text\n{text}\n```\n" for name, text in _helps()}
    return found | {"columns": _columns(), "layouts": _layouts()}


def filled(page: str) -> str:
    """The page with its parts as they should be. Raises KeyError for a part that is none."""
    known = parts()
    return PART.sub(lambda match: f"{match[1]}{known[match[2]]}{match[3]}", page)


def _helps() -> Iterator[tuple[str, str]]:
    top = click.Context(commands, info_name="llm-router", terminal_width=WIDTH, help_option_names=["-h", "--help"])
    yield "", commands.get_help(top)
    for name, command in commands.commands.items():
        inner = click.Context(command, info_name=name, parent=top, terminal_width=WIDTH)
        yield name, command.get_help(inner)
        for sub, leaf in command.commands.items() if isinstance(command, click.Group) else ():
            yield f"{name} {sub}", leaf.get_help(click.Context(leaf, info_name=sub, parent=inner, terminal_width=WIDTH))


def _columns() -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items()]
    return "\n".join(["| column | |", "|---|---|", *rows]) + "\n"


def _layouts() -> str:
    rows = [
        f"| {layout.name} | {_names(layout.day, layout.model)} | "
        f"{_names(*layout.input_tokens, *layout.output_tokens, *layout.usd)} | {layout.rests_on} |"
        for layout in LAYOUTS
    ]
    return "\n".join(["| export | day, model | what is counted | rests on |", "|---|---|---|---|", *rows]) + "\n"


def _names(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
