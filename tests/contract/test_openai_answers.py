"""What the adapter for OpenAI's format makes of providers' answers, body by body."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import NOW
from contract.bodies import ANSWERS, BODIES, NOT_WHOLE, READ_ON, REFUSALS, Basis
from llm_router import failover
from llm_router.adapters import openai
from llm_router.upstream import Asked, UpstreamResponse
from llm_router.usage import Outcome

ASSUMED = 102
GAPS = 0


def response(body):
    content = body.content if isinstance(body.content, bytes) else json.dumps(body.content).encode()
    return UpstreamResponse(body.status, body.headers, content)


def read(body):
    return openai.read(response(body), now=NOW, asked=Asked(dialect=body.dialect, is_streamed=True))


def with_gaps(bodies):
    """A body that cannot be read right yet is expected to fail, and to stop failing only with its gap."""
    return [pytest.param(body, id=body.name, marks=expected_to_fail(body.gap)) for body in bodies]


def expected_to_fail(gap):
    return [pytest.mark.xfail(reason=gap, strict=True)] if gap else []


@pytest.mark.parametrize("body", with_gaps(BODIES))
def test_a_body_is_read_for_what_it_is(body):
    assert read(body) == body.reads


@pytest.mark.parametrize("body", ANSWERS, ids=lambda body: body.name)
def test_a_whole_answer_is_a_success(body):
    assert read(body).outcome is Outcome.SUCCESS


@pytest.mark.parametrize("body", [*NOT_WHOLE, *REFUSALS], ids=lambda body: body.name)
def test_what_is_not_whole_is_never_a_success_and_carries_no_text(body):
    reading = read(body)
    assert reading.outcome is not Outcome.SUCCESS
    assert reading.text == ""


@pytest.mark.parametrize("body", [body for body in BODIES if body.status == 200], ids=lambda body: body.name)
def test_what_was_reported_was_billed_whatever_became_of_the_answer(body):
    """A provider that answered with 200 worked for us: an attempt that failed all the same is not free."""
    reading = read(body)
    assert reading.outcome is Outcome.SUCCESS or reading.may_be_billed


@pytest.mark.parametrize("body", REFUSALS, ids=lambda body: body.name)
def test_what_was_refused_is_not_billed(body):
    reading = read(body)
    assert not reading.may_be_billed
    assert reading.tokens is None


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.name)
def test_no_reading_repeats_a_providers_words(body):
    told = repr(replace(read(body), text=""))
    assert "Words" not in told
    assert "private" not in told


@pytest.mark.parametrize("body", [body for body in REFUSALS if body.dialect], ids=lambda body: body.name)
def test_one_providers_words_mean_nothing_from_another(body):
    """The status and the codes are all that counts where it is not known who speaks."""
    told = openai.read(response(body), now=NOW).outcome
    by_status = {400: Outcome.BAD_REQUEST, 402: Outcome.REFUSED, 403: Outcome.REFUSED, 404: Outcome.REFUSED}
    assert told is by_status[body.status]


# How the bodies stand.


def test_an_assumed_body_is_a_deliberate_act():
    """Raise or lower the number together with the bodies; better, find the documentation."""
    assert Counter(body.basis for body in BODIES)[Basis.ASSUMED] == ASSUMED


def test_what_the_adapter_cannot_tell_yet_is_a_deliberate_act():
    assert sum(body.gap is not None for body in BODIES) == GAPS


def test_a_documented_body_has_its_address_and_date():
    documented = [body for body in BODIES if body.basis is Basis.DOCUMENTED]
    assert all(body.source.startswith("https://") for body in documented)
    assert all(body.source for body in BODIES)
    assert len(READ_ON.split("-")) == 3


def test_bodies_have_names_of_their_own():
    assert len({body.name for body in BODIES}) == len(BODIES)


def test_every_row_of_the_failover_table_that_a_body_can_lead_to_is_covered():
    of_the_connection = {Outcome.CONNECTION_LOST, Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.CUT, Outcome.ABANDONED}
    ours = {Outcome.OUT_OF_TIME, Outcome.UNSENT, Outcome.UNKNOWN}
    assert {body.reads.outcome for body in BODIES} == set(failover.RULES) - of_the_connection - ours


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 413, 422, 429, 498, 500, 502, 503, 504, 529])
def test_every_status_of_the_table_has_a_body(status):
    assert any(body.status == status for body in BODIES)


# Any answer at all.

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = [
    "choices",
    "message",
    "content",
    "finish_reason",
    "refusal",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "error",
    "code",
    "type",
    "param",
    "metadata",
    "details",
    "reason",
    "object",
]
shaped = st.recursive(
    anything,
    lambda inner: st.dictionaries(st.sampled_from(fields), inner, max_size=5) | st.lists(inner, max_size=2),
    max_leaves=12,
)
statuses = st.sampled_from([200, 201, 302, 400, 401, 403, 413, 429, 498, 500, 503, 529, 599])


@settings(deadline=None, max_examples=300)
@given(statuses, shaped.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=80))
def test_no_answer_is_an_error_of_ours(status, content):
    reading = openai.read(UpstreamResponse(status, {}, content), now=NOW)
    assert isinstance(reading.text, str)
    assert status == 200 or reading.outcome is not Outcome.SUCCESS


whole = st.sampled_from(ANSWERS)


@settings(deadline=None)
@given(whole, st.data())
def test_an_answer_cut_anywhere_is_never_a_success(body, data):
    content = response(body).body
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    assert openai.read(UpstreamResponse(200, {}, cut), now=NOW).outcome is Outcome.MALFORMED
