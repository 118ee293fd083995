"""The streaming function as built: its run.sh as the server, and the runtime's events through a stand-in adapter.

What streams, and when, is tried over HTTP elsewhere; here it is the environment's life.
"""

from __future__ import annotations

import signal
import threading

import handlers
from llm_router.usage import RecordState
from provider_server import always, completion


def chat_event(runtime, **body):
    asked = {"messages": [{"role": "user", "content": "Hello"}], **body}
    return handlers.post("/v1/chat/completions", asked, authorization=f"Bearer {runtime.resources.client_key}")


def test_cold_and_warm_answers_come_from_one_environment(runtime):
    streaming = runtime.streaming()
    answers = [streaming.invoke(chat_event(runtime, stream=True)).value() for _ in range(3)]
    assert [answer["statusCode"] for answer in answers] == [200] * 3
    assert all("Cheap." in answer["body"] for answer in answers)
    assert all(answer["body"].endswith("data: [DONE]\n\n") for answer in answers)
    assert len(streaming.init_ms()) == 1
    assert len(runtime.server.accepted) == 1
    assert [record.state for record in runtime.records()] == [RecordState.SETTLED] * 3


def test_silent_providers_end_in_an_error_before_lambdas_timeout(runtime):
    """The route gives two minutes: only the context's deadline can have ended it."""
    streaming = runtime.streaming(timeout_s=6)
    runtime.cheap.script = runtime.dear.script = runtime.silent
    answer = streaming.invoke(chat_event(runtime, stream=True)).value()
    assert "[DONE]" not in answer["body"]
    assert any(code in answer["body"] for code in ("deadline_exceeded", "all_providers_failed"))
    assert "timed out after" not in streaming.logged()
    assert runtime.records()[-1].state is RecordState.SETTLED


def test_a_killed_server_leaves_its_record_pending_and_the_next_one_answers(runtime):
    arrived = threading.Event()

    def holding(call):
        arrived.set()
        return runtime.silent(call)

    runtime.cheap.script = holding
    streaming = runtime.streaming()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(streaming.invoke(chat_event(runtime))))
    asking.start()
    assert arrived.wait(30)
    streaming.signal_runtime(signal.SIGKILL)
    asking.join(30)
    (killed,) = answers
    assert "statusCode" not in killed.text
    runtime.cheap.script = always(completion("Cheap."))
    assert streaming.invoke(chat_event(runtime)).value()["statusCode"] == 200
    assert [record.state for record in runtime.records()] == [RecordState.PENDING, RecordState.SETTLED]
    assert len(streaming.init_ms()) == 2
