"""The cases on which trimming is measured: fair, half held out, and each with one passage that answers it."""

from __future__ import annotations

import pytest

from infra.bench.trimming import corpus

CASES = corpus.cases()


def named(case):
    return f"{case.kind}: {case.question}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_is_needed_is_there_once(case):
    text = "\n\n".join(message["content"] for message in case.history)
    assert corpus.has(text, case.needed)
    assert text.count(case.needed) <= 1


@pytest.mark.parametrize("case", CASES, ids=named)
def test_the_question_gives_away_two_words_of_it_at_most(case):
    assert len(case.shared_words) <= corpus.SHARED_AT_MOST


def test_half_of_each_kind_is_held_out():
    for kind in {case.kind for case in CASES}:
        held_out = [case.is_held_out for case in CASES if case.kind == kind]
        assert len(held_out) >= 12
        assert sum(held_out) * 2 == len(held_out)


def test_no_question_is_asked_twice():
    assert len({case.question for case in CASES}) == len(CASES)
