"""Trimming through the doors: what providers get, what callers are told, what the ledger and the figures say."""

from __future__ import annotations

import json
from decimal import Decimal

import boto3
import pytest

import handlers
import served_router
from integration.tables import STATE_TABLE
from llm_router import fleet_items
from llm_router.fleet_store import FleetStore
from llm_router.optimization import EARLIER_GONE
from llm_router.routing import Facts
from llm_router.usage import CostBasis, TrimKind
from provider_server import always, answer, completion
from streaming_provider import says

TRIMMING = """
providers:
  - name: cheap
    base_url: {cheap}
    auth: none
    models:
      - name: small
        context_window: 20000
        price: {{input: 0.5, cached_input: 0.05, output: 1}}
routes:
  auto: {{candidates: [cheap/small], optimize: trim, max_prompt_tokens: 1000}}
  safe: {{candidates: [cheap/small], optimize: safe}}
  off: {{candidates: [cheap/small]}}
"""


def sentences(first, last):
    return " ".join(f"Sentence {number} tells of nothing in particular." for number in range(first, last))


def document(length):
    """So many sentences before what matters, and so many after it."""
    before, after = sentences(0, length), sentences(length, 2 * length)
    return f"Read this.\n\n{before}\n\nThe bridge was closed in spring.\n\n{after}\n\nWhen was the bridge closed?"


SENTENCES = sentences(0, 400)
LONG, TOO_LONG = document(400), document(1600)
SECRET = "xylophone-quartz"


@pytest.fixture
def trimming(router):
    router.file.write_text(TRIMMING.format(cheap=router.server.base_url("cheap")))
    return router


def chat(router, body):
    return router.call(handlers.post("/v1/chat/completions", body))


def sent(router):
    return router.cheap.calls[-1].body["messages"]


def conversation(*, turns=40):
    past = [
        {"role": role, "content": f"{role} {number} says much that is of no use to anybody any more."}
        for number in range(turns)
        for role in ("user", "assistant")
    ]
    return [{"role": "system", "content": "Be brief."}, *past, {"role": "user", "content": "And now?"}]


def test_a_prompt_over_the_limit_goes_out_within_it_with_what_is_asked_for(trimming):
    status, _, body = trimming.start().generate({"prompt": LONG})
    assert status == 200
    (message,) = sent(trimming)
    assert message["content"].startswith("Read this.")
    assert "The bridge was closed in spring." in message["content"]
    assert message["content"].endswith("When was the bridge closed?")
    (warning,) = body["warnings"]
    assert warning["kind"] == "prompt_trimmed"
    assert warning["tokensBefore"] > 6_000
    assert 900 < warning["tokensAfter"] <= 1000 == warning["tokensLimit"]
    assert (warning["tokensBasis"], warning["messagesRemoved"]) == ("counted", 0)
    assert warning["passagesRemoved"] > 10
    assert warning["savedUsd"] == (warning["tokensBefore"] - warning["tokensAfter"]) * Decimal("0.5") / 1_000_000


def test_the_event_with_a_long_prompt_keeps_what_it_asks_for(trimming):
    status, _, body = trimming.start().call(handlers.event("generate-long"))
    assert (status, body["warnings"][0]["kind"]) == (200, "prompt_trimmed")
    content = sent(trimming)[0]["content"]
    assert "any second of the last 35 days" in content
    assert content.endswith("How far back can a table be restored?")


def test_the_record_holds_what_was_trimmed_and_nothing_of_the_prompt(trimming):
    _, _, body = trimming.start().generate({"prompt": LONG.replace("bridge", SECRET)})
    (record,) = trimming.records()
    (warning,) = body["warnings"]
    trimmed = record.trimming
    assert (trimmed.kind, trimmed.before, trimmed.after) == (
        TrimKind.TRIM,
        warning["tokensBefore"],
        warning["tokensAfter"],
    )
    assert (trimmed.saved_usd, trimmed.usd_per_mtok) == (warning["savedUsd"], Decimal("0.5"))
    assert record.counted_tokens == warning["tokensAfter"]
    items = boto3.client("dynamodb").scan(TableName=trimming.environ["LEDGER_TABLE"])["Items"]
    assert SECRET not in json.dumps(items, default=str)


def test_the_figures_tell_how_much_was_trimmed_and_saved(trimming):
    trimming.start()
    warnings = [trimming.generate({"prompt": LONG})[2]["warnings"][0] for _ in range(2)]
    trimming.generate({"prompt": "Short."})
    _, _, stats = trimming.call(handlers.event("stats"))
    gone = sum(warning["tokensBefore"] - warning["tokensAfter"] for warning in warnings)
    told = stats["trimming"]
    assert (told["requests"], told["tokens"], told["usd"]) == (
        2,
        gone,
        sum(warning["savedUsd"] for warning in warnings),
    )
    assert "input price" in told["formula"]


def test_a_short_prompt_is_sent_as_it_is_and_the_vocabulary_is_not_touched(trimming, tmp_path):
    """Were it looked for, its absence would be told."""
    _, _, body = trimming.start(VOCABULARY_DIR=str(tmp_path / "none")).generate({"prompt": "Hello   \n\n\n\nthere"})
    assert sent(trimming) == [{"role": "user", "content": "Hello   \n\n\n\nthere"}]
    assert body["warnings"] == []
    (record,) = trimming.records()
    assert (record.trimming, record.counted_tokens) == (None, None)


def test_of_a_conversation_the_oldest_turns_go_and_the_rest_is_to_the_letter(trimming):
    messages = conversation()
    status, _, body = chat(trimming.start(), {"messages": messages})
    assert status == 200
    got = sent(trimming)
    assert got[0] == messages[0]
    assert got[1]["content"] == EARLIER_GONE
    kept = got[3:]
    assert kept == messages[-len(kept) :]
    (warning,) = body["warnings"]
    assert warning["messagesRemoved"] == len(messages) - len(kept) - 1
    assert body["choices"][0]["message"]["content"] == "Cheap."


def test_an_answer_to_an_untouched_conversation_has_no_field_that_openai_does_not_know(trimming):
    _, _, body = chat(trimming.start(), {"messages": conversation(turns=2)})
    assert "warnings" not in body


def test_optimize_is_ours_and_does_not_go_upstream(trimming):
    chat(trimming.start(), {"messages": conversation(turns=1), "optimize": "trim"})
    assert "optimize" not in trimming.cheap.calls[-1].body


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["plain", "with usage"])
@pytest.mark.parametrize("delivery", ["live", "verified"])
def test_a_stream_tells_of_it_in_its_last_chunk(dynamodb, tmp_path, options, delivery):
    del dynamodb
    with served_router.starting(tmp_path) as start:
        router = start(first=says("Hello."), route={"max_prompt_tokens": 500})
        asked = {"messages": conversation(), "optimize": "trim"}
        found = router.stream(headers={"x-router-delivery": delivery}, **asked, **options)
        *before, last = found.chunks
        (warning,) = last["warnings"]
        assert (found.text, warning["kind"]) == ("Hello.", "prompt_trimmed")
        assert "usage" in last
        assert all("warnings" not in chunk for chunk in before)


@pytest.mark.parametrize(("route", "asked"), [("off", None), ("auto", "off"), ("auto", "safe")])
def test_a_prompt_that_fits_no_model_is_refused_where_it_may_not_be_trimmed(trimming, route, asked):
    status, _, body = trimming.start().generate({"prompt": TOO_LONG, "model": route, "optimize": asked})
    assert (status, body["error"]["code"], body["error"]["param"]) == (400, "context_length_exceeded", "prompt")
    assert "20,000" in body["error"]["message"]
    assert "optimize: trim" in body["error"]["message"]
    assert trimming.cheap.calls == []


def test_a_prompt_that_fits_no_model_is_trimmed_to_fit_where_the_caller_asks_for_it(trimming):
    status, _, body = trimming.start().generate({"prompt": TOO_LONG, "model": "off", "optimize": "trim"})
    assert status == 200
    assert 18_000 < body["warnings"][0]["tokensAfter"] <= 20_000 - 1024


def test_the_callers_off_wins_over_the_routes_trim(trimming):
    trimming.start().generate({"prompt": LONG, "optimize": "off"})
    assert sent(trimming)[0]["content"] == LONG


def test_what_must_stay_and_is_too_much_is_refused_in_clear_words_and_nothing_is_written(trimming):
    status, _, body = trimming.start().generate({"prompt": "Hello", "system": SENTENCES})
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert "the 1,000 that the route's max_prompt_tokens allows" in body["error"]["message"]
    assert trimming.cheap.calls == trimming.records() == []


def test_safe_takes_out_what_means_nothing(trimming):
    past = [{"role": "user", "content": "Look:   \n\n\n\n\nhere.    "}, {"role": "assistant", "content": "Yes."}]
    asked = {"role": "user", "content": "And   \n\n\n\nnow?"}
    _, _, body = chat(trimming.start(), {"messages": [*past, asked], "model": "safe"})
    assert sent(trimming) == [{"role": "user", "content": "Look:\n\nhere."}, past[1], asked]
    (warning,) = body["warnings"]
    assert (warning["kind"], warning["tokensBasis"]) == ("prompt_cleaned", "estimated")
    assert warning["tokensBefore"] > warning["tokensAfter"]


def test_without_a_vocabulary_the_prompt_is_trimmed_by_its_bytes_and_says_so(trimming, tmp_path, capfd):
    status, _, body = trimming.start(VOCABULARY_DIR=str(tmp_path / "none")).generate({"prompt": LONG})
    assert status == 200
    (warning,) = body["warnings"]
    assert warning["tokensBasis"] == "estimated"
    assert "(estimated)" in warning["message"]
    assert len(sent(trimming)[0]["content"]) <= 4 * 1000
    (record,) = trimming.records()
    assert (record.trimming.is_estimated, record.counted_tokens) == (True, None)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["event"] for line in lines if line["event"] == "vocabulary_missing"] == ["vocabulary_missing"]


def test_an_answer_without_a_count_is_counted_here_and_labelled_as_estimated(trimming):
    trimming.cheap.script = always(completion("One two three four five.", usage=None))
    _, _, body = trimming.start().generate({"prompt": "Hello, how are you?"})
    assert (body["promptTokens"], body["completionTokens"], body["costBasis"]) == (13, 6, "estimated")


def test_without_a_vocabulary_such_an_answer_is_estimated_from_bytes(trimming, tmp_path):
    trimming.cheap.script = always(completion("One two three four five.", usage=None))
    _, _, body = trimming.start(VOCABULARY_DIR=str(tmp_path / "none")).generate({"prompt": "Hello, how are you?"})
    assert (body["completionTokens"], body["costBasis"]) == (6, "estimated")
    (record,) = trimming.records()
    assert record.cost.basis is CostBasis.ESTIMATED


def test_a_cached_beginning_is_left_alone_where_that_is_cheaper(trimming):
    facts = {"cheap/small": Facts(cached_share=0.95)}
    FleetStore(lambda: boto3.client("dynamodb"), table=STATE_TABLE).put_facts(fleet_items.facts_text(facts))
    messages = conversation()
    _, _, body = chat(trimming.start(), {"messages": messages})
    assert sent(trimming) == messages
    (warning,) = body["warnings"]
    assert (warning["kind"], warning["tokensBefore"]) == ("prompt_kept", warning["tokensAfter"])


def test_a_provider_that_counts_more_gets_less(trimming):
    FleetStore(lambda: boto3.client("dynamodb"), table=STATE_TABLE).put_facts(
        fleet_items.facts_text({"cheap/small": Facts(token_factor=1.25)})
    )
    _, _, body = trimming.start().generate({"prompt": LONG})
    assert 700 < body["warnings"][0]["tokensAfter"] <= 800


@pytest.mark.parametrize("door", ["generate", "chat"])
def test_an_estimate_shows_what_would_be_sent_and_sends_nothing(trimming, door):
    body = {"prompt": LONG} if door == "generate" else {"messages": conversation()}
    status, _, told = trimming.start().call(handlers.post("/estimate", body))
    assert status == 200
    assert told["warnings"][0]["kind"] == "prompt_trimmed"
    assert (told["promptTokens"], told["tokensBasis"]) == (told["warnings"][0]["tokensAfter"], "counted")
    became = [row["became"] for row in told["outline"]]
    if door == "generate":
        assert became == ["cut"]
        assert told["outline"][0]["charactersBefore"] == len(LONG)
        assert told["outline"][0]["begins"][0].startswith("Read this.")
    else:
        gone = became.count("gone")
        assert became == ["whole", *["gone"] * gone, *["whole"] * (len(became) - 1 - gone)]
    assert trimming.cheap.calls == trimming.records() == []


def test_half_a_character_in_a_long_chat_is_no_obstacle(trimming):
    messages = [{"role": "user", "content": [{"type": "text", "text": "\ud800 " + SENTENCES}]}, *conversation(turns=1)]
    status, _, _ = chat(trimming.start(), {"messages": messages})
    assert status == 200


def test_a_refused_model_name_is_no_concern_of_trimming(trimming):
    trimming.cheap.script = always(answer(404, {"error": {"message": "no"}}))
    status, _, body = trimming.start().generate({"prompt": LONG})
    assert (status, body["error"]["code"]) == (502, "all_providers_failed")
    (record,) = trimming.records()
    assert (record.trimming.saved_usd, record.trimming.usd_per_mtok) == (None, None)
