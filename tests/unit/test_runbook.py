"""Each alarm has its page, and a page promises only what is there: events, fields, codes, parameters, outputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.local import template
from llm_router import errors
from llm_router.usage import Outcome

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "runbook"
PAGES = {page.stem: page.read_text() for page in sorted(RUNBOOK.glob("*.md")) if page.stem != "README"}
INDEX = (RUNBOOK / "README.md").read_text()
ALL_PAGES = {**PAGES, "README": INDEX, "operations": (ROOT / "docs" / "operations.md").read_text()}
SOURCE = (ROOT / "template.yaml").read_text()
LIBRARY = "\n".join(path.read_text() for path in (ROOT / "layers/shared/llm_router").glob("*.py"))

SECTIONS = ["**Means:**", "**Callers see**", "**Look first", "**Causes**", "**Ends**"]
LAMBDAS_OWN = {"Throttles", "ReservedConcurrentExecutions", "ExpectedValue", "Events", "Traceback"}
HEADINGS = {"error_code", "reason", "behind_s", "invoke"}
"""What tables of causes go by, where it is no code."""

NOT_FOR_RESTORING = {
    "Query": "records are found by position",
    "BatchGetItem": "the same",
    "TransactWriteItems": "allowed by what it is made of",
}
OPERATIONS = set(re.findall(r'asking\("(\w+)"\)', (ROOT / "layers/shared/llm_router/ledger.py").read_text()))
SERVICES_WORDS = re.compile(r"\w+(?:Error|Exception|Bucket|Denied)$")
"""Error codes of AWS's, and exceptions."""


def alarms():
    """Description by name without the stage's part."""
    found = [r["Properties"] for r in template.resources().values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    return {alarm["AlarmName"].removeprefix("llm-router-${Stage}-"): alarm["AlarmDescription"] for alarm in found}


def section(name):
    """The names one level below a section of the template."""
    body = re.search(rf"^{name}:\n((?:[ \n#].*\n?)*)", SOURCE, re.MULTILINE)[1]
    return set(re.findall(r"^  (\w+):", body, re.MULTILINE))


def logged_events():
    return {one or other for one, other in re.findall(r'event="([a-z_.]+)"|"event": "([a-z_.]+)"', LIBRARY)}


def codes():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return {kind.code for kind in kinds if issubclass(kind, errors.CallerError)}


def fields(page):
    """Of the log's lines, in filter patterns and in queries."""
    queries = " ".join(re.findall(r"```\n(.*?)```", page, re.DOTALL))
    words = re.findall(r"\b[a-z_]+\b", re.sub(r'"[^"]*"|as \w+|[@.]\w+', "", queries))
    grammar = {"filter", "and", "stats", "count", "by", "sort", "desc", "like", "requests"}
    return set(re.findall(r"\$\.([a-z_]+)", page)) | (set(words) - grammar)


def test_alarms_and_pages_match_one_to_one():
    assert alarms().keys() == PAGES.keys()
    assert len(alarms()) == 9, "docs/deploying.md says how many, and what they cost"


@pytest.mark.parametrize("alarm", alarms())
def test_an_alarm_names_its_page_and_the_index_links_it(alarm):
    assert re.findall(r"docs/runbook/[\w-]+\.md", alarms()[alarm]) == [f"docs/runbook/{alarm}.md"]
    assert f"[{alarm}]({alarm}.md)" in INDEX


@pytest.mark.parametrize("alarm", PAGES)
def test_a_page_has_its_parts_in_order_and_is_short(alarm):
    page = PAGES[alarm]
    assert page.startswith(f"# {alarm}\n")
    found = [page.find(section) for section in SECTIONS]
    assert -1 not in found
    assert found == sorted(found)
    assert len(page.splitlines()) <= 60


@pytest.mark.parametrize("name", ALL_PAGES)
def test_every_event_that_a_page_looks_for_is_logged_and_every_field_is_in_the_log(name):
    page = ALL_PAGES[name]
    events = set(re.findall(r'event = "([^"]+)"', page)) | set(re.findall(r"`(ledger\.[a-z]+|adapter_failed)`", page))
    assert events <= logged_events()
    assert [field for field in fields(page) if f'"{field}"' not in LIBRARY and f"{field}=" not in LIBRARY] == []


@pytest.mark.parametrize("name", ALL_PAGES)
def test_every_code_and_outcome_that_a_page_names_is_one_of_the_routers(name):
    page = ALL_PAGES[name]
    assert set(re.findall(r'error_code = "([^"]+)"', page)) <= codes()
    named = set(re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+)[^|]*\|", page, re.MULTILINE))
    words = {word for cell in named for word in re.findall(r"`([a-z_]+)`", cell)}
    assert words <= codes() | set(Outcome) | HEADINGS


@pytest.mark.parametrize("name", ALL_PAGES)
def test_every_parameter_and_output_that_a_page_names_is_in_the_template(name):
    page = ALL_PAGES[name]
    set_to = re.findall(r'PARAMETERS="([^"]*)"', page)
    assert {pair.split("=")[0] for text in set_to for pair in text.split()} <= section("Parameters")
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w*|[A-Z][a-z]+s)`", page))
    known = section("Parameters") | section("Outputs") | template.resources().keys() | LAMBDAS_OWN | OPERATIONS
    assert {word for word in named - known if not SERVICES_WORDS.match(word)} == set()


def test_the_gateways_page_has_every_code_of_the_500_kind():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CallerError)]
    of_500 = {kind.code for kind in kinds if kind.status >= 500}
    assert [code for code in of_500 if f"`{code}`" not in PAGES["gateway-5xx"]] == []
    assert len(of_500) > 5


def test_putting_records_back_needs_what_the_page_says():
    named = set(re.findall(r"`(\w+Item)`", PAGES["ledger-unwritten"]))
    assert named == OPERATIONS - NOT_FOR_RESTORING.keys()


def test_the_pages_name_such_things_at_all():
    """Else the tests above would find nothing wrong in anything."""
    together = "".join(PAGES.values())
    assert {"request", "aggregated", "ledger.unwritten", "provider_refused"} <= set(
        re.findall(r'event = "([^"]+)"', together)
    )
    assert {"error_code", "event", "status", "path"} <= fields(together)
    assert {"RouterMemoryMb", "LogRetentionDays"} <= section("Parameters")
    assert "StatsFunction" in section("Outputs")
    assert "all_providers_failed" in codes()
