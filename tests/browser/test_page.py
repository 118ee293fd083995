"""What the page shows of the figures, in a real browser."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from browser.figures import NOW, attempt, busy, document, empty, encoded, hostile, model, request, warning

ABSENT = "\N{EN DASH}"
SCRIPT = """<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b id=markup>"""
CUT = """(figures) => figures.filter((node) =>
    node.scrollWidth > node.parentNode.clientWidth
    || node.offsetHeight > 2 * parseFloat(getComputedStyle(node).fontSize)).map((node) => node.textContent)"""
BADLY_BEHAVED = {
    "markup": SCRIPT,
    "a long word": "w" * 5000,
    "right to left": "\u202eمزود\u2067 evil",
    "line breaks and quotes": "a\r\n\t'\"`${1}\\",
    "a property of every object": "__proto__",
}


def tile(page: Page, label: str):
    return page.locator("#tiles .tile", has=page.get_by_text(label, exact=True))


def cells(page: Page, table: str) -> list[list[str]]:
    """The texts of a table's body, cell by cell, as a screen reader finds them."""
    rows = page.get_by_role("table", name=table).get_by_role("row")
    expect(rows.nth(1)).to_be_attached()
    return [[" ".join(cell.split()) for cell in row.locator("th, td").all_inner_texts()] for row in rows.all()[1:]]


# --- The figures are the document's -------------------------------------------------------------------------------


def test_totals_are_the_documents(opened):
    page = opened(document(pending=2, unsettled=1))
    for label, texts in {
        "Requests": ("12", "11 answered · 1 failed · 1 of them unsettled · 2 under way"),
        "Tokens": ("3,450", "2,000 prompt · 1,450 completion"),
        "Cost": ("$0.001235", "$0.001234567", "without 1 unknown"),
        "Exact costs": ("10", "1 estimated · 1 unknown"),
        "Success rate": ("91.67%", "11 of 12 answered"),
    }.items():
        for text in texts:
            expect(tile(page, label).get_by_text(text, exact=True)).to_be_visible()


def test_each_provider_and_model_has_its_figures(opened):
    assert cells(opened(document()), "Providers") == [
        ["groq llama-3.1-8b-instant", "8", "2,000", "$0.000200000", "88.89% 1 attempt failed", "0.410 s", "1.200 s"],
        ["openai", "3", "1,450", "$0.001034567", "88.89%", "0.410 s", "1.200 s"],
        ["gpt-4o-mini", "2", "2,000", "$0.000200000", "88.89% 1 attempt failed", "0.410 s", "1.200 s"],
        ["gpt-4o", "1", "2,000", "$0.000200000", "88.89% 1 attempt failed", "0.410 s", "1.200 s"],
    ]


def test_each_route_key_and_tag_has_its_figures(opened):
    figures = ["8 1 failed", "2,000", "$0.0002", "87.5%", "1.200 s"]
    assert cells(opened(document()), "Routes, keys and tags") == [
        ["auto Route", *figures],
        ["fast Route", "4", "2,000", "unknown", "87.5%", "1.200 s"],
        ["abc Client key", *figures],
        ["team=search Tag, last 24 hours", *figures],
    ]


def test_savings_trimming_waste_and_infrastructure_stand_with_their_formulas(opened):
    lines = opened(document()).locator("#balance-lines > div")
    assert [" ".join(line.split()) for line in lines.all_inner_texts()] == [
        "Savings $0.0123 over 9 requests the baseline's price less what was paid",
        "Trimmed prompts $0.0022 over 2 requests, 44,010 tokens tokens x input price",
        "Waste $0.0004 what failed attempts cost",
        "Infrastructure No Lambda function has served yet. seconds x memory",
    ]


@pytest.mark.parametrize("absent", [None, 7, "x", [None], {"usd": {}}])
def test_without_groups_and_balance_their_panels_are_not_there(opened, absent):
    names = ("routes", "keys", "tags", "savings", "trimming", "waste", "infrastructure")
    page = opened(document(**dict.fromkeys(names, absent)))
    expect(tile(page, "Requests")).to_be_visible()
    expect(page.locator("#by-group")).to_be_hidden()
    expect(page.locator("#balance")).to_be_hidden()


def test_a_provider_that_never_answered_has_no_latency(opened):
    silent = model(
        requests=0, tokens=0, cost=0, attempts=3, failedAttempts=3, successRate=0, latency={"p50": None, "p95": None}
    )
    page = opened(document(providers={"groq": {**silent, "models": {"m": silent}}}))
    assert cells(page, "Providers") == [["groq m", "0", "0", "$0.00", "0% 3 attempts failed", ABSENT, ABSENT]]


def test_bars_are_as_long_as_their_figures(opened):
    page = opened(document())
    bars = page.locator("#providers tr").filter(has_text="openai").locator(".bar")
    expect(bars).to_have_count(6)
    shares = bars.evaluate_all("all => all.map((bar) => bar.firstChild.offsetWidth / bar.offsetWidth)")
    # Requests 3 of 8, tokens 1450 of 2000, the highest cost, the success rate itself, latency on the scale of p95.
    assert shares == pytest.approx([3 / 8, 1450 / 2000, 1, 0.8889, 0.41 / 1.2, 1], abs=0.02)


def test_recent_requests_stand_with_status_cost_and_latency(opened):
    recent = [
        request(4, status="pending", provider=None, modelUsed=None, tokens=0, cost=0, latency=None, attempts=[]),
        request(3, status="unsettled", costBasis="estimated", error="unsettled"),
        request(2, status="failed", error="all_providers_failed", cost=None, costBasis="unknown", tokens=0),
        request(1, at="2026-11-22T23:59:58.000Z"),
    ]
    assert [row[:7] for row in cells(opened(document(recent=recent)), "Recent requests")] == [
        ["02:49:58", "auto", ABSENT, "under way", ABSENT, ABSENT, ABSENT],
        ["02:49:58", "auto", "not known", "unsettled unsettled", "15", "$0.000045 estimated", "1.200 s"],
        ["02:49:58", "auto", "no one", "failed all providers failed", "0", "unknown", "1.200 s"],
        ["23:59:58 22 Nov", "auto", "groq llama-3.1-8b-instant", "answered", "15", "$0.000045 exact", "1.200 s"],
    ]


def test_attempts_unfold_in_order_with_outcome_and_latency(opened):
    tries = [attempt(outcome="rate_limited", latency=Decimal("0.081")), attempt("openai", latency=Decimal("0.9"))]
    page = opened(document(recent=[request(attempts=tries, warnings=["The prompt was trimmed."])]))
    page.get_by_text("2 attempts, 1 warning").click()
    expect(page.locator("#recent .attempts li")).to_have_text(
        ["groq llama-3.1-8b-instantrate limited0.081 s", "openai gpt-4o-minisuccess0.900 s"]
    )
    expect(page.locator("#recent").get_by_text("The prompt was trimmed.")).to_be_visible()


def test_what_is_unfolded_stays_so_when_new_figures_come(opened, server):
    page = opened(document())
    page.get_by_text("2 attempts").click()
    server.stats = encoded(document(recent=[request(3), *document()["recent"]]))
    page.clock.fast_forward(6_000)
    expect(page.locator("#recent tr")).to_have_count(3)
    expect(page.locator("#recent details[open]")).to_have_count(1)
    expect(page.get_by_text("rate limited").or_(page.locator("#recent").get_by_text("server error"))).to_be_visible()


def test_charts_show_an_hour_without_requests_as_a_gap_and_name_their_table(opened):
    page = opened(document())
    charts = page.get_by_role("img", name="The table below has the figures")
    expect(charts).to_have_count(2)
    expect(charts.first.locator("g > title").filter(has_text="requests, ").first).to_have_text(
        "23 Nov, 00:00 to 01:00: 7 requests, 1 failed"
    )
    expect(charts.first.locator("title").filter(has_text="01:00 to 02:00")).to_have_text(
        "23 Nov, 01:00 to 02:00: no requests"
    )
    heights = charts.first.locator("rect.good").evaluate_all(
        "all => all.map((bar) => bar.getBoundingClientRect().height)"
    )
    assert heights[0] / heights[1] == pytest.approx(6 / 5, rel=0.02)


def test_the_hours_stand_in_a_table_too(opened):
    page = opened(document())
    page.get_by_text("The same as a table").click()
    assert cells(page, "Requests, tokens and cost by the hour, newest first") == [
        ["23 Nov, 02:00", "5", "0", "1,200", "$0.000400000"],
        ["23 Nov, 00:00", "7", "1", "2,250", "$0.000834567"],
    ]


def test_warnings_have_their_place(opened, server):
    page = opened(document())
    warnings = page.get_by_role("region", name="Warnings")
    expect(warnings.get_by_role("listitem")).to_have_text("None.")
    server.stats = encoded(document(warnings=[warning("3 requests never reported their end.")]))
    page.clock.fast_forward(6_000)
    expect(warnings.get_by_role("listitem")).to_have_text("3 requests never reported their end.23 Nov, 02:50:00")


# --- Money --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "shown"),
    [
        ("0.00000075", "$0.00000075"),
        ("7.5e-7", "$0.00000075"),
        ("12345678901234567.000000000001", "$12,345,678,901,234,567.000000000001"),
        ("0.1", "$0.10"),
        ("0", "$0.00"),
        ("-0.25", "-$0.25"),
    ],
)
def test_a_cost_is_shown_digit_for_digit(opened, server, literal: str, shown: str):
    body = encoded(document(recent=[request()]))[1]
    server.stats = 200, body.replace(b'"cost":0.000045', b'"cost":' + literal.encode())
    assert cells(opened(), "Recent requests")[0][5] == f"{shown} exact"


def test_every_decimal_keeps_every_digit(opened, server):
    page = opened(document())
    show = """async ([base, body]) => {
        const { parse } = await import(base + "decimals.js");
        const { usd } = await import(base + "formats.js");
        return parse(body).map((value) => usd(value));
    }"""

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.decimals(min_value=0, max_value=10**15, places=12), min_size=20))
    def holds(values: list[Decimal]) -> None:
        shown = page.evaluate(show, [server.url, f"[{','.join(f'{value:f}' for value in values)}]"])
        assert [Decimal(text.removeprefix("$").replace(",", "")) for text in shown] == values

    holds()


def test_an_unknown_cost_is_never_shown_as_zero(opened):
    unknown = {"exact": 0, "estimated": 0, "unknown": 3}
    page = opened(
        document(
            totalCost=0,
            costBasis=unknown,
            providers={
                "local": {**model(cost=0, costBasis=unknown), "models": {"m": model(cost=0, costBasis=unknown)}}
            },
            hours=[{"hour": "2026-11-23T02:00:00Z", "requests": 3, "failed": 0, "tokens": 9, "cost": 0}],
            recent=[request(2, cost=None, costBasis="unknown"), request(1, cost=0, costBasis="unknown")],
        )
    )
    expect(tile(page, "Cost").get_by_text("unknown", exact=True)).to_be_visible()
    page.get_by_text("The same as a table").click()
    assert cells(page, "Providers")[0][3] == "unknown 3 unknown"
    assert cells(page, "Requests, tokens and cost by the hour, newest first")[0][4] == "unknown"
    assert [row[5] for row in cells(page, "Recent requests")] == ["unknown", "unknown"]
    expect(page.locator("#charts title").filter(has_text="cost unknown")).to_have_count(1)
    expect(page.get_by_text("$0", exact=True)).to_have_count(0)


def test_a_sum_says_what_is_missing_from_it(opened):
    some = model(cost=Decimal("0.5"), costBasis={"exact": 5, "estimated": 2, "unknown": 1})
    page = opened(document(providers={"groq": {**some, "models": {"m": some}}}))
    assert cells(page, "Providers")[0][3] == "$0.50 2 estimated, 1 unknown"


# --- Freshness and faults -----------------------------------------------------------------------------------------


def test_the_page_says_how_old_the_figures_are(opened):
    page = opened(document())
    expect(page.locator("#freshness")).to_contain_text("Figures of 4 s ago")
    expect(page.locator("#freshness")).to_contain_text("23 Nov 2026, 02:50:00 UTC")
    expect(page.locator("#problem")).to_be_empty()


@pytest.mark.parametrize(
    ("stage", "published", "is_stale"),
    [
        ("local", "2026-11-23T02:49:14Z", False),
        ("local", "2026-11-23T02:48:54Z", True),
        ("prod", "2026-11-23T02:36:04Z", False),
        ("prod", "2026-11-23T02:34:04Z", True),
    ],
)
def test_figures_are_called_stale_once_their_publisher_is_late(opened, stage: str, published: str, *, is_stale: bool):
    page = opened(document(stage=stage, asOf=published))
    expect(page.locator("#freshness")).to_contain_text("ago")
    told = page.locator("#problem").get_by_text("These figures are out of date")
    expect(told).to_have_count(1 if is_stale else 0)


def test_figures_grow_stale_while_nothing_new_is_published(opened, server):
    page = opened(document())
    expect(page.locator("#freshness")).to_contain_text("4 s ago")
    server.now = NOW.replace(minute=55)
    page.clock.fast_forward(5 * 60_000)
    expect(page.locator("#problem")).to_contain_text("These figures are out of date")


def test_figures_are_read_again_every_few_seconds(opened, server):
    page = opened(document())
    expect(tile(page, "Requests").get_by_text("12", exact=True)).to_be_visible()
    server.stats = encoded(document(totalRequests=13))
    page.clock.fast_forward(6_000)
    expect(tile(page, "Requests").get_by_text("13", exact=True)).to_be_visible()


FAULTS = {
    "missing": ((404, b"<h1>Not found</h1>"), "stats.json can't be read (HTTP 404)."),
    "forbidden": ((403, b"<Error/>"), "stats.json can't be read (HTTP 403)."),
    "failing": ((500, b"oops"), "stats.json can't be read (HTTP 500)."),
    "empty": ((200, b""), "stats.json is not valid JSON."),
    "cut": ((200, encoded(document())[1][:200]), "stats.json is not valid JSON."),
    "a web page": ((200, b"<!doctype html>"), "stats.json is not valid JSON."),
    "a list": ((200, b"[1]"), "stats.json holds no figures."),
    "a number": ((200, b"1"), "stats.json holds no figures."),
}


@pytest.mark.parametrize(("stats", "notice"), FAULTS.values(), ids=FAULTS)
def test_without_figures_the_page_says_why(opened, server, stats: tuple[int, bytes], notice: str):
    server.stats = stats
    page = opened()
    expect(page.get_by_role("status").filter(has_text=notice)).to_contain_text("There are no figures yet.")
    expect(page.locator("#totals")).to_be_hidden()


@pytest.mark.parametrize(("stats", "notice"), FAULTS.values(), ids=FAULTS)
def test_the_last_good_figures_stay_until_there_are_new_ones(opened, server, stats: tuple[int, bytes], notice: str):
    page = opened(document())
    expect(tile(page, "Requests").get_by_text("12", exact=True)).to_be_visible()
    server.stats = stats
    page.clock.fast_forward(6_000)
    expect(page.get_by_role("status").filter(has_text=notice)).to_contain_text("These are the last good figures.")
    expect(tile(page, "Requests").get_by_text("12", exact=True)).to_be_visible()
    server.stats = encoded(document(totalRequests=14))
    page.clock.fast_forward(6_000)
    expect(tile(page, "Requests").get_by_text("14", exact=True)).to_be_visible()
    expect(page.locator("#problem")).to_be_empty()


def test_an_unreachable_server_is_told(opened):
    page = opened(document())
    expect(tile(page, "Requests").get_by_text("12", exact=True)).to_be_visible()
    page.context.set_offline(offline=True)
    page.clock.fast_forward(6_000)
    expect(page.locator("#problem")).to_contain_text("stats.json can't be reached. These are the last good figures.")


def test_before_the_first_request_the_page_says_what_to_do(opened):
    page = opened(empty())
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    expect(page.locator("#welcome")).to_contain_text("https://YOUR-API-URL/generate")
    for name in ("Over time", "Providers", "Recent requests"):
        expect(page.get_by_role("heading", name=name)).to_be_hidden()
    expect(tile(page, "Success rate").get_by_text("no requests yet")).to_be_visible()


# --- Whatever the document holds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", BADLY_BEHAVED.values(), ids=BADLY_BEHAVED)
@pytest.mark.parametrize("width", [360, 1200])
def test_text_from_the_document_is_inert(opened, text: str, width: int):
    page = opened(hostile(text), width=width)
    expect(page.locator("#recent tr")).to_have_count(2)
    for summary in page.locator("#recent summary").all():
        summary.click()
    assert page.evaluate("window.hacked") is None
    expect(page.locator("#markup")).to_have_count(0)
    # Chromium puts text in <bdi> into a direction of its own, so that it can't turn what stands beside it.
    assert page.locator("#providers bdi").first.evaluate("node => getComputedStyle(node).unicodeBidi") == "isolate"
    assert page.evaluate("document.scrollingElement.scrollWidth") == width


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [None, 1, "x", [], {}], {"a": 1, "b": {}, "c": []}])
def test_a_field_that_holds_something_else_breaks_nothing(opened, value: object):
    page = opened(dict.fromkeys(document(), value) | {"totalTokens": 77})
    expect(tile(page, "Tokens").get_by_text("77", exact=True)).to_be_visible()


def test_a_document_with_nothing_in_it_shows_nothing_false(opened):
    page = opened({})
    expect(tile(page, "Requests").get_by_text(ABSENT, exact=True)).to_be_visible()
    expect(tile(page, "Cost").get_by_text("unknown", exact=True)).to_be_visible()
    expect(page.locator("#freshness")).to_contain_text("No figures with a date")


def test_a_busy_page_leaves_no_number_cut(opened):
    for width in (360, 700, 1001, 1200, 1920):
        page = opened(busy(), width=width)
        expect(page.locator("#recent tr")).to_have_count(24)
        broken = page.locator(".figure, .value").evaluate_all(CUT)
        assert broken == []
