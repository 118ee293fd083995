"""`llm-router replay`: records that only the log holds come into the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import click

from infra.cli import options, tables
from infra.cli.routers import Router
from infra.records import replay as replays
from infra.records.replay import MEANINGS, STATES, Fate, Found
from llm_router import json_text
from llm_router.clock import Clock
from llm_router.errors import StoreError

AGAIN = "It is safe to run llm-router replay again."


@click.command()
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Lines of the log, as `aws logs filter-log-events` prints them; else the log itself is read.",
)
@options.as_json
@options.with_router
def replay(router: Router, *, file: Path | None, as_json: bool) -> None:
    """Put into the ledger what DynamoDB did not take, and only the log holds.

    Records are settled; openings of which nothing more was heard are given up at their upper estimate. What is in the
    ledger already is left alone, so it may be run as often as you like, also while the router works. Exit code 1 where
    a line was damaged.
    """
    found = replays.records(_lines(router, file))
    source = str(file) if file else router.log
    if not as_json:
        events = " or ".join(STATES)
        click.echo(f"{tables.counted(len(found.records), 'record')} with the event {events} in {source}.")
    fates = _restored(router, found)
    click.echo(_document(fates, found) if as_json else _table(fates), nl=bool(as_json or fates))
    if found.damaged:
        numbers = ", ".join(map(str, found.damaged))
        raise click.ClickException(f"Lines that hold no whole record, and were passed over: {numbers}")


def _lines(router: Router, file: Path | None) -> Iterable[str]:
    if file is None:
        return router.logged()
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file} is no text in UTF-8: {error}") from error


def _restored(router: Router, found: Found) -> Counter[Fate]:
    retention = timedelta(days=router.cover.retention_days)
    try:
        return Counter(replays.restore(found.records, router.books.ledger, retention=retention, clock=Clock()))
    except StoreError as error:
        raise click.ClickException(f"{error}\n{AGAIN}") from error


def _table(fates: Counter[Fate]) -> str:
    return "\n".join(f"  {fates[fate]:6} {fate.value}: {MEANINGS[fate]}" for fate in Fate if fates[fate])


def _document(fates: Counter[Fate], found: Found) -> str:
    counts = {fate.value: fates[fate] for fate in Fate}
    return json_text.encode({"records": len(found.records), **counts, "damagedLines": list(found.damaged)}).decode()
