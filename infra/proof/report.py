"""The proof in words and numbers, as it is printed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from infra.proof import judge
from infra.proof.closing import Closed
from infra.proof.judge import Estimate

PROBLEMS_SHOWN = 20
NAMED = 5


def lines(found: Closed, *, requests: int, seed: int, kills: Mapping[str, int]) -> Iterator[str]:
    yield f"\n{requests} requests, SEED={seed}; killed: " + ", ".join(f"{n} {what}" for what, n in kills.items())
    yield from _section("What the providers billed", found.scripts)
    yield from _section("What the callers met", found.told)
    yield from _section("Call by call", found.verdict.counts)
    yield from _section("Put back from the log", found.replayed)
    yield from _estimates(found)
    yield from _apart(found)
    yield from _sums(found)
    yield f"\nLooks at the totals while everything moved: {_looks(found)}"
    yield from (f"OFF  {problem}" for problem in found.problems[:PROBLEMS_SHOWN])


def _looks(found: Closed) -> str:
    polls = found.polls
    fell = f"{len(polls.problems)} times one fell or was ahead of what was asked or billed"
    return f"{polls.answered} by GET /stats ({polls.refused} times it failed), {polls.looked} past the routers; {fell}"


def _section(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    yield f"\n{title}"
    yield from (f"  {number:7} {what}" for what, number in sorted(counts.items(), key=lambda each: -each[1]) if number)


def _estimates(found: Closed) -> Iterator[str]:
    yield "\nEstimates, as multiples of what was billed: least, median, most; in all"
    for known in (found.verdict.estimates, found.verdict.unsettled):
        for why, ratios in judge.ratios(known):
            low, middle, high = ratios[0], ratios[len(ratios) // 2], ratios[-1]
            total = _ratio([each for each in known if each.why == why])
            yield f"  {len(ratios):7} {why:<22} {low:8.2f} {middle:8.2f} {high:8.2f} {total:8.2f}"


def _ratio(estimates: Sequence[Estimate]) -> Decimal:
    billed = sum((each.billed_usd for each in estimates), Decimal(0))
    return sum((each.usd for each in estimates), Decimal(0)) / billed


def _apart(found: Closed) -> Iterator[str]:
    verdict = found.verdict
    yield f"\nUnsettled, and never billed: {_named(verdict.unbilled)}"
    calls = [f"{bill.nonce} {bill.candidate}" for bill in found.unreplayed]
    yield f"Billed, and in the log alone until all of it was replayed: {_named(calls)}"


def _named(names: Sequence[str]) -> str:
    more = "" if len(names) <= NAMED else ", ..."
    return f"{len(names)}" + (f" ({', '.join(sorted(names)[:NAMED])}{more})" if names else "")


def _sums(found: Closed) -> Iterator[str]:
    yield "\nThe journal, walked by hand"
    yield from (f"  {name:<22} {found.sums.get(name, 0):f}" for name in found.sums)
    yield "compared as Decimal, name by name, with: " + ", ".join(found.places)
