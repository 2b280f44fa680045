"""Memory of trials: its peak, what to do when it runs out, and which later trials would not fit either."""

from __future__ import annotations

import gc
import re
import resource
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial

from sclandmarks.tune.locks import lock_file

SIZES = ("width", "depth", "batch_size", "n_landmarks")  # settings with which memory grows


class Floor:
    """Room on one device: many trials share it, or one has it alone.

    Parameters
    ----------
    folder : Path
        Of the study's locks.
    device : str
    """

    def __init__(self, folder: Path, device: str) -> None:
        name = re.sub(r"[^\w.-]", "_", device)
        self._gate, self._floor = folder / f"{name}.gate.flock", folder / f"{name}.flock"

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Run beside others, once none waits to be alone."""
        with ExitStack() as stack:
            with lock_file(self._gate):
                stack.enter_context(lock_file(self._floor, shared=True))
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run when the others have ended; none begins meanwhile. The caller must not hold it shared."""
        with lock_file(self._gate), lock_file(self._floor):
            yield


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of a GPU or of the machine, ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    told = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in told or "alloc_failed" in told)


def free_memory() -> None:
    """Give back what a trial held; call it when its exception is gone, which holds its tensors."""
    gc.collect()
    if (cuda := _cuda()) is not None:
        cuda.empty_cache()


def reset_peak() -> None:
    """Begin a new peak."""
    if (cuda := _cuda()) is not None:
        free_memory()  # what earlier trials left in the allocator's cache
        cuda.reset_peak_memory_stats()
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the peak is that of the whole process
        return


def read_peak() -> int:
    """Most bytes held since `reset_peak`: of the GPU by torch, else of the machine by the whole process."""
    if (cuda := _cuda()) is not None:
        return int(cuda.max_memory_reserved())
    return resident_peak()


def resident_peak() -> int:
    """Most bytes of memory this program held; from Linux, as `ru_maxrss` counts what a process held before `exec`."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def sizes(settings: Mapping[str, Any]) -> dict[str, float]:
    """Return the settings with which memory grows."""
    return {name: settings[name] for name in SIZES if isinstance(settings.get(name), int | float)}


def limits(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that ran out of memory even alone; their user attribute `too_big` has their sizes."""
    return [trial for trial in trials if trial.user_attrs.get("too_big")]


def limit_of(settings: Mapping[str, Any], limits: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """A trial that ran out of memory with no size above those of the settings: then these do not fit either."""
    mine = sizes(settings)
    for trial in limits:
        theirs = trial.user_attrs["too_big"]
        if all(name in mine and mine[name] >= size for name, size in theirs.items()):
            return trial
    return None


def shrink(trial: FrozenTrial, limit: Mapping[str, float]) -> dict[str, Any] | None:
    """Parameters of a trial with every searched size at most half of the limit, where its range allows.

    Returns
    -------
    dict or None
        None if they are no smaller than the limit in anything.
    """
    smaller = {
        name: _at_most(trial.distributions[name], min(trial.params[name], size / 2))
        for name, size in limit.items()
        if name in trial.params
    }
    if not any(value < limit[name] for name, value in smaller.items()):
        return None
    return {**trial.params, **smaller}


def show(sizes: Mapping[str, float]) -> str:
    """Sizes for a message."""
    return ", ".join(f"{name} {size}" for name, size in sizes.items()) or "settings that name no size"


def _at_most(distribution: BaseDistribution, most: float) -> Any:
    """The largest value of a distribution that is not above `most`, else its smallest."""
    if isinstance(distribution, CategoricalDistribution):
        numbers = sorted(choice for choice in distribution.choices if isinstance(choice, int | float))
        return max([number for number in numbers if number <= most], default=numbers[0])
    if isinstance(distribution, IntDistribution):
        return max(distribution.low, int(most))
    low: float = getattr(distribution, "low", most)
    return max(low, most)


def _cuda() -> Any:
    """Return torch.cuda if this process uses it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None
