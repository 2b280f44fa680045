"""What a trial is: settings in, figures of merit out. Learning cells only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sclandmarks.params import Direction
from sclandmarks.tune.plan import Plan

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


def open_objective(plan: Plan) -> Objective:
    """Read the data once, for many trials; no value of a test cell is used.

    Parameters
    ----------
    plan : Plan

    Raises
    ------
    SclandmarksError
        If data, split or panel are not there, or do not fit each other.
    """
    raise NotImplementedError
