"""Which router is meant: a deployed stage, as its stack describes it, or the `make run` of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from infra.deploy import stack
from infra.local import aws_resources, state_dir
from infra.local.logs import Log
from infra.records import replay
from llm_router import books
from llm_router.books import Books, Cover
from llm_router.clock import Clock
from llm_router.infrastructure import InfrastructurePrices

LOCAL = "local"
ROOT = Path(__file__).resolve().parents[2]


class NoRouterError(Exception):
    """The router that is meant can't be found; says what to do."""


@dataclass(frozen=True, slots=True)
class Router:
    """`log` names where its functions log; `logged` are the lines of it that may hold records."""

    stage: str
    books: Books
    cover: Cover
    log: str
    logged: Callable[[], Iterator[str]]


def found(stage: str, *, region: str | None, environ: Mapping[str, str]) -> Router:
    """Raises NoRouterError or stack.NoStackError."""
    if stage == LOCAL:
        return local(Path(environ.get("STATE_DIR") or ROOT / ".state").absolute())
    return deployed(boto3.Session(), stage=stage, region=region)


def deployed(session: boto3.Session, *, stage: str, region: str | None) -> Router:
    there = region or session.region_name or stack.DEFAULT_REGION
    described = stack.described(session.client("cloudformation", region_name=there), stage=stage)
    groups = described.log_groups
    return Router(
        stage=stage,
        books=_opened(session.client("dynamodb", region_name=there), described.cover),
        cover=described.cover,
        log=" and ".join(groups),
        logged=lambda: replay.logged_lines(session.client("logs", region_name=there), groups),
    )


def local(directory: Path) -> Router:
    noted = _noted(directory)
    session = boto3.Session(
        aws_resources.ACCESS_KEY_ID, aws_resources.SECRET_ACCESS_KEY, region_name=aws_resources.REGION
    )
    dynamodb = session.client("dynamodb", endpoint_url=noted["endpoint"], config=Config(proxies={}))
    cover = Cover(
        table=noted["ledger_table"],
        shards=noted["ledger_shards"],
        retention_days=noted["record_retention_days"],
        prices=InfrastructurePrices(),
    )
    log = Log(directory / "log" / "server.log")
    return Router(
        stage=LOCAL,
        books=_opened(dynamodb, cover),
        cover=cover,
        log=str(log.path),
        logged=lambda: _lines(log.files()),
    )


def _opened(dynamodb: Any, cover: Cover) -> Books:
    return books.opened(lambda: dynamodb, cover, Clock())


def _noted(directory: Path) -> dict[str, Any]:
    try:
        noted: dict[str, Any] = json.loads((directory / state_dir.NOTE).read_text())
        os.kill(noted["supervisor"], 0)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise NoRouterError(
            f"No router is running on this machine with its data in {directory}.\n"
            "Start one with `make run`, name its folder in STATE_DIR, or a deployed stage with --stage."
        ) from error
    return noted


def _lines(files: list[Path]) -> Iterator[str]:
    for path in files:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
