"""Fills the table once, and prints it at the end, whatever the tests make of it."""

from __future__ import annotations

import os
from contextlib import contextmanager

import boto3
import pytest

from faults import cells
from faults.cells import CELLS, Result
from infra.local import processes, template
from integration.tables import LEDGER_TABLE, STATE_TABLE

FILLED = pytest.StashKey[dict]()
SUMMED_UP = pytest.StashKey[str]()


@contextmanager
def tables(folder):
    """In an emulator of its own: moto's tables break when many threads use them at once."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with processes.listening("127.0.0.1", 0) as listens:
        endpoint = f"http://127.0.0.1:{listens.getsockname()[1]}"
        child = processes.start(
            "infra.local.emulator",
            ["--fd", str(listens.fileno()), "--state-dir", str(folder / "state")],
            environ=environ | {"PYTHONPATH": os.pathsep.join(["layers/shared", "."])},
            log=folder / "emulator.log",
            fd=listens.fileno(),
        )
    try:
        processes.until(lambda: child.has_ended or processes.answers(endpoint), limit_s=60)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            client = boto3.client("dynamodb")
            template.create_table(client, logical_name="LedgerTable", name=LEDGER_TABLE)
            template.create_table(client, logical_name="StateTable", name=STATE_TABLE)
            yield client
    finally:
        child.process.kill()
        child.process.wait()
        child.process.stdin.close()


@pytest.fixture(scope="session")
def results(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("faults")
    with tables(folder) as client, cells.met(folder, client) as table:
        found = table.fill()
    request.config.stash[FILLED] = found
    request.config.stash[SUMMED_UP] = (
        f"{len({cell.fault for cell in CELLS})} faults, {len(found)} requests in the table, "
        f"{table.requests} in all, in {table.seconds:.0f} s"
    )
    return found


def pytest_terminal_summary(terminalreporter, config):
    found = config.stash.get(FILLED, None)
    if found is None:
        return
    rows = [HEADINGS, *(_row(found[cell]) for cell in CELLS)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    terminalreporter.section("what callers got of faulty providers")
    for row in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        terminalreporter.write_line(line.rstrip())
    terminalreporter.write_line(config.stash[SUMMED_UP])


HEADINGS = ("fault", "door", "delivery", "candidates", "outcome", "tried", "attempts", "seconds")


def _row(result: Result) -> tuple[str, ...]:
    cell, seen = result.cell, result.seen
    served = result.record.served
    end = f"whole from the {served.provider.rpartition('-')[2]}" if seen.is_clean and served else seen.end
    attempts = [sum(one.provider == name for one in result.record.attempts) for name in cell.providers]
    return (
        cell.fault.name,
        cell.door,
        cell.delivery,
        "several" if cell.several else "one",
        end,
        ", ".join(one.outcome.value for one in result.record.attempts),
        " + ".join(map(str, attempts)),
        f"{seen.seconds:.2f}",
    )
