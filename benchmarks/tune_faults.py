"""The fault table of studies: each fault at length, and what it cost.

`python benchmarks/tune_faults.py [FAULT ...]` prints per fault how often it was done, the trials of its studies, those
lost (no result, though nothing was wrong with them), those there twice, those that hang, and the repeats. A trial is
0 to 50 ms of sleep, so that the machinery has most of the time. With names, such as `workers disk`, only those.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))

import fault_table
from fault_table import Fault
from postgres_server import find_postgres, server


def postgres(root: Path) -> Fault | None:
    """PostgreSQL killed and started again under running workers."""
    if find_postgres()[0] is None:
        print(f"postgres: skipped, {find_postgres()[1]}")
        return None
    with server() as started:
        return fault_table.kill_postgres(root, started, kills=5, trials=40)


def postgres_workers(root: Path) -> Fault | None:
    """Workers killed while they use PostgreSQL."""
    if find_postgres()[0] is None:
        return None
    with server() as started:
        fault = fault_table.kill_workers(root, 20, 60, 3, started.url, longest=0.3)
    return fault._replace(name="worker killed, on PostgreSQL")


def recorded(root: Path) -> Fault:
    """The launcher killed while it records."""
    os.chdir(root)
    try:
        return fault_table.kill_recording_launcher(root, kills=5, trials=40, seed=1)
    finally:
        os.chdir("/")


FAULTS: dict[str, Callable[[Path], Fault | None]] = {
    "workers": lambda root: fault_table.kill_workers(root, kills=50, trials=300, seed=1),
    "postgres-workers": postgres_workers,
    "launcher": lambda root: fault_table.kill_launcher(root, kills=10, trials=100, seed=1),
    "record": recorded,
    "postgres": postgres,
    "journal": lambda root: fault_table.tear_journal(root, cuts=20, trials=4, seed=1),
    "disk": lambda root: fault_table.fill_disk(root, times=10, trials=80),
    "clock": lambda root: fault_table.step_clock(root, trials=100),
    "two-launchers": lambda root: fault_table.launch_twice(root, trials=20, times=5),
    "bad-trials": lambda root: fault_table.bad_trials(root, trials=30),
    "stop": lambda root: fault_table.stop_launcher(root, times=6, trials=20),
}


def main() -> None:
    """Print the table."""
    print(f"{'fault':40} {'tried':>6} {'trials':>7} {'lost':>5} {'twice':>6} {'hang':>5} {'repeats':>8} {'s':>6}")
    for name in sys.argv[1:] or FAULTS:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            fault = FAULTS[name](Path(folder))
        if fault is None:
            continue
        found, seconds = fault.audit, time.monotonic() - begin
        numbers = f"{fault.tried:6} {found.trials:7} {found.lost:5} {found.twice:6} {found.hanging:5} {found.repeats:8}"
        print(f"{fault.name:40} {numbers} {seconds:6.0f}", flush=True)


if __name__ == "__main__":
    main()
