"""What `make` would do, without doing it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from e2e.local_run import environment

ROOT = Path(__file__).parents[2]
MAKEFILES = [ROOT / "Makefile", *sorted((ROOT / "infra").glob("*/targets.mk"))]


def would_do(*targets):
    command = ["make", "--dry-run", "--always-make", *targets]
    return subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True).stdout


def installed(commands):
    return re.findall(r"install\.sh \S+ (\S+)", commands)


def test_running_installs_only_what_runs():
    assert installed(would_do("run")) == ["infra/local/requirements.txt"]


@pytest.mark.parametrize("target", ["test", "check"])
def test_developers_get_the_rest_on_top(target):
    assert installed(would_do(target)) == [
        "infra/local/requirements.txt",
        "requirements.txt",
        "infra/sam/translator_requirements.txt",
    ]


def test_a_missing_python_ends_the_set_up_also_where_make_ignores_shellflags():
    """Apple's make 3.81 knows no .SHELLFLAGS, so no line may count on `-e` and `pipefail`."""
    lines = re.findall(r"python=\$\$?\(.*", "".join(path.read_text() for path in MAKEFILES))
    assert lines
    assert [line for line in lines if "|| exit 1" not in line] == []


def test_help_lists_the_targets_in_a_column():
    lines = subprocess.run(["make", "help"], cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
    listed = [re.fullmatch(r"([a-z][a-z0-9-]*) +(\S.*)", line) for line in lines.stdout.splitlines()]
    assert {"run", "test", "deploy", "help"} <= {match[1] for match in listed}
    assert len({match.start(2) for match in listed}) == 1
