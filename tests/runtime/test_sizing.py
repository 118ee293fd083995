"""From measured times to dollars, a recommendation and the page."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from infra.runtime import costs, sizing_page
from infra.runtime.costs import Measured
from infra.runtime.sizing_page import Basis

GOOD = Measured(memory_mb=512, init_s=1.0, lent_init_s=0.6, first_s=0.5, warm_s=0.02, warm_cpu_s=0.01, peak_mb=100.0)
BASIS = Basis(
    measured_on=date(2026, 11, 24),
    runs=3,
    busy=0.4,
    processor="a processor",
    largest_body_bytes=4_500_000,
    stats_runs_a_month=8640,
)


def test_waiting_is_charged_like_work():
    """One GB for a second and a million requests are the two published prices, added."""
    instant = replace(GOOD, memory_mb=1024, warm_s=0.0)
    assert costs.usd_per_million(instant, wait_s=1) == costs.USD_PER_GB_SECOND * 1_000_000 + Decimal("0.20")
    assert costs.usd_per_million(replace(instant, warm_s=1.0), wait_s=0) == costs.usd_per_million(instant, wait_s=1)


def test_half_the_memory_halves_what_time_costs():
    assert costs.seconds_usd(512, 10) * 2 == costs.seconds_usd(1024, 10)


@pytest.mark.parametrize(
    ("change", "has_callers", "speaks"),
    [
        ({}, True, None),
        ({"peak_mb": None}, False, "memory"),
        ({"peak_mb": 512 * 0.76}, False, "memory"),
        ({"init_s": 3.8}, False, "start"),
        ({"init_s": 2.0}, True, "caller"),
        ({"init_s": 3.7}, False, None),
        ({"warm_s": 0.03}, True, "every request"),
        ({"warm_s": 0.03}, False, None),
        ({"warm_s": 0.55}, False, "catch up"),
    ],
)
def test_what_speaks_against_a_size(change, has_callers, speaks):
    found = costs.objection(replace(GOOD, **change), has_callers=has_callers)
    assert (found is None) if speaks is None else (speaks in found)


def test_the_smallest_size_with_nothing_against_it_is_taken():
    tight, slow = replace(GOOD, memory_mb=128), replace(GOOD, memory_mb=256, init_s=9.0)
    large = replace(GOOD, memory_mb=1024)
    assert costs.smallest_sufficient([large, GOOD, slow, tight], has_callers=True) is GOOD
    assert costs.smallest_sufficient([slow, tight], has_callers=True) is None


def test_the_page_names_one_choice_for_each_function_and_where_memory_ran_out():
    small = replace(GOOD, memory_mb=128, peak_mb=None)
    page = sizing_page.page([small, GOOD], [small, GOOD], [small, GOOD], basis=BASIS)
    assert page.count("**take this**") == 3
    assert page.count("ran out") == 3
    assert "24 November 2026" in page
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith("|"))
