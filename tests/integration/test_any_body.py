"""Whatever JSON comes to a door, it is answered, or refused with its fault; it is never a fault of ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

import handlers
from bodies_of_any_kind import anything, chats, generates, switches

DOORS = {
    "/generate": ("POST", generates),
    "/v1/chat/completions": ("POST", chats),
    "/estimate": ("POST", generates | chats),
    "/providers/cheap": ("PUT", switches),
}


@pytest.mark.parametrize("path", DOORS)
def test_no_json_at_any_door_is_a_fault_of_ours(router, path):
    router.start()
    method, bodies = DOORS[path]

    @given(bodies | anything)
    def answered_or_refused(body):
        response = router.invoke(handlers.post(path, json.dumps(body)) | {"httpMethod": method})
        assert response["statusCode"] in (200, 400), response["body"]
        if response["statusCode"] == 400:
            assert json.loads(response["body"])["error"]["code"] == "invalid_request"

    answered_or_refused()


@pytest.mark.parametrize("wrong", [{}, ["text"], 7])
@pytest.mark.parametrize("field", ["tools", "functions", "response_format", "modalities", "content"])
def test_a_type_that_is_no_text_is_left_to_the_provider(router, field, wrong):
    parts = [{"type": wrong}]
    message = {"role": "user", "content": parts if field == "content" else "Hello"}
    body = {"messages": [message]} if field == "content" else {"messages": [message], field: parts}
    status, _, _ = router.start().call(handlers.post("/v1/chat/completions", body))
    assert status == 200
    (sent,) = router.cheap.calls
    assert (sent.body["messages"][0]["content"] if field == "content" else sent.body[field]) == parts
