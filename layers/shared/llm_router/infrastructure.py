"""What the router itself costs its owner for a request: Lambda's time, the gateway, the table. Pure.

The formula, in USD for one request:

    seconds x memory in GB x gb_second + lambda_request + gateway_request + writes x table_write

Seconds are those from its coming in to its settlement, most of which is waiting for the provider; for a request that
never settled, those up to its deadline. Writes are the opening, one for each further attempt, and the settlement. What
no single request causes is not in it: starts, the stats function, logs, storage, the page.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation

from llm_router.usage import UsageRecord

MB_PER_GB = 1024
GB_SECOND = {"arm64": Decimal("0.0000133334"), "x86_64": Decimal("0.0000166667")}


@dataclass(frozen=True, slots=True)
class InfrastructurePrices:
    """USD each, without any free tier; as published for us-east-1 and arm64 in November 2026.

    Sources: https://aws.amazon.com/lambda/pricing/, https://aws.amazon.com/api-gateway/pricing/ (REST API),
    https://aws.amazon.com/dynamodb/pricing/on-demand/
    """

    gb_second: Decimal = GB_SECOND["arm64"]
    lambda_request: Decimal = Decimal("0.0000002")
    gateway_request: Decimal = Decimal("0.0000035")
    table_write: Decimal = Decimal("0.000000625")

    def request_usd(self, record: UsageRecord, *, memory_mb: int) -> Decimal:
        gb_seconds = Decimal(memory_mb) / MB_PER_GB * _milliseconds(record) / 1000
        once = self.lambda_request + self.gateway_request
        return gb_seconds * self.gb_second + once + _writes(record) * self.table_write


def published(architecture: str) -> InfrastructurePrices:
    """Raises KeyError for an architecture that Lambda does not have."""
    return InfrastructurePrices(gb_second=GB_SECOND[architecture])


def parsed(text: str) -> dict[str, Decimal]:
    """The prices that `text` names: "gb_second=0.00002 table_write=0.0000007".

    Raises ValueError for a name that is none or an amount that is no price.
    """
    return dict(_named(part) for part in text.split())


def _named(part: str) -> tuple[str, Decimal]:
    name, _, amount = part.partition("=")
    if name not in [field.name for field in fields(InfrastructurePrices)]:
        raise ValueError(name)
    try:
        price = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(amount) from error
    if not price.is_finite() or not 0 <= price < 1 or len(price.as_tuple().digits) > 12:
        raise ValueError(amount)
    return name, price


def _milliseconds(record: UsageRecord) -> int:
    if record.latency_ms is not None:
        return record.latency_ms
    return round((record.deadline_at - record.opened_at).total_seconds() * 1000)


def _writes(record: UsageRecord) -> int:
    """A record takes up to 1 KB, one write unit."""
    return 2 + max(0, len(record.attempts) - 1)
