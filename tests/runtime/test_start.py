"""A start that can't succeed says everything that is wrong, once, and nothing that is secret."""

from __future__ import annotations

SECRET = "gsk_never_to_be_shown"
BROKEN = f"""
providers:
  - {{name: groq, api_key: {SECRET}, models: [{{name: llama-3.1-8b-instant}}]}}
  - {{name: mine, models: [{{name: m, price: {{input: dear, output: 1}}}}]}}
routes:
  auto: {{candidates: [groq/nothing-like-it]}}
"""


def test_a_broken_configuration_is_logged_with_every_problem_and_no_secret(runtime):
    runtime.providers = BROKEN.replace("{", "{{").replace("}", "}}")
    router = runtime.router()
    answer = router.invoke(runtime.generate_event())
    assert "statusCode" not in answer.text
    for place in ("groq", "api_key", "mine", "base_url", "price", "nothing-like-it"):
        assert place in router.logged(), place
    assert SECRET not in router.logged() + answer.text


def test_an_environment_with_gaps_is_logged_with_every_problem(runtime):
    router = runtime.router(changes={"LEDGER_TABLE": "", "LEDGER_SHARDS": "many", "GATEWAY_TIMEOUT_S": "soon"})
    answer = router.invoke(runtime.generate_event())
    assert "statusCode" not in answer.text
    for name in ("LEDGER_TABLE", "LEDGER_SHARDS", "GATEWAY_TIMEOUT_S"):
        assert name in router.logged(), name


def test_the_stats_function_names_the_bucket_that_is_missing(runtime, schedule_event):
    stats = runtime.stats(changes={"PAGE_BUCKET": ""})
    answer = stats.invoke(schedule_event)
    assert "errorType" in answer.text
    assert "PAGE_BUCKET" in stats.logged()
