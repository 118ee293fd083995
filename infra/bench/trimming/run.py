"""Measures what trimming keeps of what is needed, beside ways that do not look at the text; `make bench-trim`.

Prints, for each way and kind of text, tokens saved and the share of needed passages kept on the half of the questions
that nothing was tuned on; then the time of trimming, and how it grows. See docs/trimming.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_lambda_powertools import Logger

from infra.bench.trimming import corpus
from infra.bench.trimming.corpus import Case
from llm_router import chat_texts, optimization
from llm_router.prompt_sizes import message_tokens
from llm_router.prompts import Json
from llm_router.tokens import Tokenizer

VOCABULARY_DIR = Path(__file__).resolve().parents[3] / "layers" / "vocabulary" / "vocabulary"
HALF = 0.5
FURTHER = (0.25, 0.1)
"""Shares of the tokens to which prompts are trimmed, too."""

TIMES = (1, 2, 4, 8)
TIMED_BYTES = 100_000
TIMED = 5

Count = Callable[[str], int]
Way = Callable[[Case, int, Count], Sequence[Json]]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one way over some cases."""

    saved: float
    kept: int
    of: int

    @property
    def line(self) -> str:
        return f"{self.saved:6.0%}  {self.kept:>3} of {self.of:<3} {self.kept / self.of:5.0%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuning", action="store_true", help="the other half of the questions")
    arguments = parser.parse_args()
    count = _remembering(Tokenizer(VOCABULARY_DIR, logger=Logger(service="bench")).count)
    chosen = [case for case in corpus.cases() if case.is_held_out is not arguments.tuning]
    print(f"Trimming to half the tokens, {len(chosen)} questions: tokens saved, needed passages kept")
    for name, way in WAYS.items():
        print(f" {name}")
        for kind in dict.fromkeys(case.kind for case in chosen):
            cases = [case for case in chosen if case.kind == kind]
            print(f"  {kind:<20} {_measured(cases, way, count).line}", flush=True)
        print(f"  {'all':<20} {_measured(chosen, way, count).line}", flush=True)
    for share in FURTHER:
        print(
            f" trim, to {share:.0%} of the tokens\n  {'all':<20} {_measured(chosen, _trim, count, share).line}",
            flush=True,
        )
    _print_times()
    return 0


def _measured(cases: Sequence[Case], way: Way, count: Count, share: float = HALF) -> Result:
    before = after = kept = 0
    for case in cases:
        whole = _tokens(case.messages, count)
        found = way(case, int(whole * share), count)
        before, after = before + whole, after + _tokens(found, count)
        kept += corpus.has("\n\n".join(text for message in found for text in chat_texts.texts(message)), case.needed)
    return Result(1 - after / before, kept, len(cases))


def _trim(case: Case, limit: int, count: Count) -> Sequence[Json]:
    found = optimization.trim(case.messages, limit=limit, count=count)
    if found is None:
        sys.exit(f"{case.kind}: nothing of the prompt may be cut so far.")
    return found.messages


def _safe(case: Case, _: int, __: Count) -> Sequence[Json]:
    return optimization.safe(case.messages)


def _cut_end(case: Case, limit: int, count: Count) -> Sequence[Json]:
    """The beginning of all that comes before the question."""
    return _cut(case, limit, count, lambda text, characters: text[:characters])


def _cut_middle(case: Case, limit: int, count: Count) -> Sequence[Json]:
    return _cut(case, limit, count, _without_middle)


def _cut(case: Case, limit: int, count: Count, shorten: Callable[[str, int], str]) -> Sequence[Json]:
    """As much of it, character by character, as the limit holds beside the question."""
    text = "\n\n".join(message["content"] for message in case.history)
    asked = {"role": "user", "content": case.question}
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _tokens([{"role": "user", "content": shorten(text, middle)}, asked], count) <= limit:
            low = middle
        else:
            high = middle - 1
    return [{"role": "user", "content": shorten(text, low)}, asked]


def _without_middle(text: str, characters: int) -> str:
    end = characters // 2
    return text[: characters - end] + (text[-end:] if end else "")


WAYS: dict[str, Way] = {
    "safe": _safe,
    "trim": _trim,
    "cutting the end": _cut_end,
    "cutting the middle": _cut_middle,
}


def _print_times() -> None:
    """Of a prompt that is made of the book, the log and the code, once and several times as long, each time another."""
    tokenizer = Tokenizer(VOCABULARY_DIR, logger=Logger(service="bench"))
    tokenizer.count("loads the vocabulary")
    whole = "\n\n".join({case.history[0]["content"] for case in corpus.cases() if case.is_one_message})
    unit = (whole * 2)[:TIMED_BYTES]
    print(f"\nTime of trimming {TIMED_BYTES // 1000} kB to half the tokens, counting included, median of {TIMED}")
    for times in TIMES:
        text = "\n\n".join(unit.replace("\n", f"\n{part} ") for part in range(times))
        prompt = [{"role": "user", "content": f"{text}\n\nHow is a carp caught?"}]
        took_ms = statistics.median(_timed_ms(prompt, tokenizer) for _ in range(TIMED))
        print(f"  {times} x 100 kB {took_ms:8.0f} ms {took_ms / times:8.0f} ms per 100 kB", flush=True)


def _timed_ms(prompt: Sequence[Json], tokenizer: Tokenizer) -> float:
    started_s = time.process_time()
    count = _remembering(tokenizer.count)
    optimization.trim(prompt, limit=_tokens(prompt, count) // 2, count=count)
    return (time.process_time() - started_s) * 1000


def _tokens(messages: Sequence[Json], count: Count) -> int:
    return sum(message_tokens(message, count) for message in messages)


def _remembering(count: Count) -> Count:
    known: dict[str, int] = {}

    def remembered(text: str) -> int:
        found = known.get(text)
        if found is None:
            found = known[text] = count(text)
        return found

    return remembered


if __name__ == "__main__":
    sys.exit(main())
