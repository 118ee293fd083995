"""The stack as `sam local` is to see it: the built template, wired to the AWS and the providers of a local run.

A container has a loopback address of its own, so what the run has at 127.0.0.1 is written down under the address by
which a container reaches this machine.
"""

from __future__ import annotations

import copy
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, urlsplit

from infra.local import aws_resources
from infra.sam.build import FUNCTIONS
from infra.sam.obstacles import ObstacleError
from infra.sam.relay import Target
from llm_router import key_names, registry

START_FIRST = "start `make run` in another terminal first."
PROVIDERS_FILE = PurePosixPath("/var/task/providers.yaml")
"""In the container: beside the router's handler, which SAM mounts. Layers are copied into an image that all share."""

NOT_HERE = "StreamingFunction"
"""Its web adapter is a layer that only AWS hands out; the door that it serves is tested by other means."""

NO_ACCOUNT = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
HTTP_PORTS = {"http": 80, "https": 443}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What run.json says: how to reach a run's AWS and its providers."""

    url: str
    endpoint: str
    ledger_table: str
    state_table: str
    page_bucket: str
    providers_file: Path


def read_run(state_dir: Path) -> LocalRun:
    """Raises ObstacleError. Whether the run is still there is not looked at."""
    file = state_dir / "run.json"
    try:
        noted = json.loads(file.read_text())
        return LocalRun(
            url=noted["url"],
            endpoint=noted["endpoint"],
            ledger_table=noted["ledger_table"],
            state_table=noted["state_table"],
            page_bucket=noted["page_bucket"],
            providers_file=Path(noted["providers_file"]),
        )
    except FileNotFoundError as error:
        raise ObstacleError(
            f"No local run is known in {state_dir}: {START_FIRST}\nIf it has a STATE_DIR, give the same here."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ObstacleError(f"{file} can't be read: {START_FIRST}") from error


def values(run: LocalRun, *, host: str) -> dict[str, str]:
    """The variables in which the functions differ from deployed ones. `host` is this machine for a container."""
    return {
        "STAGE": "local",
        "LEDGER_TABLE": run.ledger_table,
        "STATE_TABLE": run.state_table,
        "PAGE_BUCKET": run.page_bucket,
        "PROVIDERS_FILE": str(PROVIDERS_FILE),
        "PROVIDER_KEYS": "environment",
        "REQUIRE_CLIENT_KEY": "false",
        "AWS_ENDPOINT_URL": reached_at(host, run.endpoint),
        "AWS_DEFAULT_REGION": aws_resources.REGION,
        "AWS_ACCESS_KEY_ID": aws_resources.ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": aws_resources.SECRET_ACCESS_KEY,
    }


def sam_environ(
    environ: Mapping[str, str], template: Document, *, values: Mapping[str, str], keys: list[str]
) -> dict[str, str]:
    """What `sam local` runs with: this shell's variables, of which a function gets the providers' keys and no other.

    Nothing in it leads to a real account.
    """
    hidden = _declared(template) - set(keys)
    kept = {name: value for name, value in environ.items() if not name.startswith("AWS_") and name not in hidden}
    return {**kept, **NO_ACCOUNT, "SAM_CLI_TELEMETRY": "0", **values}


def _declared(template: Document) -> set[str]:
    functions = [template["Resources"][name]["Properties"] for name in FUNCTIONS if name in template["Resources"]]
    parts = [template["Globals"]["Function"], *functions]
    return {name for part in parts for name in part["Environment"]["Variables"]}


def template(built: Document, *, folders: Mapping[str, Path], keys: list[str]) -> Document:
    """The built template with its code where `folders` says, declaring the variables that a deployed function lacks.

    `sam local` hands a function only variables that the template declares. Their values, the keys above all, come
    from its environment and stay out of every file.
    """
    local = copy.deepcopy(built)
    local["Resources"].pop(NOT_HERE, None)
    for name, folder in folders.items():
        resource = local["Resources"].get(name)
        if resource is None:
            continue
        is_function = resource["Type"] == "AWS::Serverless::Function"
        resource["Properties"]["CodeUri" if is_function else "ContentUri"] = str(folder)
    for name, more in {"RouterFunction": keys, "StatsFunction": []}.items():
        declared = local["Resources"][name]["Properties"]["Environment"]["Variables"]
        declared |= dict.fromkeys(["AWS_ENDPOINT_URL", *more], "")
    return local


def providers(document: Document, *, host: str) -> Document:
    """A providers.yaml for a container: what listens on this machine's loopback is at `host` instead."""
    local = copy.deepcopy(document)
    for row in local["providers"]:
        if _is_loopback(base_url := _base_url(row)):
            row["base_url"] = reached_at(host, base_url)
    return local


def key_variables(document: Document) -> list[str]:
    return [key_names.variable(row["name"]) for row in document["providers"]]


def targets(run: LocalRun, document: Document) -> dict[int, Target]:
    """Which ports of this machine's loopback a container must reach."""
    urls = [run.endpoint, *(_base_url(row) for row in document["providers"])]
    found = [_target(urlsplit(url)) for url in urls if _is_loopback(url)]
    return {port: (name, port) for name, port in found}


def reached_at(host: str, url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{host}:{_target(parts)[1]}").geturl()


def _base_url(row: Document) -> str:
    known = registry.known(row["name"])
    return row.get("base_url") or (known.base_url if known else "")


def _target(parts: SplitResult) -> Target:
    return parts.hostname or "", parts.port or HTTP_PORTS[parts.scheme]


def _is_loopback(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
