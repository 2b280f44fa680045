"""What this process may use of the machine: cores and memory, with affinity and control groups heeded."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from sclandmarks.tune.cards import Card

ROOT = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """Cores this process may use, at least 1: its affinity, cut to the quota of its control groups.

    Parameters
    ----------
    root : Path
        Where /sys and /proc are; another folder in tests.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    return max(1, math.floor(min([float(allowed), *quotas])))


def read_machine(root: Path = ROOT) -> Card:
    """Memory of the machine as a card called "cpu", bytes: what is there, and what can be had without swapping."""
    fields = _meminfo(root / "proc/meminfo")
    if not fields:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Card("cpu", total, total)
    total, free = fields["MemTotal"], fields.get("MemAvailable", fields["MemFree"])
    for folder in _groups(root, "memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        if limit is not None:
            total, free = min(total, limit), min(free, max(0, limit - _held(folder)))
    return Card("cpu", total, free)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the process's control group and those above it, of version 2 and of version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, place = line.split(":", 2)
        if names == "" or controller in names.split(","):
            base = root / "sys/fs/cgroup" / (controller if names else "")
            own = base / place.strip("/")
            yield own
            yield from (above for above in own.parents if above.is_relative_to(base))


def _quota(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        held, every = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        return held / every if held is not None and held > 0 and every else None
    return None if quota == "max" else int(quota) / int(period)


def _held(folder: Path) -> int:
    """Memory a group holds, without file pages that the kernel gives back at once."""
    current = _number(folder / "memory.current", folder / "memory.usage_in_bytes") or 0
    try:
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        stat = {}
    return current - int(stat.get("inactive_file", stat.get("total_inactive_file", 0)))


def _number(*files: Path) -> int | None:
    """Whole number in the first of the files that has one."""
    for file in files:
        try:
            return int(file.read_text())
        except (OSError, ValueError):  # absent, or "max"
            continue
    return None


def _meminfo(file: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if len(line) == 3}
