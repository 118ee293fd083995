"""What the routers' logs hold of records that DynamoDB did not take, and how an operator puts them into the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from infra.proof.judge import NONCE
from infra.proof.ledgers import RETENTION_DAYS
from infra.records import replay as replays
from llm_router import journal_items
from llm_router.clock import Clock
from llm_router.ledger import Ledger

UNOPENED = "ledger.unopened"


def lines(paths: Iterable[Path]) -> list[str]:
    return [line for path in paths for line in path.read_text(errors="replace").splitlines()]


def replay(logged: Iterable[str], ledger: Ledger, *, clock: Clock) -> Counter[str]:
    """By the very code behind `llm-router replay`; how many records met which fate."""
    found = replays.records(logged)
    fates = replays.restore(found.records, ledger, retention=timedelta(days=RETENTION_DAYS), clock=clock)
    counted = Counter(fate.value for fate in fates)
    return counted + Counter({"damaged lines": len(found.damaged)})


def unopened(logged: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The nonce and the candidate of each opening that DynamoDB did not acknowledge in time."""
    for line in logged:
        if UNOPENED not in line:
            continue
        values = json.loads(line)
        record = journal_items.logged_record(values["record"])
        if record.trying:
            yield record.metadata[NONCE], record.trying.candidate
