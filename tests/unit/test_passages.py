"""Texts cut into passages: nothing is lost, and what must stay whole does, whatever the text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import passages
from llm_router.passages import LONG_PARAGRAPH, PIECE, Kind

LINES = st.sampled_from(
    [
        "Some prose, with a sentence. And another one!\n",
        "\n",
        "   \n",
        "# A heading\n",
        "```\n",
        "````python\n",
        "~~~\n",
        "{\n",
        '  "name": "value",\n',
        "}\n",
        "[1, 2, 3]\n",
        "| a | b |\n",
        "|---|---|\n",
        "payload = {\n",
        'a "quoted { bracket" here\n',
        "a line without its end",
        "word " * 300,
        "x" * 3000,
        "\r\n",
        "\x0c",
        "\u2028",
    ]
)
DOCUMENTS = st.lists(LINES | st.text(max_size=30), max_size=30).map("".join)


def kinds(text):
    return [(found.kind, found.text) for found in passages.passages(text)]


@given(DOCUMENTS)
def test_put_together_they_are_the_text(text):
    assert "".join(found.text for found in passages.passages(text)) == text
    assert "".join(found.text for found in passages.blocks(text)) == text
    assert all(found.text for found in passages.passages(text))


@given(DOCUMENTS, st.text(alphabet="ab \n{}|#", max_size=200))
def test_a_fence_stays_whole_wherever_it_stands(before, inside):
    fence = f"`````\n{inside}\n`````\n"
    text = f"{before}\n\n{fence}\nThe end."
    if not any(found.kind is Kind.OPEN_FENCE for found in passages.blocks(before)):
        assert any(fence in found for _, found in kinds(text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)


@pytest.mark.parametrize("indent", [None, 2])
@given(
    value=st.dictionaries(st.text(max_size=8), JSON, min_size=1, max_size=4) | st.lists(JSON, min_size=1, max_size=4)
)
def test_json_stays_whole_between_other_text(value, indent):
    written = json.dumps(value, indent=indent, ensure_ascii=True)
    assert (Kind.JSON, f"{written}\n\n") in kinds(f"Look at this:\n\n{written}\n\nThat was it.")
    assert any(written in found for _, found in kinds(f"The answer is:\n{written}\nand no more."))


def test_json_that_begins_at_the_end_of_a_line_stays_whole():
    written = json.dumps({str(number): "x" * 50 for number in range(60)}, indent=2)
    assert (Kind.JSON, f"payload = {written}\n") in kinds(f"payload = {written}\n")


def test_a_table_stays_whole_with_its_heading_row():
    table = "| name | use |\n|---|:--:|\n" + "| a | b |\n" * 100
    assert kinds(f"Before.\n{table}\nAfter.") == [
        (Kind.PROSE, "Before.\n"),
        (Kind.TABLE, f"{table}\n"),
        (Kind.PROSE, "After."),
    ]


def test_lines_with_bars_are_no_table_without_its_rule():
    log = "2026-11-23 | INFO | all is well\n" * 100
    assert {kind for kind, _ in kinds(log)} == {Kind.PROSE}
    assert len(kinds(log)) > 5


def test_a_long_paragraph_is_cut_after_sentences():
    paragraph = "This is a sentence of some length. " * 100
    found = [text for _, text in kinds(paragraph)]
    assert len(found) > 3
    assert all(text.endswith(". ") and len(text) <= PIECE for text in found)


def test_a_short_paragraph_is_one_passage():
    assert len(kinds("One. Two. Three.\nFour.\n")) == 1


def test_a_heading_belongs_to_what_it_stands_above():
    assert kinds("# Fish\n\nCarps are shy.\n\n# Birds\nSwifts are not.") == [
        (Kind.PROSE, "# Fish\n\nCarps are shy.\n\n"),
        (Kind.PROSE, "# Birds\nSwifts are not."),
    ]


def test_a_fence_that_is_never_closed_reaches_to_the_end_and_may_be_cut():
    found = passages.passages("Before.\n\n```\n" + "code();\n" * 500)
    assert {each.kind for each in found[1:]} == {Kind.OPEN_FENCE}
    assert max(len(each.text) for each in found) <= LONG_PARAGRAPH


@pytest.mark.parametrize(
    "line", ["{\n", "[\n", "}\n", "```\n", "```x\n", "~~~~\n````\n", '{"\n', "| a |\n", "#\n", "\n", "a", " ", "."]
)
def test_a_hundred_thousand_times_the_same_is_cut_like_any_text(line):
    """Where a search began anew for each line, none of these would end."""
    text = line * 100_000
    assert "".join(found.text for found in passages.passages(text)) == text


def test_a_text_of_very_many_lines_may_be_cut_anywhere_between_them_and_nothing_in_it_is_changed():
    text = "```\na  \n\n\n\n```\n" * (passages.LINES_AT_MOST // 5)
    found = passages.passages(text)
    assert "".join(passage.text for passage in found) == text
    assert {passage.kind for passage in found} == {Kind.OPEN_FENCE}
    assert len(found) > len(text) // passages.LONG_PARAGRAPH
