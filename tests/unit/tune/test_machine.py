"""Cores and memory of the machine, with affinity and control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sclandmarks.tune.cards import GIB, Card
from sclandmarks.tune.machine import read_machine, usable_cores

SIZES = {"MemTotal": 64 * GIB, "MemFree": GIB, "MemAvailable": 48 * GIB}
MEMINFO = "".join(f"{name}: {size // 1024} kB\n" for name, size in SIZES.items()) + "HugePages_Total: 0\n"


def root_with(folder: Path, **files: str) -> Path:
    """Write files of /proc and /sys; `__` stands for a folder."""
    for name, text in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """An affinity to eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("own", "above", "cores"),
    [
        ("max 100000", "max 100000", 8),
        ("350000 100000", "max 100000", 3),
        ("max 100000", "200000 100000", 2),
        ("50000 100000", "max 1", 1),
    ],
)
def test_quota_of_version_2_is_heeded_at_every_level(
    own: str, above: str, cores: int, tmp_path: Path, eight_cores: None
) -> None:
    root_with(tmp_path, proc__self__cgroup="0::/jobs/mine\n")
    base = tmp_path / "sys/fs/cgroup/jobs"
    (base / "mine").mkdir(parents=True)
    (base / "mine/cpu.max").write_text(own)
    (base / "cpu.max").write_text(above)
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("400000", 4)])
def test_quota_of_version_1_is_heeded(quota: str, cores: int, tmp_path: Path, eight_cores: None) -> None:
    root_with(tmp_path, proc__self__cgroup="4:memory:/\n3:cpu,cpuacct:/\n")
    folder = tmp_path / "sys/fs/cgroup/cpu"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert usable_cores(tmp_path) == cores


def test_affinity_alone_where_there_are_no_groups(tmp_path: Path, eight_cores: None) -> None:
    assert usable_cores(tmp_path) == 8


def test_this_machine_has_a_core_and_free_memory() -> None:
    machine = read_machine()
    assert usable_cores() >= 1
    assert machine.name == "cpu"
    assert 0 < machine.free <= machine.total


def test_memory_is_what_can_be_had_without_swapping(tmp_path: Path) -> None:
    assert read_machine(root_with(tmp_path, proc__meminfo=MEMINFO)) == Card("cpu", 64 * GIB, 48 * GIB)


def test_a_limit_of_the_group_is_heeded_and_file_pages_count_as_free(tmp_path: Path) -> None:
    root_with(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="0::/\n")
    folder = tmp_path / "sys/fs/cgroup"
    folder.mkdir(parents=True)
    for name, text in {
        "max": str(8 * GIB),
        "current": str(5 * GIB),
        "stat": f"anon 1\ninactive_file {2 * GIB}\n",
    }.items():
        (folder / f"memory.{name}").write_text(text)
    assert read_machine(tmp_path) == Card("cpu", 8 * GIB, 5 * GIB)
    (folder / "memory.max").write_text("max")
    assert read_machine(tmp_path).total == 64 * GIB


def test_without_meminfo_the_system_is_asked(tmp_path: Path) -> None:
    card = read_machine(tmp_path)
    assert card.free == card.total > 0
