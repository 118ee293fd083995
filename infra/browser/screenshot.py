"""Takes the README's picture of a running dashboard: light, 1200 px wide, cut at the last whole row that fits."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Error, FloatRect, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
WIDTH_PX = 1200
MOST_HEIGHT_PX = 2200
READY = "#latest:not([hidden]) tbody tr, #welcome:not([hidden])"
LAST_WHOLE_ROW = """
(most) => Math.max(...[...document.querySelectorAll("section.panel, #recent > tr, .colophon")]
  .map((node) => node.getBoundingClientRect().bottom).filter((bottom) => bottom > 0 && bottom <= most))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where the page is, http://127.0.0.1:8080/")
    parser.add_argument("picture", type=Path, nargs="?", default=Path("docs/dashboard.png"))
    arguments = parser.parse_args()
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    try:
        take(arguments.url, arguments.picture)
    except Error as error:
        sys.exit(f"No picture of {arguments.url}: {error.message.splitlines()[0]}")
    print(f"Wrote {arguments.picture}.")


def take(url: str, picture: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(
            viewport={"width": WIDTH_PX, "height": MOST_HEIGHT_PX},
            color_scheme="light",
            locale="en-GB",
            timezone_id="UTC",
        )
        page.goto(url)
        page.wait_for_selector(READY)
        page.screenshot(path=picture, clip=_clip(page))
        browser.close()


def _clip(page: Page) -> FloatRect:
    bottom = page.evaluate(LAST_WHOLE_ROW, MOST_HEIGHT_PX)
    return {"x": 0, "y": 0, "width": WIDTH_PX, "height": int(bottom)}


if __name__ == "__main__":
    main()
