"""An environment's life: cold start, warm answers, freeze and thaw, a kill, the end of its time."""

from __future__ import annotations

import signal
import threading

import pytest

from llm_router.usage import Outcome, RecordState
from provider_server import always, completion
from runtime.conftest import PROBES, PROVIDER_KEY, reply


def probed(runtime, **options):
    return runtime.router(handler="probe.handler", extra_path=[PROBES], **options)


def test_a_cold_start_answers_with_the_templates_environment(runtime):
    router = runtime.router()
    answer = runtime.generate(router)
    assert (answer.status, answer.body["response"]) == (200, "Cheap.")
    (call,) = runtime.cheap.calls
    assert call.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    (record,) = runtime.records()
    assert record.state is RecordState.SETTLED
    assert record.request_id == answer.body["requestId"]


def test_warm_answers_share_one_environment_and_one_connection_to_the_provider(runtime):
    router = probed(runtime)
    pids = {router.invoke(runtime.generate_event()).value()["pid"] for _ in range(4)}
    assert len(pids) == 1
    assert len(router.init_ms()) == 1
    assert len(runtime.cheap.calls) == 4
    assert len(runtime.server.accepted) == 1


@pytest.mark.parametrize("dies", ["while frozen", "at its next use"])
def test_a_connection_that_the_freeze_has_killed_costs_no_answer(runtime, dies):
    router = runtime.router()
    assert runtime.generate(router).status == 200
    router.signal_runtime(signal.SIGSTOP)
    if dies == "while frozen":
        runtime.server.close_connections()
    else:
        runtime.cheap.script = dropping_call(2)
    router.signal_runtime(signal.SIGCONT)
    answer = runtime.generate(router)
    assert (answer.status, answer.body["provider"]) == (200, "cheap")
    assert len(runtime.server.accepted) == 2
    assert answer.body["attempts"][-1]["outcome"] == Outcome.SUCCESS.value


def dropping_call(number):
    def script(call):
        if call.number == number:
            raise ConnectionError
        return completion("Cheap.")

    return script


def test_an_environment_killed_in_mid_request_leaves_its_record_pending_and_the_next_one_answers(runtime):
    arrived = threading.Event()

    def holding(_call):
        arrived.set()
        return runtime.silent(_call)

    runtime.cheap.script = holding
    router = runtime.router()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(router.invoke(runtime.generate_event())))
    asking.start()
    assert arrived.wait(30)
    router.signal_runtime(signal.SIGKILL)
    asking.join(30)
    (killed,) = answers
    assert "statusCode" not in killed.text
    runtime.cheap.script = always(completion("Cheap."))
    assert runtime.generate(router).status == 200
    assert [record.state for record in runtime.records()] == [RecordState.PENDING, RecordState.SETTLED]
    assert runtime.records()[0].trying.candidate == "cheap/small"


def test_the_templates_timeout_ends_an_invocation_that_never_returns(runtime):
    runtime.parameters = {"GatewayTimeoutS": "5"}
    router = probed(runtime)
    first = router.invoke(runtime.generate_event()).value()
    ended = router.invoke({"never_returns": True})
    assert "Task timed out after 5.00 seconds" in ended.text
    again = router.invoke(runtime.generate_event()).value()
    assert again["statusCode"] == 200
    assert again["pid"] != first["pid"]


def test_the_context_says_what_the_template_declares(runtime):
    runtime.parameters = {"GatewayTimeoutS": "7", "RouterMemoryMb": "640"}
    limits = probed(runtime).invoke(runtime.generate_event()).value()["limits"]
    assert limits["memory_mb"] == "640"
    assert 0 < limits["remaining_ms"] <= 7_000


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_silent_providers_end_in_the_routers_own_error_before_lambdas_timeout(runtime, start):
    """The gateway's limit is left at 29 s: only the context's remaining time can have ended it."""
    runtime.parameters = {"GatewayTimeoutS": "5"}
    router = runtime.router(changes={"GATEWAY_TIMEOUT_S": "29"})
    if start == "warm":
        assert runtime.generate(router).status == 200
    runtime.cheap.script = runtime.dear.script = runtime.silent
    answer = runtime.generate(router)
    assert answer.status in (502, 504)
    assert answer.body["error"]["code"] in ("deadline_exceeded", "all_providers_failed")
    assert [attempt["outcome"] for attempt in answer.body["attempts"]] == ["out_of_time", "out_of_time"]
    assert "timed out after" not in router.logged()
    assert len(router.init_ms()) == 1
    assert runtime.records()[-1].state is RecordState.SETTLED


@pytest.mark.parametrize("served", ["well", "after a failure", "by nobody"])
def test_no_task_is_pending_after_an_answer(runtime, served):
    runtime.parameters = {"GatewayTimeoutS": "6"}
    if served != "well":
        runtime.cheap.script = runtime.silent
    if served == "by nobody":
        runtime.dear.script = runtime.silent
    answer = probed(runtime).invoke(runtime.generate_event())
    assert (reply(answer).status == 200) is (served != "by nobody")
    assert answer.value()["pending"] == []


def test_a_task_left_pending_would_be_seen(runtime):
    answer = probed(runtime).invoke({**runtime.generate_event(), "leaves_a_task": True})
    assert len(answer.value()["pending"]) == 1
