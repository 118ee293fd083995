"""A provider's usage export as it comes: known by its header, read cell by cell, and what can't be read is told."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.reconciliation import layouts, statement
from infra.reconciliation.amounts import Amounts, Place
from infra.reconciliation.layouts import LAYOUTS, UnknownLayoutError
from infra.reconciliation.statement import UnreadableFileError

DAY = date(2026, 11, 23)
PLAIN = "date,model,input_tokens,output_tokens,cost_usd\n"

EXPORTS = {
    "OpenAI, usage of completions": (
        (
            "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
            "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens\n"
            "1795392000,1795478400,2026-11-23T00:00:00+00:00,2026-11-24T00:00:00+00:00,,2,,,gpt-4o-mini-2024-07-18,,,30,7,9,21\n"
            "1795478400,1795564800,2026-11-24T00:00:00+00:00,2026-11-25T00:00:00+00:00,,,,,,,,,,,\n"
        ),
        {Place(DAY, "gpt-4o-mini-2024-07-18"): Amounts(requests=2, input_tokens=30, output_tokens=7)},
    ),
    "OpenAI, costs": (
        (
            "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
            '1795392000,1795478400,2026-11-23T00:00:00+00:00,,0.0000450000000000,usd,"gpt-4o-mini, input",\n'
            '1795392000,1795478400,2026-11-23T00:00:00+00:00,,0.00001,usd,"gpt-4o-mini, output",\n'
            "1795478400,1795564800,2026-11-24T00:00:00+00:00,,,,,\n"
        ),
        {Place(DAY, "gpt-4o-mini"): Amounts(usd=Decimal("0.000055"))},
    ),
    "Anthropic, usage": (
        (
            "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
            "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
            "usage_output_tokens,web_search_count,inference_geo,speed\n"
            "2026-11-23,claude-haiku-4-5-20251001,k,Default,standard,≤ 200k,100,20,3,4000,55,0,,\n"
        ),
        {Place(DAY, "claude-haiku-4-5-20251001"): Amounts(input_tokens=4123, output_tokens=55)},
    ),
    "Anthropic, cost": (
        (
            "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n"
            "2026-11-23,Claude Haiku 4.5,Default,k,message,≤ 200k,input_no_cache,0.05,0.05,token\n"
            "2026-11-23,Claude Haiku 4.5,Default,k,message,≤ 200k,output,0.10,0.10,token\n"
        ),
        {Place(DAY, "Claude Haiku 4.5"): Amounts(usd=Decimal("0.15"))},
    ),
    "plain": (
        PLAIN + "2026-11-23,small,10,5,0.25\n",
        {Place(DAY, "small"): Amounts(input_tokens=10, output_tokens=5, usd=Decimal("0.25"))},
    ),
}


def read(text, **chosen):
    return statement.read(text, layouts.recognised, **chosen)


def test_there_is_an_export_for_each_layout():
    assert EXPORTS.keys() == {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_known_by_its_header_and_read_whole(name):
    text, amounts = EXPORTS[name]
    found = read(text)
    assert (found.layout.name, found.amounts, found.unreadable) == (name, amounts, [])


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("changed", ["bom", "lines", "semicolons", "empty lines"])
def test_how_a_spreadsheet_saves_it_changes_nothing(name, changed):
    text, amounts = EXPORTS[name]
    out = io.StringIO()
    csv.writer(out, delimiter=";").writerows(csv.reader(io.StringIO(text)))
    saved = {
        "bom": f"\ufeff{text}",
        "lines": text.replace("\n", "\r\n"),
        "semicolons": out.getvalue(),
        "empty lines": "\n" + text.replace("\n", "\n\n , \n"),
    }[changed]
    found = read(saved)
    assert (found.amounts, found.unreadable) == (amounts, [])


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("yesterday,small,1,1,1", "'yesterday' is no day"),
        ("11/23/2026,small,1,1,1", "no day"),
        ("2026-11-23,,1,1,1", "no model"),
        ("2026-11-23,small,many,1,1", "input_tokens is 'many', no number"),
        ("2026-11-23,small,1.5,1,1", "no whole number"),
        ("2026-11-23,small,-1,1,1", "no whole number"),
        ("2026-11-23,small,NaN,1,1", "no number"),
        ("2026-11-23,small,1_000,1,1", "no number"),
        ('2026-11-23,small,1,1,"0,25"', "no number"),
        ('2026-11-23,small,1,1,"0,250"', "no number"),
        ('2026-11-23,small,"1,00",1,1', "no number"),
        ("2026-11-23,small,1,1,1,7", "6 cells under 5 headings"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_by_its_number_and_stops_no_other(cells, reason):
    found = read(f"{PLAIN}\n{cells}\n2026-11-23,small,1,2,3\n")
    ((line, told),) = [(bad.line, bad.reason) for bad in found.unreadable]
    assert line == 3
    assert reason in told
    assert found.amounts == {Place(DAY, "small"): Amounts(input_tokens=1, output_tokens=2, usd=Decimal(3))}


@pytest.mark.parametrize(
    ("text", "number"),
    [("1,234", 1234), ("1,234,567", 1234567), ("12.0", 12), ("", 0), (" 7 ", 7)],
)
def test_counts_are_read_as_they_are_written(text, number):
    found = read(f'{PLAIN}2026-11-23,small,"{text}",0,1\n')
    assert found.amounts[Place(DAY, "small")].input_tokens == number


@pytest.mark.parametrize(("text", "usd"), [("$1,234.50", "1234.50"), ("4.5e-05", "0.000045"), ("-0.10", "-0.10")])
def test_amounts_are_decimals_to_the_last_digit(text, usd):
    found = read(f'{PLAIN}2026-11-23,small,1,0,"{text}"\n')
    assert found.amounts[Place(DAY, "small")].usd == Decimal(usd)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23",
        "2026-11-23 23:59:59",
        "2026-11-23T00:00Z",
        "2026-11-24T00:30:00+01:00",
        "1795392000",
        "1795392000.0",
    ],
)
def test_a_day_is_one_in_utc(text):
    assert read(f"{PLAIN}{text},small,1,1,1\n").amounts.keys() == {Place(DAY, "small")}


def test_costs_in_another_currency_are_not_taken_for_dollars():
    text, _ = EXPORTS["OpenAI, costs"]
    found = read(text.replace("usd,", "eur,", 1))
    assert [bad.reason for bad in found.unreadable] == ["in eur, not in USD"]


def test_of_a_file_with_several_providers_one_is_read():
    text = (
        "date,provider,model,input_tokens,output_tokens,cost_usd\n2026-11-23,Groq,a,1,1,1\n2026-11-23,openai,b,2,2,2\n"
    )
    assert [place.model for place in read(text, provider="groq").amounts] == ["a"]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff\n"])
def test_an_empty_file_is_none(text):
    with pytest.raises(UnreadableFileError):
        read(text)


def test_an_unknown_header_is_told_with_the_options_that_name_columns():
    with pytest.raises(UnknownLayoutError, match="--date-column"):
        read("when,what\n")


def test_columns_can_be_named():
    def as_named(header):
        return layouts.named(header, day="When", model="What", amounts={"input_tokens": ["a", "b"], "usd": []})

    found = statement.read("When,What,a,b\n2026-11-23,small,1,2\n", as_named)
    assert found.amounts == {Place(DAY, "small"): Amounts(input_tokens=3)}
    with pytest.raises(UnknownLayoutError, match="no column What, b"):
        statement.read("When,a\n", as_named)


LINES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["a", "b"]),
        st.integers(0, 10**12),
        st.integers(0, 10**9),
        st.decimals(0, 10**6, places=12),
    ),
    min_size=1,
)


@given(LINES)
def test_lines_of_a_day_and_model_are_added_up_exactly(lines):
    rows = [f"{DAY + timedelta(days)},{model},{inward},{out},{usd}" for days, model, inward, out, usd in lines]
    found = read(PLAIN + "\n".join(rows))
    assert found.unreadable == []
    for kind, at in (("input_tokens", 2), ("output_tokens", 3), ("usd", 4)):
        assert sum(amounts.of(kind) for amounts in found.amounts.values()) == sum(line[at] for line in lines)
