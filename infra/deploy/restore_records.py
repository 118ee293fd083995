"""`make restore-records`: puts into the ledger what only the log holds, from the log itself or from saved lines.

That are records that could not be settled, and openings that were not acknowledged, of requests whose process died
before it could make up for them. Each goes through the ledger's own code, so what is there already is left alone and
nothing is counted twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.deploy import stack
from llm_router import aws, journal_items
from llm_router.aggregator import ORPHAN_GRACE_S
from llm_router.clock import Clock
from llm_router.errors import StoreError
from llm_router.ledger import Ledger
from llm_router.usage import RecordState, UsageRecord

UNWRITTEN, UNOPENED = "ledger.unwritten", "ledger.unopened"
STATES = {UNWRITTEN: RecordState.SETTLED, UNOPENED: RecordState.PENDING}
"""The events, and in which state the records of their lines are."""

LOG_OUTPUTS = ("RouterLogs", "StreamingLogs")


class RestoreError(Exception):
    """Nothing can be restored; its words are for the operator."""


class Fate(StrEnum):
    """What became of a record."""

    INSERTED = "inserted: the ledger knew nothing of the request"
    SETTLED = "settled: it was still pending"
    CORRECTED = "corrected: the ledger held an upper estimate"
    GIVEN_UP = "given up: the ledger did not know that it had begun, and nothing tells its end"
    UNDER_WAY = "left alone: it may still be under way"
    THERE = "left alone: it was there already"
    EXPIRED = "refused: older than RecordRetentionDays, so whether it was counted can't be told any more"


@dataclass(frozen=True, slots=True)
class Found:
    """What lines of a log hold: records in the order of the lines, each once; `damaged` are line numbers."""

    records: tuple[UsageRecord, ...]
    damaged: tuple[int, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make restore-records", description=__doc__)
    parser.add_argument("--stage", type=stack.stage_name, default="prod")
    parser.add_argument("--region", default="")
    parser.add_argument("--file", default="", help="lines of the log, as aws logs filter-log-events prints them")
    asked = parser.parse_args(arguments)
    session = boto3.Session()
    region = asked.region or session.region_name or stack.DEFAULT_REGION
    try:
        return _restore(session, region=region, stage=asked.stage, file=asked.file)
    except (RestoreError, StoreError, OSError, UnicodeDecodeError, *aws.UNREACHABLE) as error:
        print(f"\n{error}\nIt is safe to run make restore-records again.", file=sys.stderr)
        return 1


def _restore(session: boto3.Session, *, region: str, stage: str, file: str) -> int:
    described = describe(session.client("cloudformation", region_name=region), stage=stage)
    if file:
        source, lines = file, Path(file).read_text().splitlines()
    else:
        groups = [described.outputs[name] for name in LOG_OUTPUTS if name in described.outputs]
        source, lines = " and ".join(groups), list(logged_lines(session.client("logs", region_name=region), groups))
    found = records(lines)
    print(f"{len(found.records)} records with the events {' and '.join(STATES)} in {source}.")
    dynamodb = session.client("dynamodb", region_name=region)
    fates = Counter(restore(found.records, described.ledger(dynamodb), retention=described.retention, clock=Clock()))
    for fate in Fate:
        if fates[fate]:
            print(f"  {fates[fate]:6} {fate.value}")
    if found.damaged:
        numbers = ", ".join(map(str, found.damaged))
        print(f"Lines that hold no whole record, and were passed over: {numbers}", file=sys.stderr)
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class Described:
    """A deployed stack's own words on itself."""

    outputs: dict[str, str]
    parameters: dict[str, str]

    @property
    def retention(self) -> timedelta:
        return timedelta(days=int(self.parameters["RecordRetentionDays"]))

    def ledger(self, dynamodb: Any) -> Ledger:
        """As the functions open it."""
        return Ledger(
            lambda: dynamodb,
            table=self.outputs["LedgerTable"],
            shards=int(self.parameters["LedgerShards"]),
            retention_days=self.retention.days,
            clock=Clock(),
        )


def describe(cloudformation: Any, *, stage: str) -> Described:
    """Raises RestoreError where there is no such stack."""
    name = stack.stack_name(stage)
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        raise RestoreError(f"There is no stack {name} to restore into: {error}") from error
    return Described(
        outputs={output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])},
        parameters={given["ParameterKey"]: given["ParameterValue"] for given in found.get("Parameters", [])},
    )


def logged_lines(logs: Any, groups: Iterable[str]) -> Iterator[str]:
    """The lines with one of the events, of each log group in turn."""
    for group, event in product(groups, STATES):
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'{{ $.event = "{event}" }}'
        )
        for page in pages:
            yield from (each["message"] for each in page["events"])


def records(lines: Iterable[str]) -> Found:
    """Lines of other events are passed over in silence. Of each request the line that tells most stands."""
    found: dict[str, UsageRecord] = {}
    damaged = []
    for number, line in enumerate(lines, 1):
        if not any(event in line for event in STATES):
            continue
        try:
            if (record := _record(line)) and _tells_more(record, found.get(record.request_id)):
                found[record.request_id] = record
        except ValueError:
            damaged.append(number)
    return Found(tuple(found.values()), tuple(damaged))


def _tells_more(record: UsageRecord, known: UsageRecord | None) -> bool:
    if known is None or known.state is RecordState.SETTLED:
        return known is None
    return record.state is RecordState.SETTLED or len(record.attempts) > len(known.attempts)


def _record(line: str) -> UsageRecord | None:
    """None for a line of another event. What precedes the JSON, a time and a stream's name, is passed over."""
    values = json.loads(line[max(line.find("{"), 0) :])
    event = values.get("event") if isinstance(values, dict) else None
    if event not in STATES:
        return None
    record = journal_items.logged_record(str(values.get("record")))
    if record.state is not STATES[event]:
        raise ValueError(f"not a record of the event {event}")
    return record


def restore(found: Iterable[UsageRecord], ledger: Ledger, *, retention: timedelta, clock: Clock) -> Iterator[Fate]:
    """What became of each, one after the other. Raises StoreError; what came before it stays written."""
    for record in found:
        if record.opened_at + retention <= clock.now():
            yield Fate.EXPIRED
            continue
        if record.state is RecordState.PENDING:
            yield _given_up(record, ledger, clock)
            continue
        before = ledger.find(record.position)
        written = ledger.settle_from_log(record)
        yield _fate(before, written, record)


def _given_up(record: UsageRecord, ledger: Ledger, clock: Clock) -> Fate:
    """Past its deadline there is no process any more that could make up for it."""
    if clock.now() < record.deadline_at + timedelta(seconds=ORPHAN_GRACE_S):
        return Fate.UNDER_WAY
    return Fate.GIVEN_UP if ledger.give_up_unopened(record) else Fate.THERE


def _fate(before: UsageRecord | None, written: UsageRecord, record: UsageRecord) -> Fate:
    if before is None:
        return Fate.THERE if written.position == record.position else Fate.INSERTED
    if before.state is RecordState.PENDING:
        return Fate.SETTLED
    return Fate.CORRECTED if before.state is RecordState.UNSETTLED else Fate.THERE


if __name__ == "__main__":
    sys.exit(main())
