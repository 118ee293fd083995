"""What the environment says: defaults, and every problem at once."""

from dataclasses import fields
from decimal import Decimal

import pytest

from llm_router import settings
from llm_router.errors import SettingsError
from llm_router.infrastructure import InfrastructurePrices
from llm_router.settings import KeySource, Settings

TABLES = {"LEDGER_TABLE": "ledger", "STATE_TABLE": "state"}
DEFAULTS = Settings(
    stage="local",
    ledger_table="ledger",
    state_table="state",
    providers_file="/opt/providers.yaml",
    vocabulary_dir="/opt/vocabulary",
    page_bucket=None,
    page_dir="/opt/page",
    key_source=KeySource.SSM,
    require_client_key=True,
    gateway_timeout_s=29.0,
    ledger_shards=4,
    record_retention_days=400,
    max_body_bytes=4_500_000,
    memory_mb=None,
    infrastructure_prices=InfrastructurePrices(),
)
WRONG = {
    "PROVIDER_KEYS": ["vault", "SSM"],
    "REQUIRE_CLIENT_KEY": ["maybe", "2"],
    "GATEWAY_TIMEOUT_S": ["soon", "0", "-1", "nan", "inf"],
    "LEDGER_SHARDS": ["0", "33", "-4", "2.5", "many"],
    "RECORD_RETENTION_DAYS": ["0", "-1", "1.5", "year"],
    "MAX_BODY_BYTES": ["0", "-1", "6MB"],
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": ["much"],
    "ARCHITECTURE": ["arm", "mips"],
    "INFRASTRUCTURE_PRICES": ["gb_second", "gb_second=", "gb=0.1", "gb_second=nan", "gb_second=-0.1", "table_write=2"],
}


def problems(environ):
    with pytest.raises(SettingsError) as caught:
        settings.read(environ)
    return caught.value.problems


def test_only_the_tables_have_no_default():
    assert settings.read(TABLES) == DEFAULTS


@pytest.mark.parametrize("name", [*WRONG, "STAGE", "PROVIDERS_FILE", "VOCABULARY_DIR", "PAGE_BUCKET", "PAGE_DIR"])
def test_an_empty_variable_is_as_good_as_none(name):
    assert settings.read({**TABLES, name: ""}) == DEFAULTS


def test_every_variable_says_what_it_says():
    environ = {
        "STAGE": "prod",
        "LEDGER_TABLE": "l",
        "STATE_TABLE": "s",
        "PROVIDERS_FILE": "/etc/p.yaml",
        "VOCABULARY_DIR": "/srv/vocabulary",
        "PAGE_BUCKET": "page",
        "PAGE_DIR": "/srv/page",
        "PROVIDER_KEYS": "environment",
        "REQUIRE_CLIENT_KEY": "false",
        "GATEWAY_TIMEOUT_S": "59.5",
        "LEDGER_SHARDS": "32",
        "RECORD_RETENTION_DAYS": "30",
        "MAX_BODY_BYTES": "1000",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "ARCHITECTURE": "x86_64",
        "INFRASTRUCTURE_PRICES": "table_write=0.001",
    }
    read = settings.read(environ)
    assert read == Settings(
        stage="prod",
        ledger_table="l",
        state_table="s",
        providers_file="/etc/p.yaml",
        vocabulary_dir="/srv/vocabulary",
        page_bucket="page",
        page_dir="/srv/page",
        key_source=KeySource.ENVIRONMENT,
        require_client_key=False,
        gateway_timeout_s=59.5,
        ledger_shards=32,
        record_retention_days=30,
        max_body_bytes=1000,
        memory_mb=512,
        infrastructure_prices=InfrastructurePrices(gb_second=Decimal("0.0000166667"), table_write=Decimal("0.001")),
    )
    assert len(environ) == len(fields(Settings)) + 1, "two of them make the prices of the infrastructure"


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("YES", True), (" no ", False), ("False", False), ("0", False)]
)
def test_yes_and_no_have_several_forms(text, expected):
    assert settings.read({**TABLES, "REQUIRE_CLIENT_KEY": text}).require_client_key is expected


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_told_with_what_to_give(name, value):
    (problem,) = problems({**TABLES, name: value})
    assert problem.startswith(f"{name} is {value!r}: give ")


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_table_is_told(name):
    environ = {key: value for key, value in TABLES.items() if key != name}
    assert problems(environ) == [f"{name} is not set: give the table's name"]


def test_all_problems_are_told_at_once():
    told = problems({name: values[0] for name, values in WRONG.items()})
    assert [problem.split()[0] for problem in told] == [*TABLES, *WRONG]


def test_the_message_names_the_environment_and_lists_the_problems():
    with pytest.raises(SettingsError, match=r"the environment has 2 problems:\n  - LEDGER_TABLE .*\n  - STATE_TABLE"):
        settings.read({})
