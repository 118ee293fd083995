"""Who may reach for what: policy is pure, few modules touch the outside, a cold start loads only what it needs."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import llm_router

PACKAGE = Path(llm_router.__file__).parent
LIBRARY = PACKAGE.parent

# What makes a module's results depend on more than its arguments, or talk to somebody.
OUTSIDE = frozenset(
    {
        "asyncio",
        "aws_lambda_powertools",
        "boto3",
        "botocore",
        "fastapi",
        "httpcore",
        "httpx",
        "mangum",
        "os",
        "random",
        "socket",
        "ssl",
        "starlette",
        "subprocess",
        "threading",
        "time",
        "urllib.request",
    }
)

# All modules but these are pure. Each stands here with all that it may reach for, and no more.
MAY_REACH = {
    "app": {"aws_lambda_powertools", "fastapi", "starlette"},  # the HTTP surface
    "aws": {"botocore"},  # knows what its clients raise
    "aws_json": {"botocore", "random", "ssl", "time"},  # asks DynamoDB and SSM; raises what botocore raises
    "aws_session": {"botocore"},  # what botocore knows and S3's client
    "cancellation": {"asyncio"},  # what happens to a task whose caller has gone
    "checkpoints": {"botocore"},  # knows DynamoDB's errors
    "client_keys": {"asyncio"},  # reads DynamoDB in a thread
    "clock": {"asyncio", "random", "time"},  # the only source of time and chance
    "deadlines": {"starlette", "time"},  # what is left of a request's time
    "connections": {"httpcore", "ssl"},  # keeps the connections to the providers
    "dispatcher": {"asyncio", "aws_lambda_powertools"},  # the use case: gathers, waits and logs
    "exchange": {"asyncio"},  # waits for the provider, within limits
    "fleet": {"asyncio", "aws_lambda_powertools"},  # asks DynamoDB in a thread, logs when it can't
    "fleet_store": {"botocore"},  # knows DynamoDB's errors
    "fitting": {"asyncio", "aws_lambda_powertools"},  # counts and cuts in a thread, logs when it can't
    "http_requests": {"starlette"},  # reads a request's body
    "http_responses": {"starlette"},  # makes responses
    "ledger": {"botocore"},  # knows DynamoDB's errors
    "live": {"asyncio", "starlette"},  # sends while the answer comes
    "overview": {"asyncio"},  # reads the figures in a thread
    "provider_keys": {"asyncio", "aws_lambda_powertools", "botocore"},  # reads SSM in threads, knows its errors, logs
    "request_log": {"aws_lambda_powertools", "starlette", "time"},  # times and logs each request
    "stats_job": {"aws_lambda_powertools"},  # logs how it went
    "stats_wiring": {"aws_lambda_powertools"},  # puts the stats function's parts together
    "trials": {"asyncio"},  # waits for what is under way
    "tls": {"ssl"},  # reads the certificates
    "tokens": {"aws_lambda_powertools", "threading"},  # loads the vocabulary once, logs when it can't
    "transport": {"httpcore", "httpx", "ssl", "time"},  # the one seam to the providers
    "wiring": {"aws_lambda_powertools", "fastapi"},  # puts the router's parts together
}

# Policy: what decides. It rests on other policy only, so that plain values are enough to try it.
POLICY = frozenset(
    {
        "billing",
        "candidates",
        "chat_texts",
        "cleaning",
        "completions",
        "contributions",
        "cutting",
        "errors",
        "failover",
        "fees",
        "fitting_limits",
        "health",
        "inflating",
        "infrastructure",
        "json_text",
        "optimization",
        "outlines",
        "passages",
        "positions",
        "pricing",
        "prompt_sizes",
        "prompt_warnings",
        "prompts",
        "recall",
        "relevance",
        "retry_after",
        "rollup_items",
        "rollups",
        "routing",
        "settings",
        "sketch",
        "spans",
        "sse",
        "turns",
        "upstream",
        "usage",
        "verdicts",
    }
)


def name_of(file):
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {name_of(file): ast.parse(file.read_text()) for file in sorted(PACKAGE.rglob("*.py"))}


def imported(tree):
    """The full names of all that a module imports, at its top or anywhere in it; for types alone as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def outside(tree):
    """The members of OUTSIDE that are imported, by themselves or through a part of theirs."""
    return {known for known in OUTSIDE for name in imported(tree) if f"{name}.".startswith(f"{known}.")}


def own(tree):
    """The modules of this library that are imported."""
    names = (name.removeprefix("llm_router.") for name in imported(tree) if name.startswith("llm_router."))
    return {next(part for part in (name, name.rpartition(".")[0]) if part in MODULES) for name in names}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_reaches_only_for_what_it_is_there_for(name):
    assert outside(MODULES[name]) <= MAY_REACH.get(name, set())


@pytest.mark.parametrize("name", MAY_REACH)
def test_no_permission_is_left_unused(name):
    assert outside(MODULES[name]) == MAY_REACH[name]


@pytest.mark.parametrize("name", sorted(POLICY) + sorted(name for name in MODULES if name.startswith("adapters.")))
def test_policy_and_adapters_rest_on_policy_alone(name):
    assert name not in MAY_REACH
    beside = {other for other in MODULES if other.startswith("adapters.")} if name.startswith("adapters.") else set()
    assert own(MODULES[name]) <= POLICY | beside


@pytest.mark.parametrize("name", MODULES)
def test_the_environment_is_an_argument(name):
    """The functions' handlers read it and hand it in."""
    assert not {found for found in imported(MODULES[name]) if found.split(".")[0] == "os"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_opens_with_a_sentence_on_what_it_owns(name):
    assert ast.get_docstring(MODULES[name])


# What a cold start must not load, and why. What is not installed where the tests run would fail the import itself.
TOO_HEAVY = {
    "tiktoken": "its vocabulary costs 0.4 s and 92 MB; loaded when bytes say that it could matter",
    "llm_router.relevance": "9 ms of patterns that only a trim needs",
    "genai_prices": "0.2 s and 28 MB; it feeds the catalogue at development time",
    "aws_lambda_powertools.utilities.parameters": "211 ms; provider_keys reads SSM itself",
    "aws_xray_sdk": "390 ms with powertools' tracer",
    "uvicorn": "serves where no Lambda does",
    "pytest": "the tests' own",
    "hypothesis": "the tests' own",
    "moto": "the tests' own",
    "ministack": "one machine's emulator",
    "playwright": "the browser tests' own",
    "mypy_boto3_dynamodb": "types, for the type checker",
    "boto3": "half of what the libraries of a cold start cost; aws_json asks DynamoDB and SSM itself",
    "botocore.session": "the same",
    "botocore.client": "the same",
    "urllib3": "what botocore asks with",
}


def loaded_by(statement):
    """The modules that a new interpreter holds after the statement."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(LIBRARY), "AWS_DEFAULT_REGION": "eu-central-1"}
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; print(*sys.modules)"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(told.stdout.split())


@pytest.fixture(scope="module")
def cold_start():
    return loaded_by("import llm_router.wiring")


@pytest.mark.parametrize("name", TOO_HEAVY)
def test_a_cold_start_does_not_load(cold_start, name):
    assert "llm_router.dispatcher" in cold_start
    assert name not in cold_start, TOO_HEAVY[name]


@pytest.mark.parametrize("name", ["fastapi", "starlette", "mangum", "pydantic", "httpx", "yaml"])
def test_the_stats_function_does_not_load_what_serves_http(name):
    """Half of its cold start, when it did."""
    assert name not in loaded_by("import llm_router.stats_wiring")


@pytest.mark.parametrize("name", sorted(POLICY))
def test_policy_can_be_tried_without_loading_anything_heavy(name):
    heavy = {"boto3", "botocore", "httpx", "fastapi", "starlette", "pydantic", "asyncio"}
    assert not heavy & loaded_by(f"import llm_router.{name}")
