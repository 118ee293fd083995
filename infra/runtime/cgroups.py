"""Holds the runtime to the share of a processor and the memory that Lambda gives, by the kernel's control groups.

Works with both layouts of /sys/fs/cgroup, and needs root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MB_PER_VCPU = 1769
"""https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: so much memory comes with one vCPU."""

PERIOD_US = 20_000
"""How often the share is dealt out: Lambda's own, as those have seen who measured. AWS does not publish it."""

_UNLIMITED = -1
_FIRST_IN_LINE = {"cpu.shares": "262144", "cpu.weight": "10000"}
"""The most that each layout takes: what else this machine does must not lessen a share that the limit allows."""

_ENTER = 'for group in $GROUPS_TO_ENTER; do echo $$ > "$group/cgroup.procs"; done; unset GROUPS_TO_ENTER; exec "$@"'


class LimitsUnavailableError(Exception):
    """Why this machine can't hold a process to such limits, in words."""


@dataclass(frozen=True, slots=True)
class Group:
    """A control group for one instance; in the older layout there is one folder for each kind of limit."""

    cpu: Path
    memory: Path
    usage: Path
    is_unified: bool

    def limit_cpu(self, memory_mb: int) -> None:
        """To the share that comes with so much memory."""
        self._deal(round(PERIOD_US * memory_mb / MB_PER_VCPU))

    def unlimit_cpu(self) -> None:
        self._deal(_UNLIMITED)

    def limit_memory(self, memory_mb: int) -> None:
        name = "memory.max" if self.is_unified else "memory.limit_in_bytes"
        (self.memory / name).write_text(str(memory_mb * 1024 * 1024))

    def cpu_s(self) -> float:
        """Processor time used so far."""
        if self.is_unified:
            rows = dict(line.split() for line in (self.usage / "cpu.stat").read_text().splitlines())
            return int(rows["usage_usec"]) / 1e6
        return int((self.usage / "cpuacct.usage").read_text()) / 1e9

    def entering(self) -> list[str]:
        """A command that puts itself into the group and becomes the command after it."""
        folders = " ".join(str(folder) for folder in self.folders())
        return ["env", f"GROUPS_TO_ENTER={folders}", "sh", "-c", _ENTER, "sh"]

    def folders(self) -> list[Path]:
        return sorted({self.cpu, self.memory, self.usage})

    def _deal(self, quota_us: int) -> None:
        if self.is_unified:
            quota = "max" if quota_us == _UNLIMITED else str(quota_us)
            (self.cpu / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (self.cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self.cpu / "cpu.cfs_quota_us").write_text(str(quota_us))


@contextmanager
def group(root: Path = ROOT) -> Iterator[Group]:
    """Raises LimitsUnavailableError. The processes in it must have ended when it is left."""
    name = f"llm-router-{os.getpid()}"
    try:
        made = _unified(root, name) if _has_unified_limits(root) else _separate(root, name)
    except OSError as error:
        raise LimitsUnavailableError(
            f"Control groups can't be used here ({error}). Run it as root on Linux, outside of a container."
        ) from error
    try:
        yield made
    finally:
        for folder in made.folders():
            with contextlib.suppress(OSError):  # a process on its way out; an empty group costs nothing
                folder.rmdir()


def _has_unified_limits(root: Path) -> bool:
    controllers = root / "cgroup.controllers"
    return controllers.is_file() and {"cpu", "memory"} <= set(controllers.read_text().split())


def _unified(root: Path, name: str) -> Group:
    (root / "cgroup.subtree_control").write_text("+cpu +memory")
    folder = root / name
    folder.mkdir(exist_ok=True)
    _prefer(folder, "cpu.weight")
    return Group(folder, folder, folder, is_unified=True)


def _separate(root: Path, name: str) -> Group:
    cpu, memory, usage = (root / kind / name for kind in ("cpu", "memory", "cpuacct"))
    for folder in (cpu, memory, usage):
        folder.mkdir(exist_ok=True)
    _prefer(cpu, "cpu.shares")
    return Group(cpu, memory, usage, is_unified=False)


def _prefer(folder: Path, name: str) -> None:
    (folder / name).write_text(_FIRST_IN_LINE[name])
