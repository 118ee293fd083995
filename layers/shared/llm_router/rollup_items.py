"""A rollup as a DynamoDB item and back: one item for each kind and period, its sums as packed JSON. Pure.

A sum of each its own item would be a write each, and a transaction takes no more than 100. docs/data-model.md has the
keys.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from llm_router import json_text
from llm_router.rollups import Kind, Period, RollupKey, Sums
from llm_router.spans import Segment

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_NO_START = "-"
"""Of the total; a sort key can't be empty."""

_LAST = "~"


def key(of: RollupKey) -> dict[str, str]:
    return {"pk": partition(of.period, of.kind), "sk": of.start or _NO_START}


def partition(period: Period, kind: Kind) -> str:
    return f"rollups#{period}#{kind}"


def bounds(segment: Segment) -> tuple[str, str]:
    """The first and the last sort key that a query for a segment may find; nothing is called as the second."""
    return segment.low or _NO_START, segment.high or _LAST


def start(item: Mapping[str, Any]) -> str:
    found: str = item["sk"]["S"]
    return "" if found == _NO_START else found


def packed(sums: Sums) -> AttributeValueTypeDef:
    return {"B": zlib.compress(json_text.encode(sums))}


def sums(item: Mapping[str, Any]) -> Sums:
    """Empty for an item that is not there."""
    if "sums" not in item:
        return {}
    return cast("Sums", json_text.decode(zlib.decompress(item["sums"]["B"])))
