"""BM25: who has the words of the question comes first, the rarer the word the more so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_router import relevance
from llm_router.relevance import scores

PASSAGES = ["The carp is a stately fish.", "A pike bites in winter.", "The river bends there.", "Nothing else is told."]


def best(question, passages):
    found = scores(question, passages)
    return passages[found.index(max(found))]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What kind of fish is the carp?", PASSAGES[0]),
        ("When do pikes bite?", PASSAGES[1]),
        ("Where does it bend?", PASSAGES[2]),
    ],
)
def test_the_passage_that_is_asked_about_is_the_best(question, expected):
    assert best(question, PASSAGES) == expected


def test_a_rare_word_says_more_than_a_common_one():
    passages = ["order order order shipped", *["an order came"] * 10, "an order was lost", *["an order came"] * 10]
    assert best("Which order was lost?", passages) == "an order was lost"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("deployment", "deployed"),
        ("invoices", "invoice"),
        ("timeouts", "requestTimeout"),
        ("retry count", "RETRY_COUNT = 3"),
        ("Größe", "größen"),
        ("東京の天気", "明日の東京は雨です"),
        ("404", "status=404"),
    ],
)
def test_words_meet_in_other_forms(asked, told):
    assert scores(asked, [told, "quite another thing"])[0] > 0


@pytest.mark.parametrize("question", ["", "?", "What is it about, and why was that so?", "🙂"])
def test_a_question_that_names_nothing_prefers_nothing(question):
    assert set(scores(question, PASSAGES)) == {0.0}


def test_what_stands_beside_the_words_has_a_part_of_their_worth():
    before, there, after, away = scores("carp", ["First.", "The carp.", "Then this.", "And that."])
    assert there > before == after > away == 0


@given(st.text(max_size=200), st.lists(st.text(max_size=100), max_size=10))
def test_any_text_has_a_score_for_each_passage(question, passages):
    found = scores(question, passages)
    assert len(found) == len(passages)
    assert all(score >= 0 for score in found)


@given(st.text())
def test_words_that_tell_nothing_are_kept_in_the_form_in_which_they_are_met(text):
    assert all(word for word in relevance.terms(text))
    assert set(relevance.terms("according summarise described")) & relevance.EMPTY
