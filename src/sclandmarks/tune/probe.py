"""Peak memory of one trial, measured: the heaviest corner of the search, run alone in a process of its own."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sclandmarks.errors import StudyError
from sclandmarks.io.atomic import write_text
from sclandmarks.params import Dimension, Range, in_order
from sclandmarks.tune.cards import Peak, visible_gpus
from sclandmarks.tune.memory import resident_peak

if TYPE_CHECKING:
    from sclandmarks.tune.objective import Objective
    from sclandmarks.tune.plan import Plan
    from sclandmarks.tune.slots import Slot

SIZES = ("width", "depth", "batch_size", "n_landmarks", "max_rank", "max_cells")  # settings that memory grows with
EPOCHS = 2
COMMAND = (sys.executable, "-P", "-m", "sclandmarks.tune.probe")


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
        return Peak(resident_peak())


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
        return resident_peak()
    return pages * resource.getpagesize()


def measure(run: Callable[[], object], meter: Meter) -> Peak:
    """Peak of a call."""
    gc.collect()
    meter.start()
    run()
    return meter.stop()


def heaviest(plan: Plan) -> dict[str, Any]:
    """Return the corner of the search space that needs most memory: the largest sizes, all else as the base has it.

    Where a size is searched under a condition only, the condition is met if that needs one setting.
    """
    own = plan.base.model_dump() | {"n_landmarks": plan.n_landmarks}
    space = plan.search.space
    opens = {
        other: values[0]
        for name, dimension in space.items()
        if name in SIZES
        for other, values in dimension.when.items()
        if own[other] not in values
    }
    chosen: dict[str, Any] = {}
    for name in in_order(space):
        dimension = space[name]
        if all(other in chosen and chosen[other] in values for other, values in dimension.when.items()):
            chosen[name] = _largest(dimension) if name in SIZES else opens.get(name, own[name])
    return chosen


def _largest(dimension: Dimension) -> Any:
    if isinstance(dimension, Range):
        return dimension.high
    return max(value for value in dimension.choices if isinstance(value, int | float))


class _EnoughError(Exception):
    """The trial has held what it will hold."""


def run_briefly(plan: Plan, objective: Objective, folder: Path) -> None:
    """Run the heaviest corner for two epochs: by then optimiser and validation have taken their memory."""

    def report(step: int, value: float) -> None:
        if step >= EPOCHS:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        objective(heaviest(plan), report, folder)


def probe(plan: Plan, slot: Slot, command: Sequence[str] = COMMAND) -> Peak:
    """Measure the peak of the heaviest corner in a process of its own, in this slot.

    What was measured is kept in the study's folder, and measured again for another fingerprint or device.

    Raises
    ------
    StudyError
        If the probe's process fails; what it said is told.
    """
    kept = Path(plan.root) / plan.folder / "probe.json"
    key = {"fingerprint": plan.fingerprint, "device": slot.device}
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(kept.read_text())
        if {name: known[name] for name in key} == key:
            return Peak(known["reserved"], known["context"])
    peak = _ask(plan, slot, command)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps({**key, **asdict(peak)}))
    return peak


def _ask(plan: Plan, slot: Slot, command: Sequence[str]) -> Peak:
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "plan.json", Path(folder) / "peak.json"
        file.write_text(replace(plan, storage="").to_json())  # no password in a file
        arguments = [*command, str(file), "--slot", slot.to_json(), "--out", str(out)]
        done = subprocess.run(
            arguments, cwd=plan.root, env=os.environ | slot.env, capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and out.exists():
            return Peak(**json.loads(out.read_text()))
    words = "\n".join(done.stderr.strip().splitlines()[-15:])
    raise StudyError(
        f"a probe trial with {heaviest(plan)} that runs alone on {slot.device}",
        f"exit code {done.returncode}:\n{words}",
        "Narrow the sizes of the search, or give --per-gpu so that none is probed.",
    )


def main(arguments: Sequence[str] | None = None, open_objective: Callable[[Plan], Objective] | None = None) -> int:
    """Measure in this process: `python -m sclandmarks.tune.probe PLAN.json --slot JSON --out FILE`."""
    parser = argparse.ArgumentParser(prog="python -m sclandmarks.tune.probe", description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--slot", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    from sclandmarks.tune.plan import Plan
    from sclandmarks.tune.slots import Slot

    plan, slot = Plan.from_json(given.plan.read_text()), Slot.from_json(given.slot)
    peak = measure(lambda: _run(plan, slot, open_objective), _meter(slot))
    write_text(given.out, json.dumps(asdict(peak)))
    return 0


def _run(plan: Plan, slot: Slot, open_objective: Callable[[Plan], Objective] | None) -> None:
    from sclandmarks.tune.objective import open_objective as usual
    from sclandmarks.tune.slots import open_slot

    os.chdir(plan.root)
    objective = (open_objective or usual)(plan)
    open_slot(slot)
    with tempfile.TemporaryDirectory() as folder:
        run_briefly(plan, objective, Path(folder))


def _meter(slot: Slot) -> Meter:
    if slot.gpu is None:
        return ResidentMeter()
    import torch

    return CudaMeter(torch.cuda, lambda: next(card.free for card in visible_gpus()))


if __name__ == "__main__":
    sys.exit(main())
