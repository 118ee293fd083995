"""Reads from template.yaml what the local machine shares with the deployed stack: the tables and the page's policy."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PATH = Path(__file__).resolve().parents[2] / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's own tags (`!Ref`, `!Sub`) as the plain values behind them."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML has no fourth kind
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _untagged)


@cache
def resources() -> dict[str, dict[str, Any]]:
    """The template's resources by logical name."""
    found: dict[str, dict[str, Any]] = yaml.load(PATH.read_text(), _Loader)["Resources"]  # noqa: S506  # a safe loader
    return found


def create_table(client: DynamoDBClient, *, logical_name: str, name: str) -> None:
    """Create the table as the stack would have it, unless it is there."""
    if name in client.list_tables()["TableNames"]:
        return
    properties = resources()[logical_name]["Properties"]
    client.create_table(
        TableName=name,
        AttributeDefinitions=properties["AttributeDefinitions"],
        KeySchema=properties["KeySchema"],
        BillingMode=properties["BillingMode"],
    )


def page_headers() -> dict[str, str]:
    """The security headers with which CloudFront serves the page."""
    policies = [found for found in resources().values() if found["Type"] == "AWS::CloudFront::ResponseHeadersPolicy"]
    security = policies[0]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    return {
        "content-security-policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }
