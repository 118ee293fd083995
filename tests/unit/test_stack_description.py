"""What the operators' tools take a stack's description for is what the template says of itself."""

from __future__ import annotations

from decimal import Decimal

import pytest
from botocore.exceptions import ClientError

from infra.deploy import stack
from infra.runtime import declared
from llm_router.infrastructure import GB_SECOND


class CloudFormation:
    """Describes one stack: the outputs of the template, and its parameters at their defaults, or as changed."""

    def __init__(self, **changed):
        template = declared.load()
        self.outputs = {name: f"the {name}" for name in template["Outputs"]}
        self.parameters = {
            name: str(given.get("Default", "")) for name, given in template["Parameters"].items()
        } | changed

    def describe_stacks(self, **asked):
        if asked["StackName"] != "llm-router-prod":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "does not exist"}}, "DescribeStacks")
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        return {"Stacks": [{"Outputs": outputs, "Parameters": parameters}]}


def test_the_ledger_is_opened_as_the_functions_open_it():
    cover = stack.described(CloudFormation(LedgerShards="8"), stage="prod").cover
    assert (cover.table, cover.shards, cover.retention_days) == ("the LedgerTable", 8, 400)
    assert cover.prices.gb_second == GB_SECOND["arm64"]


def test_running_it_is_counted_at_the_stacks_own_prices():
    changed = {"Architecture": "x86_64", "InfrastructurePrices": "table_write=0.0000007"}
    prices = stack.described(CloudFormation(**changed), stage="prod").cover.prices
    assert (prices.gb_second, prices.table_write) == (GB_SECOND["x86_64"], Decimal("0.0000007"))


def test_the_logs_are_those_of_the_functions_that_settle_requests():
    assert stack.described(CloudFormation(), stage="prod").log_groups == ["the RouterLogs", "the StreamingLogs"]


def test_a_stage_that_was_never_deployed_is_told():
    with pytest.raises(stack.NoStackError, match="There is no stack llm-router-dev here"):
        stack.described(CloudFormation(), stage="dev")
