"""What the router itself costs for a request."""

from decimal import Decimal

import pytest

from builders import attempt, record
from llm_router import infrastructure
from llm_router.infrastructure import InfrastructurePrices
from llm_router.usage import Outcome, RecordState

ONE_EACH = InfrastructurePrices(
    gb_second=Decimal(1), lambda_request=Decimal(100), gateway_request=Decimal(1000), table_write=Decimal(10000)
)


@pytest.mark.parametrize(
    ("one", "memory_mb", "expected"),
    [
        (record(latency_ms=1500), 1024, "21101.5"),
        (record(latency_ms=1500), 512, "21100.75"),
        (record(attempt(outcome=Outcome.TIMEOUT), attempt(), latency_ms=0), 512, "31100"),
        (record(latency_ms=None, state=RecordState.UNSETTLED), 1024, "21128"),
    ],
    ids=["a second and a half", "half the memory", "a further attempt is a further write", "up to its deadline"],
)
def test_it_is_the_formula(one, memory_mb, expected):
    assert ONE_EACH.request_usd(one, memory_mb=memory_mb) == Decimal(expected)


def test_prices_are_named_and_the_last_of_a_name_counts():
    found = infrastructure.parsed("gb_second=0.00002 table_write=0.1 gb_second=0.00003")
    assert found == {"gb_second": Decimal("0.00003"), "table_write": Decimal("0.1")}
    assert infrastructure.parsed("") == {}
