"""What the documentation names is there (make targets, files, headings of files), and what can be configured in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from llm_router import registry
from llm_router.candidates import Feature
from llm_router.configuration_models import MODEL_FIELDS, PRICE_FIELDS
from llm_router.configuration_providers import PROVIDER_FIELDS, SHORT_FIELDS
from llm_router.configuration_routes import ROUTE_FIELDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?:^ {4,}|`|&& |= |^)(?:[A-Z_]+=\S+ )*make ([a-z][a-z0-9-]*)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def targets():
    """Only those of makefiles that the Makefile includes can be made."""
    includes = re.findall(r"^include (\S+)", _text(ROOT / "Makefile"), re.MULTILINE)
    texts = [_text(ROOT / name) for name in ["Makefile", *includes]]
    return {name for text in texts for name in re.findall(r"^([a-z][a-z0-9-]*):", text, re.MULTILINE)}


def anchors(page):
    """As GitHub makes them of headings."""
    headings = HEADING.findall(re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _text(path):
    return path.read_text()


def _named(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_make_target_that_is_named_exists(page):
    assert set(COMMAND.findall(_text(page))) - targets() == set()


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page):
    broken = []
    for link in LINK.findall(_text(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_pages_name_targets_and_link_files_at_all():
    """Else the two tests above would find nothing wrong in anything."""
    assert {"run", "test", "deploy", "invoke"} <= {name for page in PAGES for name in COMMAND.findall(_text(page))}
    assert "docs/deploying.md" in LINK.findall(_text(ROOT / "README.md"))
    assert "what-it-costs" in anchors(ROOT / "docs" / "deploying.md")


@pytest.mark.parametrize(
    "fields", [PROVIDER_FIELDS, SHORT_FIELDS, MODEL_FIELDS, PRICE_FIELDS, ROUTE_FIELDS, list(Feature)]
)
def test_all_that_can_stand_in_providers_yaml_is_described(fields):
    """As code in a sentence or a table, or in the example of the short form."""
    page = _text(ROOT / "docs" / "providers.md")
    assert [name for name in fields if not re.search(rf"`{name}`|^ +(- )?{name}: ", page, re.MULTILINE)] == []


def test_every_known_provider_is_named():
    (known,) = re.findall(r"^Known are (.*?):", _text(ROOT / "docs" / "providers.md"), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"[a-z]+", known)) - {"and"} == set(registry.PROVIDERS)
