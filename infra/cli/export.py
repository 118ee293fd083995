"""`llm-router export`: a line for each request of a stretch of time."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import click

from infra.cli import options, tables
from infra.cli.routers import Router
from infra.records import export as exports
from infra.records.export import Exported, Format, Writer
from llm_router import figures

TOLD_EVERY_S = 2.0


class Progress:
    """Says on stderr how far a long export has come."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def tell(self, done: Exported) -> None:
        now_s = time.monotonic()
        if done.reached and now_s - self._said_s >= TOLD_EVERY_S:
            self._said_s = now_s
            at = figures.timestamp(done.reached.opened_at)
            click.echo(f"  {tables.counted(done.requests, 'request')}, up to {at} ...", err=True)


@click.command()
@click.option("--from", "since", required=True, help="A day or a full hour in UTC: 2026-11-23 or 2026-11-23T14:00Z.")
@click.option("--to", "until", required=True, help="The same; what begins then is not included.")
@click.option("--format", "kind", type=click.Choice([each.value for each in Format]), default=Format.JSONL.value)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file, which is there whole or not at all; standard output where it is left out.",
)
@options.with_router
def export(router: Router, *, since: str, until: str, kind: str, output: Path | None) -> None:
    """A line for each request that was opened from --from to before --to, in that order.

    `counted_usd` of all lines adds up to the `totalCost` of `llm-router stats` for the same time. Requests that are
    under way are in neither. Only what the time needs is read.
    """
    span = options.span(since=since, until=until)
    _warn_of_expired(span.since, router.cover.retention_days)
    target: AbstractContextManager[TextIO] = exports.whole_file(output) if output else nullcontext(sys.stdout)
    with target as file:
        writer = Writer(Format(kind), file, router.cover.prices)
        done = exports.export(router.books, span, writer=writer, tell=Progress().tell)
    pending = f"; {done.pending:,} under way are left out" if done.pending else ""
    click.echo(
        f"{tables.counted(done.requests, 'request')}, {tables.decimal(done.counted_usd)} USD{pending}.", err=True
    )


def _warn_of_expired(since: datetime, retention_days: int) -> None:
    if since < datetime.now(UTC) - timedelta(days=retention_days):
        click.echo(
            f"Records are kept for {retention_days} days. What is older is missing here, and in the sums all the same.",
            err=True,
        )
