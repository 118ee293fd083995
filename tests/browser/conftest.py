"""A real headless Chromium, a server for the page, and a watch over what the page must never do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from browser.figures import encoded
from browser.page_server import PageServer, serving

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)

RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as server:
        yield server


@pytest.fixture
def opened(browser: Browser, server: PageServer) -> Iterator[Callable[..., Page]]:
    """Opens the page on given figures. Afterwards: no policy was violated, nothing threw, nothing left the origin."""
    pages: list[Page] = []
    thrown: list[object] = []
    asked: list[str] = []

    def opened(
        document: object | None = None, *, width: int = 1200, scheme: Any = "light", prompt: bool = False
    ) -> Page:
        if document is not None:
            server.stats = encoded(document)
        server.generate_url = "/generate" if prompt else ""
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, timezone_id="UTC", locale="en-GB"
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(RECORD_VIOLATIONS)
        page = context.new_page()
        page.on("pageerror", lambda error: thrown.append(error))  # noqa: PLW0108  (Playwright sets an attribute on it)
        page.on("request", lambda request: asked.append(request.url))
        page.clock.install()
        page.goto(server.url)
        pages.append(page)
        return page

    yield opened
    violations = [found for page in pages for found in page.evaluate("window.violations")]
    for page in pages:
        page.context.close()
    assert violations == []
    assert thrown == []
    assert [url for url in asked if not url.startswith(server.url)] == []
