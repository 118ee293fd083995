"""The box to try the router with, which only the page on one machine has."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from browser.figures import answer, attempt, document, empty, encoded


def ask(page: Page, prompt: str = "Say hello.") -> None:
    page.get_by_role("textbox", name="Try a prompt").fill(prompt)
    page.get_by_role("button", name="Send").click()


def fact(page: Page, name: str):
    return page.locator("#prompt-result .facts > div", has=page.get_by_text(name, exact=True)).locator("dd")


def test_there_is_no_box_without_a_url_to_send_to(opened):
    page = opened(document())
    expect(page.locator("#recent tr")).to_have_count(2)
    expect(page.locator("#prompt")).to_be_hidden()


def test_a_prompt_is_posted_and_its_answer_shown_with_provider_cost_and_attempts(opened, server):
    server.answer = encoded(answer())
    page = opened(document(), prompt=True)
    ask(page, "Say “hello”.\n</textarea>")
    expect(page.locator("#prompt-result .answer")).to_have_text(
        "It sends each prompt to the cheapest provider that works."
    )
    expect(fact(page, "Served by")).to_have_text("openai / gpt-4o-mini")
    expect(fact(page, "Tokens")).to_have_text("15")
    expect(fact(page, "Cost")).to_have_text("$0.00000075 exact")
    expect(fact(page, "Latency")).to_have_text("1.200 s")
    expect(page.locator("#prompt-result .attempts li")).to_have_text(
        ["groq llama-3.1-8b-instantserver error0.200 s", "openai gpt-4o-minisuccess0.200 s"]
    )
    assert [json.loads(body) for body in server.posted] == [{"prompt": "Say “hello”.\n</textarea>"}]


def test_an_answer_brings_new_figures(opened, server):
    server.answer = encoded(answer())
    page = opened(empty(), prompt=True)
    expect(page.locator("#welcome")).to_contain_text(f"{server.url}generate")
    server.stats = encoded(document())
    ask(page)
    expect(page.locator("#recent tr")).to_have_count(2)
    expect(page.locator("#welcome")).to_be_hidden()


def test_an_unknown_cost_reads_unknown(opened, server):
    server.answer = encoded(answer(cost=None, costBasis="unknown"))
    page = opened(document(), prompt=True)
    ask(page)
    expect(fact(page, "Cost")).to_have_text("unknown")


def test_an_answer_is_text_and_its_warnings_are_shown(opened, server):
    server.answer = encoded(answer(response="<img src=x onerror=hacked=1>", warnings=["The prompt was trimmed."]))
    page = opened(document(), prompt=True)
    ask(page)
    expect(page.locator("#prompt-result .answer")).to_have_text("<img src=x onerror=hacked=1>")
    expect(page.locator("#prompt-result")).to_contain_text("The prompt was trimmed.")


def failure(message: object, code: object, **more: object) -> object:
    return {"error": {"message": message, "type": "x", "param": None, "code": code}} | more


ERRORS = {
    "every provider failed": (
        502,
        encoded(failure("Every provider failed.", "all_providers_failed", attempts=[attempt(outcome="timeout")]))[1],
        ["Every provider failed.", "502 all_providers_failed", "timeout"],
    ),
    "an error without a reason": (500, b"{}", ["The router gave no reason.", "500"]),
    "an error that is a text": (500, b'{"error": "x"}', ["The router gave no reason.", "500"]),
    "no JSON": (504, b"<html>", ["The router answered 504 with something that is not JSON."]),
    "no JSON with 200": (200, b"", ["The router answered 200 with something that is not JSON."]),
    "an empty answer": (200, encoded(answer(response=""))[1], ["The answer is empty."]),
}


@pytest.mark.parametrize(("status", "body", "told"), ERRORS.values(), ids=ERRORS)
def test_what_went_wrong_can_be_read(opened, server, status: int, body: bytes, told: list[str]):
    server.answer = status, body
    page = opened(document(), prompt=True)
    ask(page)
    result = page.locator("#prompt-result")
    for text in told:
        expect(result).to_contain_text(text)
    for closed in page.locator("#prompt-result details:not([open]) summary").all():
        closed.click()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


def test_a_router_that_is_gone_is_told(opened):
    page = opened(document(), prompt=True)
    expect(page.locator("#recent tr")).to_have_count(2)
    page.context.set_offline(offline=True)
    ask(page)
    expect(page.locator("#prompt-result")).to_have_text("The router can't be reached. Is it still running?")


def test_an_empty_prompt_is_not_sent(opened, server):
    page = opened(document(), prompt=True)
    ask(page, " \n")
    expect(page.locator("#prompt-result")).to_have_text("Write a prompt first.")
    expect(page.get_by_role("textbox", name="Try a prompt")).to_be_focused()
    assert server.posted == []


def test_an_impatient_sender_sends_once(opened, server):
    server.answer = encoded(answer(cost=Decimal("0.5")))
    server.may_answer.clear()
    page = opened(document(), prompt=True)
    ask(page)
    expect(page.locator("#prompt-result")).to_have_text("Waiting for the answer …")
    page.get_by_role("textbox", name="Try a prompt").press("Control+Enter")
    page.get_by_role("button", name="Send").click(force=True)
    server.may_answer.set()
    expect(fact(page, "Cost")).to_have_text("$0.50 exact")
    assert len(server.posted) == 1


def test_control_enter_sends(opened, server):
    server.answer = encoded(answer())
    page = opened(document(), prompt=True)
    page.get_by_role("textbox", name="Try a prompt").fill("hi")
    page.get_by_role("textbox", name="Try a prompt").press("Control+Enter")
    expect(page.locator("#prompt-result .answer")).to_be_visible()
