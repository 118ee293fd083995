"""Limits as the kernel is told of them, in both layouts of its control groups."""

from __future__ import annotations

import pytest

from infra.runtime import cgroups


@pytest.fixture
def unified(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tmp_path


@pytest.fixture
def separate(tmp_path):
    for kind in ("cpu", "memory", "cpuacct"):
        (tmp_path / kind).mkdir()
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    return tmp_path


def test_the_unified_layout_has_one_folder_for_all_limits(unified):
    with cgroups.group(unified) as group:
        group.limit_cpu(1769)
        group.limit_memory(256)
        assert len(group.folders()) == 1
        assert (group.cpu / "cpu.max").read_text() == "20000 20000"
        assert (group.memory / "memory.max").read_text() == str(256 * 1024 * 1024)
        group.unlimit_cpu()
        assert (group.cpu / "cpu.max").read_text() == "max 20000"
        (group.usage / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
        assert group.cpu_s() == 1.5


def test_the_separate_layout_has_a_folder_for_each_kind_of_limit(separate):
    with cgroups.group(separate) as group:
        group.limit_cpu(128)
        group.limit_memory(128)
        assert len(group.folders()) == 3
        assert (group.cpu / "cpu.cfs_quota_us").read_text() == "1447"
        assert (group.cpu / "cpu.cfs_period_us").read_text() == "20000"
        assert (group.memory / "memory.limit_in_bytes").read_text() == str(128 * 1024 * 1024)
        group.unlimit_cpu()
        assert (group.cpu / "cpu.cfs_quota_us").read_text() == "-1"
        (group.usage / "cpuacct.usage").write_text("250000000\n")
        assert group.cpu_s() == 0.25


def test_a_machine_without_control_groups_is_told_what_is_missing(tmp_path):
    with pytest.raises(cgroups.LimitsUnavailableError, match="as root on Linux"), cgroups.group(tmp_path / "nowhere"):
        pass
