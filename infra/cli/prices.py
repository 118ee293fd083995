"""`llm-router prices`: the catalogue of prices and what is published since. For a checkout with `make setup`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import click

from infra.cli import options
from infra.prices import newest


@click.group()
def prices() -> None:
    """The catalogue of prices, which lies in the checkout and is deployed with it."""


def require_published() -> None:
    """They are developers' part of the set-up, which `make run` leaves out."""
    if importlib.util.find_spec("genai_prices") is None:
        raise click.ClickException("The published prices are not installed: run `make setup` in the checkout.")


@prices.command()
def update() -> None:
    """Rewrite the catalogue from the installed data, and print what has changed."""
    require_published()
    if subprocess.run([sys.executable, "-m", "infra.prices.update"], check=False).returncode:
        raise click.ClickException("The catalogue was not written.")


@prices.command()
@options.as_json
def diff(*, as_json: bool) -> None:
    """Print how the newest published prices differ from the catalogue, and write nothing.

    Fetches them from the package index. Exit code 1 where they differ.
    """
    require_published()
    try:
        differs = newest.differences(["--json"] if as_json else [])
    except newest.NotFetchedError as error:
        raise click.ClickException(str(error)) from error
    if differs:
        raise click.exceptions.Exit(1)
