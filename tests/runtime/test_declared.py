"""What is read from the template: resolved as CloudFormation would, and nothing made up."""

from __future__ import annotations

import pytest

from infra.runtime import declared

NAMES = {"LedgerTable": "ledger-1", "StateTable": "state-1", "PageBucket": "page-1"}


@pytest.fixture
def template():
    return declared.load()


def test_a_parameter_feeds_the_timeout_and_the_variable_alike(template):
    found = declared.function(template, "RouterFunction", resources=NAMES, parameters={"GatewayTimeoutS": "12"})
    assert (found.timeout_s, found.variables["GATEWAY_TIMEOUT_S"]) == (12, "12")


def test_what_is_not_given_has_its_default(template):
    found = declared.function(template, "RouterFunction", resources=NAMES)
    assert found.memory_mb == template["Parameters"]["RouterMemoryMb"]["Default"]
    assert found.variables["STAGE"] == template["Parameters"]["Stage"]["Default"]


def test_each_function_has_the_shared_variables_and_its_own(template):
    router, stats = (declared.function(template, name, resources=NAMES) for name in ("RouterFunction", "StatsFunction"))
    assert router.variables["LEDGER_TABLE"] == stats.variables["LEDGER_TABLE"] == "ledger-1"
    assert stats.variables["PAGE_BUCKET"] == "page-1"
    assert "PAGE_BUCKET" not in router.variables
    assert set(router.layers) & set(stats.layers) == {"SharedLayer"}


def test_a_reference_to_what_is_not_there_is_an_error(template):
    with pytest.raises(KeyError, match="LedgerTable"):
        declared.function(template, "RouterFunction", resources={})
