"""Peak memory of one trial, measured: the heaviest corner of the search, run alone in a process of its own."""

from __future__ import annotations

import gc
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from sclandmarks.tune.cards import Peak


class Meter(Protocol):
    """Measures what a call holds at most."""

    def start(self) -> None:
        """Look before anything is loaded."""

    def stop(self) -> Peak:
        """Look afterwards."""


class ResidentMeter:
    """Peak resident memory of this process, libraries and data included."""

    def start(self) -> None:
        """Nothing to do: the kernel keeps the peak of the whole process."""

    def stop(self) -> Peak:
        """Peak since the process started."""
        unit = 1 if sys.platform == "darwin" else 1024
        return Peak(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


class CudaMeter:
    """Peak of torch's allocator, and the context as the fall of free memory that the allocator does not explain.

    Parameters
    ----------
    cuda : module or object
        torch.cuda, with `mem_get_info`, `max_memory_reserved`, `memory_reserved`, `synchronize`.
    free_before : callable
        Free bytes of the card, read without a context (nvidia-smi).
    """

    def __init__(self, cuda: Any, free_before: Callable[[], int]) -> None:
        self._cuda, self._free_before, self._free = cuda, free_before, 0

    def start(self) -> None:
        """Read free memory before the context exists."""
        self._free = self._free_before()

    def stop(self) -> Peak:
        """Read the allocator's peak, and the rest of what is gone."""
        self._cuda.synchronize()
        free, _ = self._cuda.mem_get_info(0)
        context = max(0, self._free - free - self._cuda.memory_reserved(0))
        return Peak(int(self._cuda.max_memory_reserved(0)), int(context))


def resident() -> int:
    """Resident memory of this process at this moment, bytes; its peak where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return ResidentMeter().stop().reserved
    return pages * resource.getpagesize()


def measure(run: Callable[[], object], meter: Meter) -> Peak:
    """Peak of a call."""
    gc.collect()
    meter.start()
    run()
    return meter.stop()


def to_json(peak: Peak) -> str:
    """As one line."""
    return json.dumps({"reserved": peak.reserved, "context": peak.context})
