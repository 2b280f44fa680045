"""What a trial is: settings in, figures of merit out. Learning cells only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sclandmarks import schema
from sclandmarks.io.tables import write_table
from sclandmarks.params import Direction

if TYPE_CHECKING:
    import torch

    from sclandmarks.learn.task import Step
    from sclandmarks.tune.plan import Plan

HISTORY = "history.parquet"

Report = Callable[[int, float], None]


@dataclass(frozen=True)
class Outcome:
    """What a trial came to.

    Parameters
    ----------
    values : tuple of float
        One an objective, in their order.
    facts : dict of str to float
        What else was seen: n_landmarks, best_step, ...
    """

    values: tuple[float, ...]
    facts: dict[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """Judges settings. `directions`: whether an objective is to be small or large, in their order."""

    directions: tuple[Direction, ...]

    def __call__(self, settings: Mapping[str, Any], report: Report, folder: Path) -> Outcome:
        """Learn with these settings of the base, and judge on the validation cells.

        Parameters
        ----------
        settings : mapping of str to value
            Those of the search space; the base has the others.
        report : callable
            Called as `report(step, value)` after an epoch, `value` in the sense of the only objective; whatever it
            raises (optuna.TrialPruned) passes through. Never called where there are several objectives.
        folder : Path
            Of this trial: history.parquet, and panel.parquet (select) or model/ (fit) are written there.
        """


def is_epoch(metrics: Mapping[str, float]) -> bool:
    """Whether these are figures of an epoch: places of a grid or a path say nothing of how a training gets on."""
    return {"train_loss", "validation_mse"} <= metrics.keys()


class Curve:
    """Keeps the epochs of a trial, and passes one figure of each on.

    Parameters
    ----------
    report : callable, optional
    figure : callable
        From the metrics of an epoch to what is reported, or None.
    """

    def __init__(self, report: Report | None, figure: Callable[[Mapping[str, float]], float | None]) -> None:
        self.report, self.figure = report, figure
        self.steps: dict[int, Step] = {}

    def on_epoch(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep an epoch and report it."""
        from sclandmarks.learn.task import Step  # with torch, which a launcher does without

        self.steps[step] = Step(step, dict(metrics))
        value = self.figure(metrics)
        if self.report is not None and value is not None:
            self.report(step, value)


@contextmanager
def kept_curve(curve: Curve, folder: Path) -> Iterator[Curve]:
    """Write history.parquet at the end, however the trial ends."""
    from sclandmarks.learn.task import history_table

    try:
        yield curve
    finally:
        write_table(folder / HISTORY, history_table(list(curve.steps.values())), schema.HISTORY)


def open_objective(plan: Plan, device: torch.device | None = None) -> Objective:
    """Read the data once, for many trials, in the working directory `plan.root`; no value of a test cell is used.

    Parameters
    ----------
    plan : Plan
    device : torch.device, optional
        Otherwise as the section runtime of params.yaml says.

    Raises
    ------
    SclandmarksError
        If data, split or panel are not there, or do not fit each other.
    """
    from sclandmarks.runtime.device import open_device
    from sclandmarks.tune.fitting import FitObjective
    from sclandmarks.tune.selecting import SelectObjective

    kind = FitObjective if plan.task == "fit" else SelectObjective
    return kind(plan, device or open_device(plan.context.runtime))
