"""That everybody can read and reach what the page shows: narrow, dark, by keyboard, by screen reader."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from browser.figures import answer, busy, document, empty, encoded, hostile

LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
LEAST_CONTRAST_OF_SHAPES = 3  # 1.4.11

# For each text, or each given shape, the contrast of its colour with what lies behind it, transparency included.
CONTRASTS = """
(shapes) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
  };
  const over = (front, back) => front.slice(0, 3).map((part, i) => part * front[3] + back[i] * (1 - front[3]));
  const luminance = (colour) => colour
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    if (!node) return rgba(matchMedia("(prefers-color-scheme: dark)").matches ? "#000" : "#fff").slice(0, 3);
    return over(rgba(getComputedStyle(node).backgroundColor), behind(node.parentElement));
  };
  const opacity = (node) => (node ? Number(getComputedStyle(node).opacity) * opacity(node.parentElement) : 1);
  const contrast = (node, property, ground) => {
    const back = behind(ground);
    const [r, g, b, a] = rgba(getComputedStyle(node)[property]);
    const [one, two] = [luminance(over([r, g, b, a * opacity(node)], back)), luminance(back)];
    return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
  };
  const isSeen = (node) => node.checkVisibility() && node.getBoundingClientRect().width > 1;
  if (shapes) {
    return [...document.querySelectorAll(".bar-length, .dot.good, .dot.bad, .column, textarea")]
      .filter(isSeen)
      .map((node) => {
        if (node.matches("textarea")) return [node.className, contrast(node, "borderTopColor", node.parentElement)];
        if (node.matches(".column")) return [node.className.baseVal, contrast(node, "fill", node.closest("figure"))];
        return [node.className, contrast(node, "backgroundColor", node.closest("section, header"))];
      });
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !isSeen(node) || node.closest("noscript, title, script")) continue;
    const property = node instanceof SVGElement ? "fill" : "color";
    found.push([texts.currentNode.data.trim(), contrast(node, property, node)]);
  }
  return found;
}
"""


def full(opened, server, **how: object) -> Page:
    """The page with all that it can show at once: answer, notice, warnings, unfolded attempts and table."""
    server.answer = encoded(answer(warnings=["The prompt was trimmed."]))
    page = opened(busy(), prompt=True, **how)
    page.get_by_role("textbox", name="Try a prompt").fill("Say hello.")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#prompt-result .answer")).to_be_visible()
    for summary in page.locator("summary").all():
        if summary.locator("xpath=..").get_attribute("open") is None:
            summary.click()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_stand_out(opened, server, scheme: str):
    page = full(opened, server, scheme=scheme)
    texts = page.evaluate(CONTRASTS, False)
    server.stats = 404, b""
    page.clock.fast_forward(6_000)
    expect(page.locator("#problem .bad")).to_be_visible()
    texts += page.evaluate(CONTRASTS, False)
    assert len(texts) > 200
    assert [found for found in texts if found[1] < LEAST_CONTRAST] == []
    shapes = page.evaluate(CONTRASTS, True)
    assert len(shapes) > 100
    assert [found for found in shapes if found[1] < LEAST_CONTRAST_OF_SHAPES] == []


def test_dark_is_dark_and_light_is_light(opened):
    grounds = [
        opened(document(), scheme=scheme).locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(246, 246, 244)", "rgb(18, 20, 18)"]


@pytest.mark.parametrize("width", [320, 360, 768, 1001, 1200])
@pytest.mark.parametrize("figures", [busy(), empty(), hostile("w" * 3000)], ids=["busy", "empty", "long words"])
def test_nothing_scrolls_sideways(opened, figures: dict[str, object], width: int):
    page = opened(figures, width=width, prompt=True)
    expect(page.locator("#totals")).to_be_visible()
    for summary in page.locator("summary:visible").all():
        summary.click()
    assert page.evaluate("document.scrollingElement.scrollWidth") == width


def test_a_long_answer_stays_inside_a_phone(opened, server):
    server.answer = encoded(answer(response="w" * 5000, provider="p" * 300))
    page = opened(document(), width=360, prompt=True)
    page.get_by_role("textbox", name="Try a prompt").fill("w" * 2000)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#prompt-result .answer")).to_be_visible()
    assert page.evaluate("document.scrollingElement.scrollWidth") == 360


def test_all_that_can_be_used_is_reached_by_tab_and_shows_the_focus(opened):
    page = opened(document(), prompt=True)
    expect(page.locator("#recent tr")).to_have_count(2)
    page.locator("#over-time details").evaluate("details => { details.open = true; }")
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                  const node = document.activeElement;
                  const style = getComputedStyle(node);
                  return [node.ariaLabel ?? (node.placeholder || node.innerText).split("\\n")[0], style.outlineStyle];
                }"""
            )
        )
    assert reached == [
        [name, "solid"]
        for name in (
            "Skip to the figures",
            "Explain what a router does, in one sentence.",
            "Send",
            "The same as a table",
            "Figures by the hour",
            "2 attempts",
            "1 attempt",
            "stats.json",
        )
    ]


def test_attempts_unfold_by_keyboard_and_the_focus_stays_when_figures_change(opened, server):
    page = opened(document())
    summary = page.locator("#recent summary").first
    summary.press("Enter")
    expect(page.locator("#recent details").first).to_have_attribute("open", "")
    changed = [dict(row, tokens=16) for row in document()["recent"]]
    server.stats = encoded(document(recent=changed))
    page.clock.fast_forward(6_000)
    expect(page.locator("#recent td").filter(has_text="16")).to_have_count(2)
    expect(page.locator("#recent summary").first).to_be_focused()
    expect(page.locator("#recent details").first).to_have_attribute("open", "")


def test_the_skip_link_leads_past_the_header(opened):
    page = opened(document())
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the figures")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("width", [360, 1200])
def test_a_screen_reader_finds_headings_tables_and_a_name_for_each_picture(opened, width: int):
    page = opened(document(), width=width)
    expect(page.locator("#recent tr")).to_have_count(2)
    headings = page.get_by_role("heading").all_inner_texts()
    assert headings == [
        "Multi-LLM Router",
        "Totals",
        "Warnings",
        "Over time",
        "Requests per hour",
        "Cost per hour",
        "Providers",
        "Routes, keys and tags",
        "Savings, waste and infrastructure",
        "Recent requests",
    ]
    for name, columns in {"Providers": 7, "Recent requests": 8}.items():
        table = page.get_by_role("table", name=name)
        expect(table.get_by_role("columnheader")).to_have_count(columns)
        assert table.get_by_role("row").count() > 2
    for picture in page.get_by_role("img").all():
        assert picture.get_attribute("aria-label")
    expect(page.get_by_role("img")).to_have_count(2)


def test_the_watch_over_every_test_sees_a_violated_policy(opened):
    page = opened(document())
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.wait_for_function("window.violations.length > 0")
    assert "style-src" in page.evaluate("window.violations.splice(0)")[0]
