"""A study whose trials take no time, with faults on demand; run as a script it is a worker of such a study."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sclandmarks.params import FitSearch, load_params
from sclandmarks.tune.objective import Outcome
from sclandmarks.tune.plan import Context, Plan

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, str(Path(__file__)))
SPACE = {"width": {"low": 1, "high": 256, "log": True}, "dropout": {"low": 0.0, "high": 0.7}}


class Quick:
    """Values from the settings alone.

    `faults` maps the number of a trial to what befalls it: nan, raise, hang, memory, memory once, full, report.
    Trials from the number `held` on wait until there is a file `go`, so that a study cannot end before.
    """

    directions = ("minimize",)

    def __init__(
        self,
        seconds: float = 0.0,
        faults: Mapping[str, str] | None = None,
        held: float = float("inf"),
        go: Path = Path("go"),
    ) -> None:
        self.seconds, self.faults, self.met = seconds, faults or {}, 0
        self.held, self.go = held, go

    def __call__(self, settings: Mapping[str, Any], report: Callable[[int, float], None], folder: Path) -> Outcome:
        number = folder.name.strip(".").removesuffix(".part")
        _note(folder.parent / "begun.txt", number)
        time.sleep(self.seconds)
        while int(number) >= self.held and not self.go.exists():
            time.sleep(0.01)
        if (fault := self.faults.get(number, self.faults.get("*"))) is not None:
            FAULTS[fault](self, settings, report)
        value = float("nan") if fault == "nan" else (settings["width"] - 8) ** 2 + settings["dropout"]
        (folder / "made.txt").write_text(f"{value}")
        _note(folder.parent / "ended.txt", number)
        return Outcome((float(value),), {"width": settings["width"]})


def _note(path: Path, number: str) -> None:
    with path.open("a") as file:
        file.write(f"{number} {os.getpid()}\n")


def _nothing(*_: object) -> None:
    return


def _raise(*_: object) -> None:
    raise ValueError("the weights went astray")


def _hang(*_: object) -> None:
    while True:
        time.sleep(60)


def _report(_: Quick, settings: Mapping[str, Any], report: Callable[[int, float], None]) -> None:
    for step in range(20):
        report(step, settings["width"] + 1 / (step + 1))


def _big(_: Quick, settings: Mapping[str, Any], report: object) -> None:
    """A card that holds a width below 32."""
    import torch

    if settings["width"] >= 32:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _big_once(quick: Quick, settings: Mapping[str, Any], report: object) -> None:
    import torch

    quick.met += 1
    if quick.met == 1:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _die(*_: object) -> None:
    os.kill(os.getpid(), 9)


FAULTS: dict[str, Callable[..., None]] = {
    "nan": _nothing,
    "raise": _raise,
    "hang": _hang,
    "report": _report,
    "memory": _big,
    "memory once": _big_once,
    "full": _full,
    "die": _die,
}


def quick_plan(
    root: Path, trials: int = 10, workers: int = 2, storage: str | None = None, name: str = "quick", **search: Any
) -> Plan:
    """Plan of a quick study under a folder; other settings go into its section."""
    params = load_params(ROOT / "params.yaml")
    section: dict[str, Any] = {
        "panel": "greedy", "predictor": "network", "objective": "mse", "space": SPACE, "trials": trials,
        "workers": workers, "timeout": None, "trial_timeout": None, "storage": None, "sampler": "random",
        "pruner": "none", "max_retries": 2, "seed": 0,
    }  # fmt: skip
    folder = root / "state" / "tune" / name
    folder.mkdir(parents=True, exist_ok=True)
    return Plan(
        name=name,
        task="fit",
        storage=storage or f"journal:{folder / 'journal.log'}",
        folder=str(folder),
        trials=trials,
        workers=workers,
        search=FitSearch.model_validate(section | search),
        base=params.predictors["network"],
        n_landmarks=None,
        context=Context(prepare=params.prepare, noise=params.noise, runtime=params.runtime),
        root=str(root),
        fingerprint="f" * 16,
    )


def more(plan: Plan, **changes: Any) -> Plan:
    """The plan with changes."""
    return dataclasses.replace(plan, **changes)


def go_file(plan: Plan) -> Path:
    """What trials that are held wait for."""
    return Path(plan.folder) / "go"


def open_quick(plan: Plan) -> Quick:
    """The objective as QUICK in the environment describes it, as JSON."""
    given = json.loads(os.environ.get("QUICK", "{}"))
    if given.pop("cannot start", False):
        raise ImportError("no module of that name")
    return Quick(**given, go=go_file(plan))


if __name__ == "__main__":
    from sclandmarks.tune.worker import main

    sys.exit(main(open_objective=open_quick))
