"""`llm-router`: what operators ask of a router from a shell. Each command stands in a module of its own."""

from __future__ import annotations

import click

from infra.cli.export import export
from infra.cli.options import Commands
from infra.cli.prices import prices
from infra.cli.reconcile import reconcile
from infra.cli.replay import replay
from infra.cli.show import show
from infra.cli.stats import stats


@click.group(
    cls=Commands,
    commands=[show, stats, export, replay, prices, reconcile],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def main() -> None:
    """The operators' command line of Multi-LLM Router.

    Exit codes: 0 all went well; 1 something could not be done, is not there, or differs; 2 wrong use.
    """


if __name__ == "__main__":
    main()
