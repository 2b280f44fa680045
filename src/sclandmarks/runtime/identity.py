"""Which process does a piece of work, and whether it still lives; nothing here depends on the clock."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def identify(slot: int) -> dict[str, Any]:
    """Name this process so that no other, before or after, has the same name.

    Parameters
    ----------
    slot : int
        Of a study's worker.

    Returns
    -------
    dict
        `host`, `pid`, `start` (ticks from the machine's start to the process's), `boot` (this start of the machine and
        this space of process ids: a container has its own), `slot`.
    """
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "start": started(pid), "boot": boot(), "slot": slot}


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether a process lives; None where this cannot be seen from here (another machine or container)."""
    if process.get("boot") != boot() or not boot():
        return None
    return process.get("start") == started(int(process["pid"]))


def started(pid: int) -> int | None:
    """Ticks from the start of the machine to that of a process; None if there is none, or it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@cache
def boot() -> str:
    """Name of this start of the machine and this space of process ids; empty where there is no /proc."""
    try:
        return f"{(PROC / 'sys/kernel/random/boot_id').read_text().strip()} {(PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""
