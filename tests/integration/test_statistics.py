"""The answers to every question about the figures, held against sums made by hand from the records."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from integration.records import CHEAP, STEADY, attempt, pending, settled
from llm_router import contributions, figures, statistics
from llm_router.errors import TooManyGroupsError
from llm_router.ledger import SAFE_BEHIND_S
from llm_router.spans import DAY, HOUR, Span
from llm_router.statistics import EVERYTHING, Grouping, Question
from llm_router.usage import Outcome

LONG_AGO_S = SAFE_BEHIND_S + 60
OPERATORS_OWN = (Grouping.ROUTE, Grouping.KEY, Grouping.TAG)
FORMATS = {Grouping.HOUR: "%Y-%m-%dT%H", Grouping.DAY: "%Y-%m-%d"}


@pytest.fixture
def history(books):
    """Ended requests of five days, the last of them not aggregated yet; and one under way."""
    found = []
    start = books.moving.at
    for number in range(40):
        books.moving.at = start + number * timedelta(hours=3, minutes=7)
        record = pending(books)
        record = books.ledger.insert(
            replace(
                record,
                route=["auto", "fast", "mini"][number % 3],
                key_id=["abc", "xyz"][number % 2],
                metadata={"team": ["search", "ads"][number % 4 // 2]} if number % 5 else {},
                memory_mb=512,
            )
        )
        failed = [attempt(CHEAP, Outcome.OVERLOADED)] if number % 7 == 0 else []
        last = attempt(
            [CHEAP, STEADY, "openai/gpt-4o"][number % 3],
            Outcome.TIMEOUT if number % 11 == 0 else Outcome.SUCCESS,
            usd=f"0.00{number + 1:03}",
        )
        found.append(books.ledger.settle(settled(record, *failed, last, at=books.moving.at)))
        if number == 35:
            books.moving.move(LONG_AGO_S)
            books.aggregator.run(limit_s=100)
    books.ledger.insert(pending(books))
    return found


def groups_of(record, by):
    if by in FORMATS:
        return [f"{record.opened_at:{FORMATS[by]}}"]
    if by is Grouping.TAG:
        return contributions.tags(record.metadata)
    return [record.route if by is Grouping.ROUTE else record.key_id]


def by_hand(records, by):
    """Requests and cost of each group of requests."""
    requests, cost = Counter(), Counter()
    for record in records:
        for group in groups_of(record, by):
            requests[group] += 1
            cost[group] += record.cost.usd
    return {group: (requests[group], cost[group]) for group in requests}


def attempts_by_hand(records, by):
    """Attempts and cost of each group of candidates."""
    tried, cost = Counter(), Counter()
    for one in (one for record in records for one in record.attempts):
        group = one.provider if by is Grouping.PROVIDER else one.model
        tried[group] += 1
        cost[group] += one.cost.usd
    return {group: (tried[group], cost[group]) for group in tried}


def answered(found, counted):
    return {name: (counters[counted], counters.get("cost_usd", 0)) for name, counters in found.groups.items()}


def spans_of(books, history):
    first, last = history[0].opened_at.replace(minute=0), books.moving.at.replace(minute=0) + HOUR
    yield None
    yield Span(first, last)
    yield Span(first + 5 * HOUR, last - 2 * HOUR)
    yield Span(first + 26 * HOUR, first + 30 * HOUR)
    yield Span(first + DAY, first + 3 * DAY)
    yield Span(last + DAY, last + 2 * DAY)


@pytest.mark.parametrize("owner", ["", "abc"])
def test_every_question_is_answered_as_the_records_say(books, history, owner):
    for span in spans_of(books, history):
        meant = [one for one in history if owner in ("", one.key_id) and (span is None or span.holds(one.opened_at))]
        for by in (None, *Grouping):
            if (span is None and by in FORMATS) or (owner and by in OPERATORS_OWN):
                continue
            found = books.statistics.figures(Question(span, by, owner))
            assert found.total.get("requests", 0) == len(meant)
            assert found.total.get("cost_usd", 0) == sum((one.cost.usd for one in meant), Decimal(0))
            if by in (Grouping.PROVIDER, Grouping.MODEL):
                assert answered(found, "attempts") == attempts_by_hand(meant, by)
            elif by:
                assert answered(found, "requests") == by_hand(meant, by)
            else:
                assert found.groups == {}


def test_what_is_under_way_is_told_of_its_time_and_its_key(books, history):
    del history
    now = books.moving.at.replace(minute=0)
    assert books.statistics.figures(EVERYTHING).pending == 1
    assert books.statistics.figures(Question(Span(now, now + HOUR))).pending == 1
    assert books.statistics.figures(Question(Span(now - HOUR, now))).pending == 0
    assert books.statistics.figures(Question(owner="abc")).pending == 0


def test_what_is_published_agrees_with_what_is_asked(books, history):
    document = figures.published(books.statistics.published(), recent=[], stage="prod", notices=[])
    asked = figures.document(books.statistics.figures(EVERYTHING))
    assert {name: document[name] for name in asked} == asked
    for name in ("routes", "keys"):
        assert sum(row["cost"] for row in document[name]) == asked["totalCost"]
    assert document["infrastructure"]["requests"] == len(history)
    assert [row["cost"] for row in document["routes"]] == sorted(
        (row["cost"] for row in document["routes"]), reverse=True
    )


def test_groups_without_end_are_refused_and_not_read_to_their_end(books, history, monkeypatch):
    del history
    monkeypatch.setattr(statistics, "SUMS_AT_MOST", 2)
    with pytest.raises(TooManyGroupsError):
        books.statistics.figures(Question(group_by=Grouping.ROUTE))
