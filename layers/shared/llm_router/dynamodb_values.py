"""Python values as DynamoDB's typed ones and back: text, numbers, truth values, nothing, lists, maps. Pure.

The same as boto3's TypeSerializer, which is the tests' oracle; loading that loads half of boto3, 40 ms of a cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Clamped, Context, Decimal, Inexact, Overflow, Rounded, Underflow
from typing import Any

NUMBERS = Context(Emin=-128, Emax=126, prec=38, traps=[Clamped, Overflow, Inexact, Rounded, Underflow])
"""What DynamoDB keeps of a number, and nothing is rounded to fit
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
"""


def typed(value: object) -> Any:
    """Raises TypeError for what DynamoDB has no type for, and decimal's signals for a number that it would round."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | Decimal):
        return {"N": _number(value)}
    if isinstance(value, Mapping):
        return {"M": {name: typed(item) for name, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [typed(item) for item in value]}
    if value is None:
        return {"NULL": True}
    raise TypeError(f"DynamoDB has no type for {type(value).__name__}")


def plain(attribute: Mapping[str, Any]) -> Any:
    """Numbers become decimals. Raises TypeError for a type that is never written."""
    ((kind, value),) = attribute.items()
    if kind in ("S", "BOOL"):
        return value
    if kind == "N":
        return NUMBERS.create_decimal(value)
    if kind == "M":
        return {name: plain(item) for name, item in value.items()}
    if kind == "L":
        return [plain(item) for item in value]
    if kind == "NULL":
        return None
    raise TypeError(f"an attribute of type {kind}")


def _number(value: int | Decimal) -> str:
    number = NUMBERS.create_decimal(value)
    if not number.is_finite():
        raise TypeError(f"DynamoDB has no {number}")
    return str(number)
