"""Old turns that a question is about: within their share of the room, the best ones, and none by chance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_router import recall

TURNS = st.lists(
    st.tuples(st.lists(st.sampled_from(["kiln", "pond", "saw", "bench", "bees"]), max_size=5), st.integers(1, 50)),
    max_size=12,
)


GAP = 4


def recalled(question, said, *, tokens, room):
    return recall.recalled(question, said, tokens=tokens, room=room, gap=GAP)


@given(TURNS, st.integers(-10, 400))
def test_they_have_a_word_of_the_question_and_take_no_more_than_their_share(turns, room):
    said = [" ".join(words) for words, _ in turns]
    tokens = [size for _, size in turns]
    found = recalled("How hot is the kiln?", said, tokens=tokens, room=room)
    assert all("kiln" in said[at] for at in found)
    more_gaps = sum(at - 1 not in found for at in found)
    assert sum(tokens[at] for at in found) + GAP * more_gaps <= max(0, room * recall.ROOM_AT_MOST)
    assert all(tokens[at] > GAP for at in found)


@given(TURNS, st.integers(0, 400))
def test_the_latest_keep_the_rest_of_the_room(turns, room):
    tokens = [size for _, size in turns]
    found = recalled("kiln", [" ".join(words) for words, _ in turns], tokens=tokens, room=room)
    assert all(sum(tokens[at:]) > room * (1 - recall.ROOM_AT_MOST) for at in found)


@given(TURNS.filter(bool), st.integers(0, 400))
def test_nothing_takes_the_room_of_the_latest(turns, room):
    tokens = [size for _, size in turns]
    found = recalled("kiln", [" ".join(words) for words, _ in turns], tokens=tokens, room=room)
    assert len(turns) - 1 not in found or tokens[-1] > room
    assert sum(tokens[at] for at in found) + tokens[-1] <= room or not found


def test_the_one_that_says_most_comes_first():
    said = ["the kiln", "the bees", "the kiln is hot", "a bench", "a pond", "a saw"]
    assert recalled("Is the kiln hot?", said, tokens=[20] * 6, room=100) == {2}


def test_a_word_in_common_by_chance_is_not_enough():
    """Where another turn has far more of the question, though that one stays by its age."""
    said = ["the garden pond", "a saw", "a bench", "the cone of the kiln in the garden"]
    assert recalled("Which cone has the kiln in the garden?", said, tokens=[10] * 4, room=40) == frozenset()


def test_a_question_without_a_word_of_its_own_recalls_nothing():
    assert recalled("And now?", ["kiln", "pond", "saw"], tokens=[10] * 3, room=20) == frozenset()
