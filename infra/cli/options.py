"""What the commands have in common: which router is meant, the time that is asked for, how failures are told."""

from __future__ import annotations

import argparse
import errno
import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from infra.cli import routers
from infra.deploy import stack
from llm_router import aws, stats_requests
from llm_router.client_keys import ANYONE
from llm_router.errors import CatchingUpError, InvalidRequestError, RouterError
from llm_router.spans import Span
from llm_router.statistics import Question

Command = TypeVar("Command", bound=Callable[..., Any])

CAUGHT_UP = "The aggregation is far behind, so exact figures can't be had yet. Try again in a few minutes."


class Commands(click.Group):
    """Commands whose expected failures are told in a line, with exit code 1, and never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CatchingUpError as error:
            raise click.ClickException(CAUGHT_UP) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read has seen enough; click ends in silence
                raise
            raise click.ClickException(str(error)) from error
        except (routers.NoRouterError, stack.NoStackError, RouterError, *aws.UNREACHABLE) as error:
            raise click.ClickException(str(error)) from error


def with_router(command: Command) -> Command:
    """Adds --stage and --region, and hands the router over as the first argument."""

    @click.option(
        "--stage",
        envvar="LLM_ROUTER_STAGE",
        default=routers.LOCAL,
        show_default=True,
        show_envvar=True,
        callback=_stage,
        help="A deployed stage, or local for the `make run` of this machine (its data in STATE_DIR).",
    )
    @click.option(
        "--region",
        envvar="LLM_ROUTER_REGION",
        show_envvar=True,
        help="Of the deployed stage; your profile's where it is left out.",
    )
    @functools.wraps(command)
    def run(*arguments: Any, stage: str, region: str | None, **named: Any) -> Any:
        router = routers.found(stage, region=region, environ=os.environ)
        return command(router, *arguments, **named)

    return run  # type: ignore[return-value]  # click turns it into its own kind in the end


as_json = click.option("--json", "as_json", is_flag=True, help="JSON for scripts; money as plain decimals.")


def question(*, since: str | None, until: str | None, group_by: str | None = None) -> Question:
    """As GET /stats takes it. Raises click.UsageError."""
    given = {"from": since, "to": until, "group_by": group_by}
    try:
        return stats_requests.question(
            {name: value for name, value in given.items() if value is not None}, key=ANYONE, now=datetime.now(UTC)
        )
    except InvalidRequestError as error:
        raise click.UsageError(str(error)) from error


def span(*, since: str, until: str) -> Span:
    """Raises click.UsageError."""
    asked = question(since=since, until=until).span
    if asked is None:
        raise click.UsageError("Give --from and --to.")
    return asked


def _stage(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        return stack.stage_name(value)
    except argparse.ArgumentTypeError as error:
        raise click.BadParameter(str(error)) from error
