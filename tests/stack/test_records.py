"""What a served request leaves behind: one record in the ledger, one line in the log, no secret in either."""

from __future__ import annotations

import json
import time

import pytest

from llm_router import journal_items
from llm_router.usage import RecordState
from stack.deployed_stack import refuse_leaks

LOGGED_WITHIN_S = 60
PROMPT = "Say hello in five words."


@pytest.fixture
def item(stack, answer):
    return item_of(stack, answer.json()["requestId"])


def item_of(stack, request_id):
    key = journal_items.to_item(journal_items.journal_key(request_id))
    found = stack.client("dynamodb").get_item(TableName=stack.outputs["LedgerTable"], Key=key, ConsistentRead=True)
    return found["Item"]


@pytest.fixture(scope="module")
def line(stack, answer):
    """The request's line in the router's log, which takes a moment on AWS."""
    request_id = answer.json()["requestId"]
    ends_s = time.monotonic() + LOGGED_WITHIN_S
    while time.monotonic() < ends_s:
        pages = (
            stack.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=stack.outputs["RouterLogs"], filterPattern=f'"{request_id}"')
        )
        messages = [event["message"] for page in pages for event in page["events"]]
        for message in messages:
            if request_id in message and message.lstrip().startswith("{"):
                return message
        time.sleep(1)
    raise AssertionError(f"the log has no line of {request_id}")


def test_a_request_is_in_the_ledger_once_settled_at_its_cost(answer, item):
    record = journal_items.record_of(item)
    body = answer.json()
    assert record.state is RecordState.SETTLED
    assert record.request_id == body["requestId"]
    assert record.cost.usd == body["cost"]
    assert record.tokens.total == body["tokens"]
    assert record.metadata == {"by": "make e2e"}


def test_a_streamed_request_is_in_the_ledger_by_the_time_that_its_stream_has_ended(stack, streamed):
    item = item_of(stack, streamed.headers["x-request-id"])
    record = journal_items.record_of(item)
    assert record.state is RecordState.SETTLED
    assert record.tokens.total > 0
    assert record.metadata == {"by": "make e2e"}
    refuse_leaks(json.dumps(item), PROMPT, stack=stack)


def test_a_record_expires_when_the_stack_says(stack, item):
    days = int(stack.parameters["RecordRetentionDays"])
    record = journal_items.record_of(item)
    assert abs(int(item["expires_at"]["N"]) - record.opened_at.timestamp() - days * 86400) < 86400


def test_a_record_holds_neither_prompt_nor_answer_nor_key(stack, answer, item):
    refuse_leaks(json.dumps(item), PROMPT, answer.json()["response"], stack=stack)


def test_a_client_key_is_stored_as_a_hash(stack):
    key_id = stack.client_key.split("_")[1]
    found = stack.client("dynamodb").get_item(
        TableName=stack.outputs["StateTable"], Key={"pk": {"S": f"client-key#{key_id}"}}
    )
    assert "secret_sha256" in found["Item"]
    refuse_leaks(json.dumps(found["Item"]), stack=stack)


def test_a_request_is_one_line_in_the_functions_own_log_group(answer, line):
    logged = json.loads(line)
    assert (logged["event"], logged["path"], logged["status"]) == ("request", "/generate", 200)
    assert logged["gen_ai.provider.name"] == answer.json()["provider"]


def test_a_log_line_holds_neither_prompt_nor_answer_nor_key(stack, answer, line):
    refuse_leaks(line, PROMPT, answer.json()["response"], stack=stack)
