"""Why an answer ended, in the words of many providers."""

from __future__ import annotations

import pytest

from llm_router.adapters import finish_reasons

ENDS = (
    *("stop", "STOP", "length", "tool_calls", "function_call", "eos", "eos_token", "stop_sequence", "end_turn"),
    *("max_tokens", "MAX_TOKENS", "tool_use", "model_length", "model_context_window_exceeded", "a_word_of_tomorrow"),
)
BROKE_OFF = (
    *("error", "ERROR", "network_error", "timeout", "timed_out", "abort", "aborted", "cancelled", "canceled", "failed"),
    *("insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "function_call_filter: MALFORMED_FUNCTION_CALL"),
    *("UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
    *("unknown", "OTHER", "FINISH_REASON_UNSPECIFIED", "", "null", None, True, 1, ["stop"], {"stop": 1}),
)
FILTERED = (
    *("content_filter", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY"),
    *("content_filter: RECITATION", "sensitive", "guardrail_intervened", "refusal", "content_filtered"),
)


@pytest.mark.parametrize("reason", ENDS)
def test_a_model_that_came_to_an_end_has_ended_whatever_it_is_called(reason):
    assert finish_reasons.is_an_end(reason)
    assert not finish_reasons.is_filtered(reason)


@pytest.mark.parametrize("reason", BROKE_OFF)
def test_what_broke_off_is_no_end(reason):
    assert not finish_reasons.is_an_end(reason)
    assert not finish_reasons.is_filtered(reason)


@pytest.mark.parametrize("reason", FILTERED)
def test_what_a_filter_ended_is_told_apart(reason):
    assert finish_reasons.is_filtered(reason)
    assert not finish_reasons.is_an_end(reason)


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "model_length", "model_context_window_exceeded"])
def test_a_limit_is_an_end(reason):
    assert finish_reasons.is_at_the_limit(reason)
    assert finish_reasons.is_an_end(reason)


@pytest.mark.parametrize("reason", ["stop", "tool_calls", None, True])
def test_other_ends_are_at_no_limit(reason):
    assert not finish_reasons.is_at_the_limit(reason)


@pytest.mark.parametrize(
    ("reason", "says"), [("stop", True), (True, True), ("", False), ("null", False), (None, False)]
)
def test_a_chunk_in_the_middle_says_no_reason(reason, says):
    assert finish_reasons.says_something(reason) is says
