"""`providers.yaml` to a checked Configuration, or one report of everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

from llm_router import configuration_providers, configuration_routes, configuration_text
from llm_router.candidates import Configuration
from llm_router.catalogue import Catalogue
from llm_router.configuration_fields import Section, as_fields
from llm_router.configuration_providers import key_advice
from llm_router.configuration_report import Report
from llm_router.configuration_text import Text
from llm_router.errors import ConfigurationError

BYTES_AT_MOST = 256 * 1024
_TOO_LARGE = (
    f"it is larger than {BYTES_AT_MOST // 1024} kB, which no configuration needs; check that it is the right file"
)
_NO_PROVIDERS = "a list of providers, each with a name and models"


def load(path: str | Path, *, catalogue: Catalogue) -> Configuration:
    """Raises ConfigurationError, also where the file cannot be read."""
    return parse(_text(Path(path)), source=str(path), catalogue=catalogue)


def parse(text: str, *, source: str, catalogue: Catalogue) -> Configuration:
    """Raises ConfigurationError with every problem of the text; `source` names it in the report."""
    report = Report()
    configuration = _configuration(text, catalogue, report)
    if report.problems or configuration is None:
        raise ConfigurationError(source, report.texts)
    return configuration


def _configuration(text: str, catalogue: Catalogue, report: Report) -> Configuration | None:
    if len(text.encode("utf-8", "replace")) > BYTES_AT_MOST:
        report.problem("", _TOO_LARGE)
        return None
    document = configuration_text.read(text.removeprefix("\ufeff"), report)
    if document is None or (isinstance(document, Text) and document.value is None):
        if not report.problems:
            report.problem("", f"it is empty; write providers: and below it {_NO_PROVIDERS}")
        return None
    fields = as_fields(document, "", report=report, expected="a mapping that starts with providers:")
    if fields is None:
        return None
    top = Section(fields, "", known=("providers", "routes"), report=report, key_advice=key_advice())
    top.missing("providers", f"write {_NO_PROVIDERS}")
    items = top.items("providers", expected=_NO_PROVIDERS)
    declared = configuration_providers.read(items, catalogue=catalogue, report=report)
    declared.is_complete &= bool(items)
    routes_left_empty = isinstance(routes := top.value("routes"), Text) and routes.value is None
    named = None if routes_left_empty else top.mapping("routes", expected="a mapping from a route's name to its fields")
    return Configuration(
        candidates=tuple(declared.candidates),
        routes=configuration_routes.read(named, declared=declared, report=report),
        catalogue_as_of=catalogue.as_of,
        notices=tuple(report.notices),
    )


def _text(path: Path) -> str:
    """The file's text; no more of it is read than a configuration can have."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_AT_MOST + 1)
        if len(content) <= BYTES_AT_MOST:
            return content.decode("utf-8")
        problem = _TOO_LARGE
    except OSError as error:
        problem = f"it cannot be read ({error.strerror or type(error).__name__}); check the path and its permissions"
    except UnicodeDecodeError as error:
        problem = f"it is not UTF-8 text (byte {error.start + 1}); save it as plain UTF-8"
    raise ConfigurationError(str(path), [problem])
