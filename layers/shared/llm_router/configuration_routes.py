"""The `routes` of a configuration: named lists of candidates with a strategy."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llm_router.candidates import REQUEST_AT_LEAST_S, Candidate, Delivery, Optimize, Route, Strategy
from llm_router.configuration_fields import Section, as_fields
from llm_router.configuration_models import Declared
from llm_router.configuration_providers import key_advice
from llm_router.configuration_report import Report, meant, shown
from llm_router.configuration_text import Fields, Text

DEFAULT_ROUTE = "auto"
NAMES_AT_MOST = 10

ROUTE_FIELDS = (
    "candidates",
    "strategy",
    "timeout_s",
    "max_wait_s",
    "delivery",
    "optimize",
    "max_prompt_tokens",
    "baseline",
    "on_content_filter",
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read(fields: Fields | None, *, declared: Declared, report: Report) -> Mapping[str, Route]:
    """The routes of the file, with `auto` over every candidate where the file has none of that name."""
    routes = {}
    for name, value in (fields.value if fields else {}).items():
        place = f"routes.{name}" if shown(name) == f"'{name}'" else "routes.(name)"
        if not _NAME.fullmatch(name):
            report.problem(
                "routes", f"{shown(name)} is no name for a route; use letters, digits and - _ .", line=value.line
            )
        mapping = as_fields(value, place, report=report, expected="a mapping with candidates:")
        if mapping is not None:
            routes[name] = _route(name, mapping, place, declared, report)
    if DEFAULT_ROUTE not in (fields.value if fields else {}):
        if fields and fields.value:
            report.notice(f"routes.{DEFAULT_ROUTE}", "is not in the file; it holds every candidate, cheapest first")
        routes[DEFAULT_ROUTE] = Route(DEFAULT_ROUTE, tuple(declared.candidates))
    return routes


def _route(name: str, fields: Fields, place: str, declared: Declared, report: Report) -> Route:
    section = Section(fields, place, known=ROUTE_FIELDS, report=report, key_advice=key_advice())
    optimize = Optimize(section.choice("optimize", list(Optimize), default=Optimize.OFF))
    return Route(
        name=name,
        candidates=_candidates(section, declared),
        strategy=Strategy(section.choice("strategy", list(Strategy), default=Strategy.CHEAPEST)),
        timeout_s=_timeout_s(section),
        max_wait_s=section.seconds("max_wait_s", default=0.0, zero=True),
        delivery=_delivery(section),
        baseline=_baseline(section, declared),
        optimize=optimize,
        max_prompt_tokens=_max_prompt_tokens(section, optimize),
        moves_on_after_content_filter=section.choice("on_content_filter", ("fail", "next"), default="fail") == "next",
    )


def _timeout_s(section: Section) -> float | None:
    seconds = section.seconds("timeout_s", default=0.0) or None
    if seconds is not None and seconds < REQUEST_AT_LEAST_S:
        words = f"is less than {REQUEST_AT_LEAST_S:g}, too little for an attempt; write a number of seconds, such as 30"
        section.problem("timeout_s", words)
    return seconds


def _delivery(section: Section) -> Delivery | None:
    said = section.choice("delivery", list(Delivery), default="")
    return Delivery(said) if said else None


def _candidates(section: Section, declared: Declared) -> tuple[Candidate, ...]:
    expected = "a list of provider/model names: [groq/llama-3.1-8b-instant, …]"
    section.missing("candidates", f"write {expected}")
    by_name = {candidate.name: candidate for candidate in declared.candidates}
    found: dict[str, Candidate] = {}
    for index, value in enumerate(section.items("candidates", expected=expected)):
        place = f"{section.place_of('candidates')}[{index}]"
        name = value.value if isinstance(value, Text) else None
        if not isinstance(name, str):
            section.report.problem(place, "is no name; write provider/model", line=value.line)
        elif name in found:
            section.report.problem(place, f"{shown(name)} is listed twice; keep one", line=value.line)
        elif name in by_name:
            found[name] = by_name[name]
        elif fault := _unknown_candidate(name, declared):
            section.report.problem(place, fault, line=value.line)
    return tuple(found.values())


def _max_prompt_tokens(section: Section, optimize: Optimize) -> int | None:
    tokens = "a whole number of tokens, such as 6000"
    found = section.whole("max_prompt_tokens", at_most=1_000_000_000, expected=tokens)
    if found is not None and optimize is not Optimize.TRIM:
        words = "holds only for requests that ask for optimize: trim; write that in the route to have it hold for all"
        section.report.notice(section.place_of("max_prompt_tokens"), words)
    return found


def _baseline(section: Section, declared: Declared) -> Candidate | None:
    name = section.text("baseline", expected="the name of a candidate, provider/model")
    if name is None:
        return None
    if fault := _unknown_candidate(name, declared):
        section.problem("baseline", fault)
    found = next((candidate for candidate in declared.candidates if candidate.name == name), None)
    if found is not None and found.price is None:
        section.report.notice(section.place_of("baseline"), "has no known price; no savings are counted")
    return found


def _unknown_candidate(name: str, declared: Declared) -> str | None:
    if name in declared.names or not declared.is_complete:
        return None
    same_model = [known for known in declared.names if known.split("/", 1)[1] == name]
    guess = same_model[0] if same_model else meant(name, declared.names)
    known_names = ", ".join(shown(known) for known in list(declared.names)[:NAMES_AT_MOST])
    advice = f"did you mean {shown(guess)}?" if guess else f"known: {known_names}"
    return f"{shown(name)} is no candidate of this file; {advice}"
