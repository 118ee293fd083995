"""`trim` and `safe` over whole chats: what stays to the letter, what goes first, and that it fits and is no shorter."""

from __future__ import annotations

import json
import random
from itertools import groupby, islice, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_router import chat_texts, optimization, passages, recall, relevance
from llm_router.chat_texts import MARK
from llm_router.cleaning import REPEATED
from llm_router.optimization import EARLIER_GONE, OVERSIZED_TOKENS
from llm_router.outlines import Fate
from llm_router.passages import Kind
from llm_router.prompt_sizes import message_tokens
from unit.test_passages import DOCUMENTS
from unit.test_tokens import TOKENIZER

WORDS = st.text(alphabet="abcdefgh ,.\n", min_size=1, max_size=60)
SENTENCES = [
    "The carp is a shy fish that lives for long. ",
    "A router sends each request to whoever is able. ",
    "It rained all day in the valley, and nobody came. ",
    "Numbers like 3,141 or 2026-11-23 are counted in pieces. ",
    "漢字のある文。",
    "\n\n",
    "\n",
    "\n| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "\n```python\nprint('whole')\n```\n",
    '\n{"json": [1, 2, 3], "is": "whole"}\n\n',
    "\ud800 half a character ",
]


def long_text(seed, length):
    return "".join(random.Random(seed).choices(SENTENCES, k=length))  # noqa: S311  # any will do


LONG = st.builds(long_text, st.integers(0, 2**32), st.integers(40, 120))
"""Drawn as a whole: sentence by sentence would take most of the time."""

CONTENT = WORDS | LONG
PARTS = st.lists(
    st.one_of(
        CONTENT.map(lambda text: {"type": "text", "text": text}),
        st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    ),
    min_size=1,
    max_size=3,
)


def said(role, content):
    return st.builds(lambda text: [{"role": role, "content": text}], content)


@st.composite
def called(draw):
    name = draw(st.uuids()).hex
    arguments = json.dumps({"query": draw(WORDS)})
    call = {"id": name, "type": "function", "function": {"name": "look", "arguments": arguments}}
    return [
        {"role": "assistant", "content": draw(st.none() | WORDS), "tool_calls": [call]},
        {"role": "tool", "tool_call_id": name, "content": draw(CONTENT)},
    ]


TURN = st.tuples(said("user", CONTENT | PARTS), st.lists(called(), max_size=2), said("assistant", CONTENT))


def flat(turn):
    asked, calls, answered = turn
    return [*asked, *(message for call in calls for message in call), *answered]


def asked_after(turns, question):
    return [*(message for turn in turns for message in flat(turn)), {"role": "user", "content": question}]


@st.composite
def chats(draw):
    """A system message or none, turns, the last user message, and what was done for it so far."""
    first = draw(st.lists(said("system", CONTENT), max_size=1))
    past = draw(st.lists(TURN, max_size=4))
    asked = draw(said("user", CONTENT | PARTS))
    steps = draw(st.lists(called(), max_size=3))
    return [m for part in (*first, *map(flat, past), asked, *steps) for m in part]


def tokens(messages):
    return sum(message_tokens(message, TOKENIZER.count) for message in messages)


def trim(messages, limit):
    return optimization.trim(messages, limit=limit, count=TOKENIZER.count)


def last_user(messages):
    return next(message for message in reversed(messages) if message["role"] == "user")


SHORT = {"role": "assistant", "content": "Yes."}
SHARES = st.floats(0.05, 1.2)
STAND_INS_TOKENS = tokens([{"role": "user", "content": EARLIER_GONE}, {"role": "assistant", "content": MARK}])


@settings(max_examples=60)
@given(chats(), SHARES)
def test_it_fits_and_what_must_stay_does(messages, share):
    limit = int(tokens(messages) * share)
    found = trim(messages, limit)
    if found is None:
        return
    assert found.tokens == tokens(found.messages) <= limit
    assert [m for m in found.messages if m["role"] == "system"] == [m for m in messages if m["role"] == "system"]
    roles = [found.messages[at]["role"] for at in range(len(found.messages)) if found.sources[at] in found.sources]
    assert len(found.fates) == len(messages)
    assert len(found.sources) == len(roles)
    assert [m["role"] for m in found.messages] == [messages[at]["role"] for at in found.sources]


@settings(max_examples=60)
@given(chats(), SHARES)
def test_the_last_user_message_is_cut_only_when_all_else_is_gone(messages, share):
    found = trim(messages, int(tokens(messages) * share))
    if found is None:
        return
    if last_user(found.messages) != last_user(messages):
        place = max(at for at, message in enumerate(messages) if message["role"] == "user")
        assert all(found.fates[at] is Fate.GONE for at in range(place) if messages[at]["role"] != "system")
        is_all_there_is = all(message["role"] == "system" for message in messages if message is not messages[place])
        assert found.fates[place] is Fate.CUT or (is_all_there_is and found.fates[place] is Fate.CLEANED)
        before, after = ("\n".join(chat_texts.texts(last_user(m))) for m in (messages, found.messages))
        assert after[:20] == before[:20] or MARK in after[:24]


@settings(max_examples=60)
@given(chats(), SHARES)
def test_trimming_twice_is_trimming_once(messages, share):
    limit = int(tokens(messages) * share)
    found = trim(messages, limit)
    assume(found is not None)
    assert trim(found.messages, limit).messages == found.messages


@settings(max_examples=60)
@given(chats(), SHARES)
def test_the_oldest_steps_after_the_question_go_first(messages, share):
    found = trim(messages, int(tokens(messages) * share))
    assume(found is not None)
    asked = max(at for at, message in enumerate(messages) if message["role"] == "user")
    gone = [found.fates[at] is Fate.GONE for at in range(asked + 1, len(messages))]
    assert all(before or not after for before, after in pairwise(gone))


@settings(max_examples=60)
@given(st.lists(TURN, min_size=1, max_size=8), WORDS, SHARES)
def test_the_oldest_turns_go_first_but_for_what_the_question_is_about(turns, question, share):
    """Which has a word of it, and no more than its share of the room."""
    messages = asked_after(turns, question)
    limit = int(tokens(messages) * share)
    found = trim(messages, limit)
    assume(found is not None)
    sent, places = dict(zip(found.sources, found.messages, strict=True)), iter(range(len(messages)))
    of_turns = [tuple(islice(places, len(flat(turn)))) for turn in turns]
    kept = [all(found.fates[at] is not Fate.GONE for at in of) for of in of_turns]
    begins = max((at for at, stays in enumerate(kept) if not stays), default=0)
    recalled = [[sent[at] for at in of] for of, stays in zip(of_turns[:begins], kept, strict=False) if stays]
    assert sum(map(tokens, recalled)) <= limit * recall.ROOM_AT_MOST
    asked = set(relevance.terms(question)) - relevance.EMPTY
    for turn in recalled:
        assert asked & {term for m in turn for text in chat_texts.texts(m) for term in relevance.terms(text)}


@settings(max_examples=60)
@given(st.lists(TURN, min_size=1, max_size=8), WORDS, SHARES)
def test_the_latest_turn_never_goes_where_it_fits(turns, question, share):
    """A question may be about it without naming it: "and the second one?"."""
    messages = asked_after(turns, question)
    limit = int(tokens(messages) * share)
    assume(tokens([*flat(turns[-1]), messages[-1]]) + STAND_INS_TOKENS <= limit)
    found = trim(messages, limit)
    assert all(fate is not Fate.GONE for fate in found.fates[-1 - len(flat(turns[-1])) :])


@settings(max_examples=60)
@given(chats(), SHARES)
def test_calls_and_their_results_stay_or_go_together(messages, share):
    found = trim(messages, int(tokens(messages) * share))
    assume(found is not None)
    calls = [call["id"] for m in found.messages for call in m.get("tool_calls", ())]
    results = [m["tool_call_id"] for m in found.messages if m["role"] == "tool"]
    assert calls == results
    before = {call["id"]: call for m in messages for call in m.get("tool_calls", ())}
    assert all(before[call["id"]] == call for m in found.messages for call in m.get("tool_calls", ()))


@settings(max_examples=60)
@given(chats(), SHARES)
def test_what_stays_whole_stays_or_goes(messages, share):
    """No fence, table or JSON value is there in part."""
    found = trim(messages, int(tokens(messages) * share))
    assume(found is not None)

    def whole(texts):
        kinds = (Kind.FENCE, Kind.JSON, Kind.TABLE)
        found = {each.text.strip() for text in texts for each in passages.passages(text) if each.kind in kinds}
        return found - {MARK, EARLIER_GONE, REPEATED}

    before = whole(text for m in messages for text in chat_texts.texts(m))
    after = "\n".join(text for m in found.messages for text in chat_texts.texts(m))
    assert after.count("```python") == after.count("print('whole')\n```")
    assert after.count("|---|---|") == after.count("| 1 | 2 |")
    assert whole(text for m in found.messages for text in chat_texts.texts(m)) <= before


@settings(max_examples=60)
@given(st.lists(TURN, min_size=1, max_size=6), WORDS, SHARES)
def test_no_more_goes_than_has_to(turns, question, share):
    """Less than one more turn or passage would fit beside what stays."""
    messages = asked_after(turns, question)
    limit = int(tokens(messages) * share)
    found = trim(messages, limit)
    assume(found is not None and found.tokens < tokens(messages))
    slack = limit - found.tokens
    gone = [tokens(flat(turn)) for turn in turns]
    pieces = [piece.text for m in messages for text in chat_texts.texts(m) for piece in passages.passages(text)]
    largest_passage = max(map(TOKENIZER.count, pieces))
    assert slack <= max(*gone, largest_passage, 0) + 40  # and the stand-ins of a gap that became part of another


@given(LONG, st.integers(60, 2000))
def test_a_single_long_message_keeps_its_beginning_and_end_and_as_much_between_as_fits(text, limit):
    messages = [{"role": "user", "content": f"Look at this.\n\n{text}\n\nWhat of the carp?"}]
    found = trim(messages, limit)
    if found is None:
        return
    content = found.messages[0]["content"]
    assert content.startswith("Look at this.")
    assert content.endswith("What of the carp?")
    assert (MARK in content) is (found.passages_gone > 0)
    assert found.tokens <= limit


def test_a_mark_stands_where_turns_went_and_the_roles_go_on_alternating():
    turns = [
        message
        for number in range(20)
        for message in (
            {"role": "user", "content": f"Question {number}" + " word" * 30},
            {"role": "assistant", "content": f"Answer {number}" + " word" * 30},
        )
    ]
    asked = {"role": "user", "content": "And now?"}
    found = trim([{"role": "system", "content": "Be brief."}, *turns, asked], 400)
    assert [m["content"] for m in found.messages[:3]] == ["Be brief.", EARLIER_GONE, MARK]
    assert [m["role"] for m in found.messages[1:]] == ["user", "assistant"] * (len(found.messages) // 2 - 1) + ["user"]
    assert found.messages[3:] == (*turns[-(len(found.messages) - 4) :], asked)


def test_an_old_turn_that_the_question_is_about_stays_and_a_mark_stands_in_each_gap():
    def turn(number, asked):
        filler = " word" * 30
        return [
            {"role": "user", "content": f"{asked} {number}{filler}"},
            {"role": "assistant", "content": f"Answer {number}{filler}"},
        ]

    turns = [turn(number, "The kiln" if number == 5 else "Question") for number in range(20)]
    asked = {"role": "user", "content": "How hot was the kiln?"}
    found = trim([*(message for each in turns for message in each), asked], 800)
    stays = [message["content"] for message in turns[5]]
    assert [m["content"] for m in found.messages[:6]] == [EARLIER_GONE, MARK, *stays, MARK, MARK]
    assert [m["role"] for m in found.messages] == ["user", "assistant"] * (len(found.messages) // 2) + ["user"]
    latest = found.messages[6:-1]
    assert list(latest) == [message for each in turns[-len(latest) // 2 :] for message in each]
    assert tokens(latest) >= 800 * (1 - recall.ROOM_AT_MOST) - tokens(turns[0]) - 40


def test_two_gaps_that_become_one_have_one_mark():
    turns = [
        {"role": role, "content": f"{what} {number}" + " word" * 30}
        for number in range(8)
        for role, what in (("user", "The kiln" if number == 3 else "Question"), ("assistant", "Answer"))
    ]
    messages = [*turns, {"role": "user", "content": "And the kiln?"}]
    for limit in range(60, tokens(messages)):
        contents = [message["content"] for message in trim(messages, limit).messages]
        in_a_row = [len(list(run)) for is_mark, run in groupby(contents, {EARLIER_GONE, MARK}.__contains__) if is_mark]
        assert set(in_a_row) <= {2}
        assert contents[0] == EARLIER_GONE or EARLIER_GONE not in contents[:2]


def test_the_turn_that_is_meant_stays_though_old_ones_have_the_questions_words():
    """Of many short messages: none of them can be cut."""
    old = [m for n in range(20) for m in ({"role": "user", "content": f"The kiln {n}?"}, SHORT)]
    latest = [{"role": role, "content": "word" + " word" * 299} for role in ("user", "assistant", "user", "assistant")]
    latest[2] = {"role": "tool", "tool_call_id": "none", "content": "word" + " word" * 299}
    messages = [*old, *latest, {"role": "user", "content": "Shorten that, but keep the kiln."}]
    found = trim(messages, tokens(latest) + 150)
    assert [m for m in found.messages if m in latest] == latest


def test_short_turns_that_have_a_word_of_the_question_leave_the_latest_most_of_the_room():
    """Each that stays alone costs two marks."""
    asks = [{"role": "user", "content": "kiln" if n % 2 else "pond"} for n in range(400)]
    messages = [m for asked in asks for m in (asked, SHORT)] + [{"role": "user", "content": "And the kiln?"}]
    found = trim(messages, tokens(messages) // 2)
    whole = [fate is Fate.WHOLE for fate in found.fates[:-1]]
    latest = next((at for at, stays in enumerate(reversed(whole)) if not stays), len(whole))
    assert latest >= 0.6 * sum(whole)
    assert latest >= 300


def test_a_mark_stands_before_the_step_that_comes_after_steps_that_went():
    def step(name):
        call = {"id": name, "type": "function", "function": {"name": "look", "arguments": "{}"}}
        result = {"role": "tool", "tool_call_id": name, "content": f" {name}" * 200}
        return [{"role": "assistant", "content": None, "tool_calls": [call]}, result]

    messages = [{"role": "user", "content": "Find it."}, *step("a"), *step("b"), *step("c")]
    found = trim(messages, tokens(messages) * 2 // 3 + 20)
    assert [message["role"] for message in found.messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert found.messages[1]["content"] == MARK
    assert found.messages[1]["tool_calls"] == messages[3]["tool_calls"]


def test_the_text_that_is_asked_about_is_cut_rather_than_dropped():
    document = "\n\n".join(f"Section {number}. " + "Nothing of note is told here. " * 8 for number in range(60))
    document = document.replace("Section 41. ", "Section 41. The bridge was closed in spring. ")
    messages = [
        {"role": "user", "content": document},
        {"role": "assistant", "content": "I have read it."},
        {"role": "user", "content": "When was the bridge closed?"},
    ]
    found = trim(messages, 800)
    assert found.fates == (Fate.CUT, Fate.WHOLE, Fate.WHOLE)
    assert "The bridge was closed in spring." in found.messages[0]["content"]


def test_what_must_stay_and_is_too_much_is_refused():
    messages = [{"role": "system", "content": "word " * 500}, {"role": "user", "content": "Hello"}]
    assert trim(messages, 300) is None


def test_images_stay_with_their_message():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "A long story. " * 500 + "\n\nWhat is it about?"}
    found = trim([{"role": "user", "content": [image, text]}], 2000)
    assert found.messages[0]["content"][0] == image
    assert OVERSIZED_TOKENS < found.tokens <= 2000


@given(chats())
def test_safe_leaves_system_and_last_user_messages_to_the_letter(messages):
    found = optimization.safe(messages)
    assume(len([m for m in messages if m["role"] != "system"]) > 1)
    assert last_user(found) == last_user(messages)
    assert [m for m in found if m["role"] == "system"] == [m for m in messages if m["role"] == "system"]
    assert optimization.safe(found) == found


@given(DOCUMENTS)
def test_safe_cleans_between_the_ends_of_a_single_message(text):
    (found,) = optimization.safe([{"role": "user", "content": text}])
    blocks = [each.text for each in passages.blocks(text)]
    if len(blocks) > 1:
        assert found["content"].startswith(blocks[0])
        assert found["content"].endswith(blocks[-1])


@pytest.mark.parametrize(
    "content", [None, "", [], [{"type": "image_url", "image_url": {"url": "x"}}], [{"type": "text"}]]
)
def test_messages_without_text_are_no_obstacle(content):
    messages = [
        {"role": "user", "content": "word " * 600},
        {"role": "assistant", "content": content},
        {"role": "user", "content": "Well?"},
    ]
    assert trim(messages, 300).tokens <= 300
    assert optimization.safe(messages)[1] == messages[1]
