"""Cores that may be used: by affinity, and by the quotas of both kinds of control groups."""

import os
from pathlib import Path

import pytest

from service import cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def write(folder: Path, **files: str) -> None:
    """Write files whose names have dots for the underscores before their last word."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("cpu_", "cpu.", 1)).write_text(text)


def usable(root: Path, membership: str) -> int:
    """What is found below *root* for a process with this /proc/self/cgroup."""
    path = root / "membership"
    path.write_text(membership)
    return cores.usable(root, path)


@pytest.mark.parametrize(
    ("maximum", "expected"),
    [
        ("100000 100000\n", 1),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("max 100000\n", 8),
        ("nonsense", 8),
    ],
)
def test_a_quota_counts(tmp_path: Path, maximum: str, expected: int) -> None:
    """Rounded up, never more than the scheduler allows."""
    write(tmp_path, cpu_max=maximum)

    assert usable(tmp_path, "0::/\n") == expected


def test_the_tightest_of_the_groups_around_counts(tmp_path: Path) -> None:
    """A pod's limit holds for its containers."""
    write(tmp_path / "pod" / "container", cpu_max="max 100000\n")
    write(tmp_path / "pod", cpu_max="300000 100000\n")

    assert usable(tmp_path, "0::/pod/container\n") == 3


def test_the_group_itself_is_seen_where_its_path_is_the_hosts(tmp_path: Path) -> None:
    """As in a container without a control group namespace."""
    write(tmp_path, cpu_max="200000 100000\n")

    assert usable(tmp_path, "0::/kubepods/pod1/abc\n") == 2


def test_the_first_kind_of_control_groups_counts_too(tmp_path: Path) -> None:
    """Its own files, in a folder of its own."""
    write(tmp_path / "cpu" / "docker" / "abc", cpu_cfs_quota_us="250000\n", cpu_cfs_period_us="100000\n")
    write(tmp_path / "cpu", cpu_cfs_quota_us="-1\n", cpu_cfs_period_us="100000\n")

    assert usable(tmp_path, "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n") == 3


def test_without_control_groups_the_scheduler_decides(tmp_path: Path) -> None:
    """No file, no limit."""
    assert cores.usable(tmp_path, tmp_path / "missing") == 8
