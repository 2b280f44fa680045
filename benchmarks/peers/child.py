"""One selection in a process of its own: `python -m peers.child PEER SIZE FOLDER OUT`; started by `launch`."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from contextlib import suppress
from importlib import import_module, metadata
from pathlib import Path

from peers.cells import load_cells
from peers.register import OURS, PEERS


def used() -> float:
    """Processor seconds of this process, of its living children, and of the ones it waited for."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime + used_by_children()


def used_by_children() -> float:
    """Processor seconds of the living children: workers that a package keeps for later, as joblib does."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15])) * (int(fields[1]) == os.getpid())
    return ticks / os.sysconf("SC_CLK_TCK")


def peak() -> float:
    """Largest memory of this process, or of one that it waited for, in MiB.

    What `wait4` tells the parent counts the parent's own memory too, from before the interpreter was started.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(status["VmHWM"].split()[0]), others) / 1024


def ours(name: str, size: int, folder: Path) -> tuple[list[str], float, float]:
    """Ids of the genes that a selector of ours chooses, seconds and processor seconds."""
    from peers.mine import choose, open_task

    task, panel = open_task(folder, OURS[name], size)
    began, before = time.perf_counter(), used()
    return choose(task, panel), time.perf_counter() - began, used() - before


def theirs(name: str, size: int, folder: Path) -> tuple[list[str], float, float]:
    """The same of a peer; importing it is not counted, as importing ours is not."""
    cells, adapter = load_cells(folder / "train"), import_module(f"peers.adapters.{PEERS[name].adapter}")
    for package in getattr(adapter, "IMPORTS", ()):
        import_module(package)
    began, before = time.perf_counter(), used()
    order = adapter.select(cells, size, **PEERS[name].options)
    seconds, cpu = time.perf_counter() - began, used() - before
    return [str(cells.genes[place]) for place in order[:size]], seconds, cpu


def main(name: str, size: str, folder: str, out: str) -> None:
    """Select and write the genes with what they cost."""
    genes, seconds, cpu = (ours if name in OURS else theirs)(name, int(size), Path(folder))
    package = "" if name in OURS else PEERS[name].package
    version = metadata.version(package) if package else ""
    found = {"genes": genes, "seconds": seconds, "cpu": cpu, "peak_mib": peak(), "version": version}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
