"""`safe`: what is taken out means nothing, fences are untouched, and cleaning twice is cleaning once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import passages
from llm_router.cleaning import LONG, REPEATED, cleaned
from llm_router.passages import Kind
from unit.test_passages import DOCUMENTS

LONG_PARAGRAPH = "This very long paragraph is about one thing and goes on about it. " * 5


def meaning(text):
    """Its words in their order; a paragraph that was there before counts once."""
    seen, words = set(), []
    for paragraph in re.split(r"\n\s*\n", text):
        body = "\n".join(line.strip() for line in paragraph.strip().split("\n"))
        if body not in seen:
            words += body.replace(REPEATED, "").split()
        seen.add(body)
    return words


def fences(text):
    return [found.text for found in passages.blocks(text) if found.kind in (Kind.FENCE, Kind.OPEN_FENCE)]


@given(DOCUMENTS)
def test_cleaning_twice_is_cleaning_once(text):
    assert cleaned(cleaned(text)) == cleaned(text)


@given(DOCUMENTS)
def test_no_word_is_lost_where_nothing_is_repeated(text):
    if REPEATED not in cleaned(text):
        assert cleaned(text).split() == text.split()


@given(st.lists(st.sampled_from([LONG_PARAGRAPH, LONG_PARAGRAPH + "More.", "Short."]), max_size=8))
def test_what_is_repeated_is_there_once_and_referred_to_after(paragraphs):
    text = "\n\n".join(paragraphs)
    assert meaning(cleaned(text)) == meaning(text)
    long = [paragraph for paragraph in paragraphs if len(paragraph) >= LONG]
    assert cleaned(text).count(REPEATED) == len(long) - len(set(long))


@given(DOCUMENTS)
def test_code_fences_are_untouched(text):
    assert fences(cleaned(text)) == fences(text)


@given(st.text())
def test_it_never_makes_a_text_longer_than_its_marks(text):
    assert len(cleaned(text)) <= len(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  \nb\t\n", "a\nb\n"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\n \n\t\n\nb", "a\n\nb"),
        ("  indented stays\n", "  indented stays\n"),
        ("a  b", "a  b"),
        ("```\na  \n\n\n\nb\n```\n", "```\na  \n\n\n\nb\n```\n"),
    ],
)
def test_what_is_taken_out(text, expected):
    assert cleaned(text) == expected


@given(DOCUMENTS)
def test_the_ends_stay_to_the_letter_where_they_must(text):
    blocks = [found.text for found in passages.blocks(text)]
    if len(blocks) > 1:
        found = cleaned(text, but_ends=True)
        assert found.startswith(blocks[0])
        assert found.endswith(blocks[-1])
