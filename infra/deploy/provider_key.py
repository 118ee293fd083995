"""Stores a provider's key in Parameter Store: typed at a prompt or piped in, never on a command line.

A command line stands in the shell's history and in the list of processes.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import boto3

from infra.deploy import stack
from llm_router import aws, configuration, key_names
from llm_router.candidates import Configuration
from llm_router.catalogue import Catalogue
from llm_router.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

CONFIGURATION_FILE = Path("layers/config/providers.yaml")
NAMES_A_CALL = 10
"""What one GetParameters takes."""


class UnusableKeyError(ValueError):
    """What was given can be no key; says why without repeating it."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make provider-key", description=__doc__)
    parser.add_argument("--provider", required=True)
    parser.add_argument("--stage", type=stack.stage_name, default="prod")
    parser.add_argument("--region", default="")
    asked = parser.parse_args(arguments)
    try:
        known = providers_with_keys(configuration.load(CONFIGURATION_FILE, catalogue=Catalogue()))
    except ConfigurationError as error:
        sys.exit(str(error))
    if asked.provider not in known:
        sys.exit(
            f"{CONFIGURATION_FILE} has no provider {asked.provider!r} that needs a key. It has: {', '.join(known)}"
        )
    try:
        key = read_key(asked.provider, sys.stdin)
        session = boto3.Session()
        region = asked.region or session.region_name or stack.DEFAULT_REGION
        name = store(session.client("ssm", region_name=region), provider=asked.provider, stage=asked.stage, key=key)
    except UnusableKeyError as error:
        sys.exit(str(error))
    except aws.UNREACHABLE as error:
        sys.exit(f"The key was not stored: {error}")
    print(f"Stored as {name} in {region}. The router finds it within seconds, or minutes where it replaces another.")
    return 0


def providers_with_keys(configured: Configuration) -> list[str]:
    """Their names, in the order of the configuration."""
    names = [candidate.provider.name for candidate in configured.candidates if candidate.provider.auth.needs_key]
    return list(dict.fromkeys(names))


def read_key(provider: str, stream: TextIO) -> str:
    """From a prompt that does not show it, or the first line of what is piped in. Raises UnusableKeyError."""
    typed = getpass.getpass(f"Key of {provider} (it is not shown): ") if stream.isatty() else stream.readline()
    key = typed.strip()
    if not key:
        raise UnusableKeyError("No key was given, so nothing was stored.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UnusableKeyError("That can be no key: it has characters that no key has. Nothing was stored.")
    return key


def store(ssm: SSMClient, *, provider: str, stage: str, key: str) -> str:
    """Store or replace the key; returns the parameter's name."""
    name = key_names.parameter(provider, stage=stage)
    ssm.put_parameter(
        Name=name, Value=key, Type="SecureString", Overwrite=True, Description=f"Key of {provider} for llm-router"
    )
    return name


def stored(ssm: SSMClient, providers: Iterable[str], *, stage: str) -> set[str]:
    """The providers for which a parameter exists; no key is read for it."""
    by_parameter = {key_names.parameter(provider, stage=stage): provider for provider in providers}
    names = list(by_parameter)
    found: set[str] = set()
    for start in range(0, len(names), NAMES_A_CALL):
        answer = ssm.get_parameters(Names=names[start : start + NAMES_A_CALL], WithDecryption=False)
        found.update(by_parameter[parameter["Name"]] for parameter in answer["Parameters"])
    return found


if __name__ == "__main__":
    sys.exit(main())
