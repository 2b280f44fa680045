"""Starts one selection in a process of its own, with a time limit, and keeps what it found and what it cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.register import OURS, ranks, settings_of

BENCHMARKS = Path(__file__).resolve().parents[1]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS",
           "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # fmt: skip
POLL = 0.5  # seconds


@dataclass(frozen=True)
class Setup:
    """How selections are run.

    Parameters
    ----------
    python : pathlib.Path
        Interpreter of the peers' environment.
    limit : float
        Processor seconds of one selection; twenty times as much wall time.
    threads : int
    """

    python: Path
    limit: float = 900.0
    threads: int = 2


def result_path(folder: Path, name: str, size: int) -> Path:
    """The file of one result."""
    return folder / "results" / f"{name}-{size}.json"


def read(path: Path) -> dict[str, Any]:
    """One result."""
    return dict(json.loads(path.read_text()))


def has_run(path: Path, name: str) -> bool:
    """Whether there is a result of these settings, though it may have failed."""
    return path.exists() and read(path)["settings"] == settings_of(name)


def is_done(path: Path, name: str) -> bool:
    """Whether there is a result that need not be tried again: it ended, or ran over the limit."""
    return has_run(path, name) and read(path)["status"] != "failed"


def over_below(folder: Path, name: str, size: int) -> int | None:
    """The smallest size below this one that ran over the limit with these settings: this one need not be tried."""
    sizes = (int(path.stem.rpartition("-")[2]) for path in (folder / "results").glob(f"{name}-[0-9]*.json"))
    smaller = (one for one in sorted(sizes) if one < size and has_run(result_path(folder, name, one), name))
    return next((one for one in smaller if read(result_path(folder, name, one))["status"] == "over"), None)


def select(setup: Setup, folder: Path, name: str, size: int) -> dict[str, Any]:
    """Run one selection and write its result; what is there is kept.

    Returns
    -------
    dict
        name, size, settings; status `ok`, `over` (the limit) or `failed`; genes, seconds, cpu of the selection;
        process_cpu and peak_mib of the whole process, its imports and reading included. Of one that did not end,
        peak_mib is at least the memory of this process.
    """
    path = result_path(folder, name, size)
    if is_done(path, name):
        return read(path)
    out, log = path.with_suffix(".part"), folder / "logs" / f"{name}-{size}.log"
    for file in (out, log):
        file.parent.mkdir(parents=True, exist_ok=True)
    about = {"name": name, "size": size, "ranks": ranks(name), "settings": settings_of(name), "limit": setup.limit}
    found = about | run(setup, command(setup, folder, name, size, out), log)
    if found["status"] == "ok":
        found |= json.loads(out.read_text())
        out.unlink()
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(found))
    aside.replace(path)
    return found


def command(setup: Setup, folder: Path, name: str, size: int, out: Path) -> list[str]:
    """Arguments of the child: ours runs in this interpreter, a peer in its own."""
    python = sys.executable if name in OURS else str(setup.python)
    return [python, "-m", "peers.child", name, str(size), str(folder), str(out)]


def run(setup: Setup, arguments: list[str], log: Path) -> dict[str, Any]:
    """Run a command to its end or its limit, in a session of its own that is ended with it.

    Only what was started here is ended, by the number of its session.
    """
    environment = os.environ | dict.fromkeys(THREADS, str(setup.threads)) | {"PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH", "")]))
    began, over = time.monotonic(), False
    with log.open("w") as stream:
        child = subprocess.Popen(arguments, stdout=stream, stderr=stream, env=environment, start_new_session=True)
        while True:
            pid, state, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if not over and (spent(child.pid) > setup.limit or time.monotonic() - began > 20 * setup.limit):
                os.killpg(child.pid, signal.SIGKILL)
                over = True
            time.sleep(POLL)
    child.returncode = os.waitstatus_to_exitcode(state)
    status = "over" if over else "failed" if child.returncode else "ok"
    costs = {"process_cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}
    return {
        "status": status,
        "process_wall": time.monotonic() - began,
        "why": last_line(log) * (status == "failed"),
    } | costs


def spent(session: int) -> float:
    """Processor seconds of the living processes of a session, and of the ended ones that they waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
