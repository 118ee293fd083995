"""What the environment says. The only module that reads environment variables, and it takes them as an argument."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from llm_router import infrastructure
from llm_router.errors import SettingsError
from llm_router.infrastructure import InfrastructurePrices
from llm_router.positions import SHARDS_AT_MOST

T = TypeVar("T")

_YES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class KeySource(StrEnum):
    """Where the providers' keys are read from."""

    SSM = "ssm"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment variables say; the template and their names are held against each other by a test."""

    stage: str
    ledger_table: str
    state_table: str
    providers_file: str
    vocabulary_dir: str
    page_bucket: str | None
    page_dir: str
    key_source: KeySource
    require_client_key: bool
    gateway_timeout_s: float
    ledger_shards: int
    record_retention_days: int
    max_body_bytes: int
    memory_mb: int | None
    infrastructure_prices: InfrastructurePrices


def read(environ: Mapping[str, str]) -> Settings:
    """Read and check the environment; raises SettingsError with every problem at once."""
    reader = _Reader(environ)
    settings = Settings(
        stage=reader.text("STAGE", "local"),
        ledger_table=reader.text("LEDGER_TABLE"),
        state_table=reader.text("STATE_TABLE"),
        providers_file=reader.text("PROVIDERS_FILE", "/opt/providers.yaml"),
        vocabulary_dir=reader.text("VOCABULARY_DIR", "/opt/vocabulary"),
        page_bucket=environ.get("PAGE_BUCKET") or None,
        page_dir=reader.text("PAGE_DIR", "/opt/page"),
        key_source=reader.parsed("PROVIDER_KEYS", "ssm", KeySource, "ssm or environment"),
        require_client_key=reader.parsed("REQUIRE_CLIENT_KEY", "true", _yes_or_no, "true or false"),
        gateway_timeout_s=reader.parsed("GATEWAY_TIMEOUT_S", "29", _positive(float), "a number of seconds"),
        ledger_shards=reader.parsed(
            "LEDGER_SHARDS", "4", _between(1, SHARDS_AT_MOST), f"a whole number from 1 to {SHARDS_AT_MOST}"
        ),
        record_retention_days=reader.parsed("RECORD_RETENTION_DAYS", "400", _positive(int), "a whole number of days"),
        max_body_bytes=reader.parsed("MAX_BODY_BYTES", "4500000", _positive(int), "a whole number of bytes"),
        memory_mb=reader.parsed(
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0", lambda value: int(value) or None, "a whole number of megabytes"
        ),
        infrastructure_prices=replace(
            reader.parsed("ARCHITECTURE", "arm64", infrastructure.published, "arm64 or x86_64"),
            **reader.parsed("INFRASTRUCTURE_PRICES", "", infrastructure.parsed, _PRICES),
        ),
    )
    if reader.problems:
        raise SettingsError("the environment", reader.problems)
    return settings


_PRICES = "prices in USD, such as gb_second=0.0000166667 table_write=0.0000007"


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        value = self._environ.get(name) or default
        if value is None:
            self.problems.append(f"{name} is not set: give the table's name")
            return ""
        return value

    def parsed(self, name: str, default: str, parse: Callable[[str], T], expected: str) -> T:
        value = self._environ.get(name) or default
        try:
            return parse(value)
        except (ValueError, KeyError):
            self.problems.append(f"{name} is {value!r}: give {expected}")
            return parse(default)


def _yes_or_no(value: str) -> bool:
    return _YES[value.strip().lower()]


def _positive(number: Callable[[str], T]) -> Callable[[str], T]:
    def parse(value: str) -> T:
        parsed = number(value)
        if not 0 < parsed < math.inf:  # type: ignore[operator]  # int and float both compare
            raise ValueError(value)
        return parsed

    return parse


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        parsed = int(value)
        if not low <= parsed <= high:
            raise ValueError(value)
        return parsed

    return parse
