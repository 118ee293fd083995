"""The `providers` of a configuration, in the long form and the short one, to candidates.

What the file leaves out comes from the registry of known providers and from the catalogue of prices and limits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from llm_router import key_names, registry, upstream_addresses
from llm_router.candidates import Auth, AuthKind, Provider
from llm_router.catalogue import Catalogue
from llm_router.configuration_fields import Section, as_fields
from llm_router.configuration_models import Declared, ModelReader
from llm_router.configuration_report import Report, meant, shown
from llm_router.configuration_text import Fields, Text, Value
from llm_router.registry import KnownProvider

TIMEOUT_S = 60.0

PROVIDER_FIELDS = ("name", "base_url", "auth", "timeout_s", "output_cap", "refuses", "models")
SHORT_FIELDS = (
    "name",
    "base_url",
    "auth",
    "model",
    "cost_per_1k_tokens",
    "timeout",
    "timeout_s",
    "output_cap",
    "refuses",
)
NEEDED = frozenset({"model", "messages", "max_tokens", "max_completion_tokens"})
OUTPUT_CAPS = ("max_tokens", "max_completion_tokens")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEADERS_TAKEN = frozenset(
    {"accept", "connection", "content-length", "content-type", "expect", "host", "te", "transfer-encoding", "upgrade"}
)
_AUTH_FORMS = "bearer, none or {header: x-api-key}"


def read(items: Sequence[Value], *, catalogue: Catalogue, report: Report) -> Declared:
    declared = Declared()
    for index, value in enumerate(items):
        place = f"providers[{index}]"
        fields = as_fields(value, place, report=report, expected="a mapping that starts with name:")
        if fields is None:
            declared.is_complete = False
            continue
        _ProviderReader(fields, place, declared, catalogue, report).read()
    return declared


class _ProviderReader:
    def __init__(self, fields: Fields, place: str, declared: Declared, catalogue: Catalogue, report: Report) -> None:
        self._is_short = "models" not in fields.value and bool({"model", "cost_per_1k_tokens"} & fields.value.keys())
        self._key_advice = key_advice(fields)
        self._declared = declared
        self._catalogue = catalogue
        self._section = Section(
            fields,
            place,
            known=SHORT_FIELDS if self._is_short else PROVIDER_FIELDS,
            report=report,
            key_advice=self._key_advice,
        )

    def read(self) -> None:
        name = self._name()
        base_url, row = self._base_url(name)
        ways = row or registry.UNKNOWN
        provider = Provider(
            name=name or "",
            base_url=base_url,
            auth=self._auth(row),
            timeout_s=self._timeout_s(),
            output_cap_parameter=self._output_cap() or ways.output_cap_parameter,
            refused_parameters=ways.refused_parameters | self._refuses(),
            reports_cost=ways.reports_cost,
            dialect=ways.dialect,
            unstreamed_for=ways.unstreamed_for,
            apart=ways.apart,
        )
        reader = ModelReader(provider, ways, self._key_advice, self._declared, self._catalogue)
        if self._is_short:
            reader.read_short(self._section)
        else:
            reader.read_list(self._section)

    def _name(self) -> str | None:
        section = self._section
        expected = "a short name in lower-case letters, digits and dashes"
        section.missing("name", f"write {expected}, such as groq")
        name = section.text("name", expected=expected)
        if name is None or not _NAME.fullmatch(name):
            self._declared.is_complete = False
            if name is not None:
                section.problem("name", f"is {shown(name)}; write {expected}, at most 32 (it names the key's place)")
            return None
        first = self._declared.providers.setdefault(name, section.place)
        if first != section.place:
            section.problem("name", f"is also the name of {first}; list all its models there, under models:")
        return name

    def _base_url(self, name: str | None) -> tuple[str, KnownProvider | None]:
        section = self._section
        given = section.text("base_url", expected="the URL before /chat/completions")
        row = registry.known(name or "")
        if given is None:
            if row is None and name is not None:
                section.missing("base_url", _no_base_url(name))
            return (row.base_url if row else ""), row
        base_url = given.strip().rstrip("/")
        fault = upstream_addresses.fault(base_url)
        if fault:
            section.problem("base_url", fault)
            return "", row
        return base_url, registry.known(name or "", base_url=base_url)

    def _auth(self, row: KnownProvider | None) -> Auth:
        value = self._section.value("auth")
        if value is None:
            return row.auth if row else Auth(AuthKind.BEARER)
        auth = _auth_form(value)
        if auth is None:
            self._section.problem("auth", f"is none of the known forms; write {_AUTH_FORMS}")
        elif auth.kind is AuthKind.AWS_ROLE:
            self._section.problem("auth", f"aws_role is not supported yet; write {_AUTH_FORMS}")
        elif auth.header is not None and (not _HEADER.fullmatch(auth.header) or auth.header.lower() in _HEADERS_TAKEN):
            self._section.problem("auth", "names a header that cannot carry a key; write {header: x-api-key}")
        return auth or Auth(AuthKind.NONE)

    def _output_cap(self) -> str | None:
        """None where the file leaves it out."""
        if "output_cap" not in self._section:
            return None
        return self._section.choice("output_cap", OUTPUT_CAPS, default=OUTPUT_CAPS[0])

    def _refuses(self) -> frozenset[str]:
        expected = "a list of fields that it answers with an error, such as [logit_bias, stream_options]"
        found = set()
        for index, value in enumerate(self._section.items("refuses", expected=expected)):
            name = value.value if isinstance(value, Text) else None
            if isinstance(name, str) and _PARAMETER.fullmatch(name) and name not in NEEDED:
                found.add(name)
            else:
                place = f"{self._section.place_of('refuses')}[{index}]"
                self._section.report.problem(
                    place, f"is no field that can be done without; write {expected}", line=value.line
                )
        return frozenset(found)

    def _timeout_s(self) -> float:
        section = self._section
        if self._is_short and "timeout" in section:
            if "timeout_s" in section:
                section.problem("timeout", "says the same as timeout_s; keep one")
            return section.seconds("timeout", default=TIMEOUT_S)
        return section.seconds("timeout_s", default=TIMEOUT_S)


def key_advice(provider: Fields | None = None) -> str:
    """Where a key belongs, for the provider of that mapping if it has a name."""
    value = provider.value.get("name") if provider else None
    found = value.value if isinstance(value, Text) else None
    name = found if isinstance(found, str) and _NAME.fullmatch(found) and shown(found) == f"'{found}'" else None
    command = key_names.store_command(name or "<name>")
    variable = key_names.variable(name) if name else "<NAME>_API_KEY"
    return f"delete it and store it with: {command} (on one machine: set the environment variable {variable})"


def _auth_form(value: Value) -> Auth | None:
    """`bearer`, `none`, `aws_role`, `{header: x-api-key}`, or the quoted text `header: x-api-key`."""
    if isinstance(value, Fields):
        header = value.value.get("header")
        named = header.value if isinstance(header, Text) and len(value.value) == 1 else None
        return Auth(AuthKind.HEADER, named) if isinstance(named, str) else None
    if not isinstance(value, Text) or not isinstance(value.value, str):
        return None
    kind, _, header_name = value.value.partition(":")
    if kind == "header" and header_name.strip():
        return Auth(AuthKind.HEADER, header_name.strip())
    return Auth(AuthKind(value.value)) if value.value in ("bearer", "none", "aws_role") else None


def _no_base_url(name: str) -> str:
    if name in registry.NOT_YET:
        return f"{name} speaks a format of its own that is not supported yet; an OpenAI-compatible address works"
    guess = meant(name, registry.PROVIDERS, likeness=0.7)
    known = f"did you mean {guess}?" if guess else f"known without one: {', '.join(registry.PROVIDERS)}"
    return f"write its URL, such as https://host/v1; {known}"
