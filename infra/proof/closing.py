"""What comes after the violence: orphans are given up, the log is replayed, and books are held against each other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import boto3
import simplejson
from botocore.config import Config

from infra.local import processes
from infra.local.aws_resources import ACCESS_KEY_ID, LEDGER_TABLE, PAGE_BUCKET, REGION, SECRET_ACCESS_KEY
from infra.proof import door, judge, ledgers, logs, polls, sums, tariff
from infra.proof.judge import Answer, Evidence, Verdict
from infra.proof.ledgers import Ledgers
from infra.proof.members import Members
from infra.proof.polls import Polls
from infra.proof.tariff import Bill
from llm_router.ledger import INSERT_WITHIN_S
from llm_router.usage import CostBasis

PUBLISHED_WITHIN_S = 60.0


@dataclass(slots=True)
class Closed:
    """All that the proof has to tell.

    `unreplayed` are calls that only the log told of, when half of it was replayed; `sums` has by hand what the other
    `places` agree with.
    """

    verdict: Verdict
    told: Counter[str]
    scripts: Counter[str]
    replayed: Counter[str]
    unreplayed: list[Bill]
    polls: Polls
    sums: Mapping[str, Decimal]
    places: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def closed(members: Members, seen: Polls) -> Closed:
    members.end()
    time.sleep(door.LATER_S + 0.5)  # what is still on its way to the table arrives
    members.door.stop()
    # The judge's clock runs ahead of the replay's, so the walk is where a record that is still in time would be put.
    time.sleep(INSERT_WITHIN_S)
    client = ledgers.patient_client(members.emulator.url)
    opened = ledgers.opened(client, table=LEDGER_TABLE)
    of_today = ledgers.opened(client, table=LEDGER_TABLE, ahead=timedelta()).ledger
    logged = logs.lines(path for router in members.routers for path in router.logs())
    # An operator may come before the orphans are given up, or after: half of the lines are for each.
    replayed = logs.replay(logged[::2], of_today, clock=ledgers.clock())
    ledgers.settle_orphans(opened)
    bills = list(tariff.read(members.bills))
    unopened = frozenset(logs.unopened(logged))
    unreplayed = judge.judged(Evidence(bills, opened.records(), unopened)).in_the_log
    replayed += logs.replay(logged, of_today, clock=ledgers.clock())
    ledgers.settle_orphans(opened)
    told = list(_told(members))
    verdict = judge.judged(Evidence(bills, opened.records(), answers=[a for a in map(_answer, told) if a]))
    found = Closed(
        verdict,
        Counter(str(each["told"]) for each in told),
        Counter(bill.script for bill in bills),
        replayed,
        unreplayed,
        seen,
        {},
    )
    found.problems += [*verdict.problems, *seen.problems]
    _compare(found, opened, members)
    return found


def _compare(found: Closed, opened: Ledgers, members: Members) -> None:
    walked = sums.by_hand(opened.items())
    found.sums = walked.whole
    for place, known in (*sums.of_rollups(opened.checkpoints), *_published(members)):
        found.places.append(place)
        found.problems += sums.differences(place, known, walked.whole)
    found.places.append("the rollups by candidate")
    found.problems += sums.of_candidates(opened.checkpoints, walked)
    estimated = sum((each.usd for each in (*found.verdict.estimates, *found.verdict.unsettled)), Decimal(0))
    found.problems += _provider_differs(found, walked.whole["cost_usd"], estimated)


def _provider_differs(found: Closed, cost_usd: Decimal, estimated_usd: Decimal) -> Iterator[str]:
    """What was reported costs what was billed; the rest of the total is estimates, each of them named."""
    of_bills = found.verdict.exact_usd + estimated_usd + found.verdict.unbilled_usd
    if of_bills != cost_usd:
        yield f"the providers' count and the estimates make {of_bills:f}, the ledger has {cost_usd:f}"


def _published(members: Members) -> Iterator[tuple[str, Mapping[str, Decimal]]]:
    """What is told outside, by processes that know nothing of what was."""
    s3 = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name=REGION).client(
        "s3", endpoint_url=members.emulator.url, config=Config(proxies={})
    )
    s3.delete_object(Bucket=PAGE_BUCKET, Key="stats.json")
    members.door.start("--calm")
    members.start()

    def is_published() -> bool:
        return any(each["Key"] == "stats.json" for each in s3.list_objects_v2(Bucket=PAGE_BUCKET).get("Contents", []))

    processes.until(is_published, limit_s=PUBLISHED_WITHIN_S)
    body = s3.get_object(Bucket=PAGE_BUCKET, Key="stats.json")["Body"].read()
    yield "stats.json", sums.of_document(simplejson.loads(body, use_decimal=True))
    for router in members.routers:
        yield f"GET /stats of {router.url}", sums.of_document(polls.stats(router.url))


def _told(members: Members) -> Iterator[Mapping[str, Any]]:
    for path in sorted(members.folder.glob("*.told")):
        yield from map(simplejson.loads, path.read_text().splitlines())


def _answer(told: Mapping[str, Any]) -> Answer | None:
    if told["told"] != "answer":
        return None
    return Answer(told[judge.NONCE], Decimal(told["usd"]), CostBasis(told["basis"]))
