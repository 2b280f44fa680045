"""A study run from its plan to its record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from sclandmarks import paths
from sclandmarks.errors import StudyError
from sclandmarks.tune.cluster import launch_on_ray
from sclandmarks.tune.launcher import launch
from sclandmarks.tune.record import Recorder
from sclandmarks.tune.study import read_study

if TYPE_CHECKING:
    from optuna import Study

    from sclandmarks.params import TrackingParams
    from sclandmarks.tune.plan import Plan
    from sclandmarks.tune.slots import Slot


Launcher = Callable[["Plan", float | None, "Sequence[Slot]", Callable[[], None]], object]


def run_study(
    plan: Plan,
    tracking: TrackingParams,
    slots: Sequence[Slot],
    timeout: float | None = None,
    launcher: Launcher = launch,
) -> Study:
    """Run a study to its end, or go on with it; the record of runs follows it.

    Parameters
    ----------
    plan : Plan
    tracking : TrackingParams
    slots : sequence of Slot
        One worker each.
    timeout : float, optional
        Seconds.
    launcher : callable
        `launch`, or what `on_ray` returns.

    Raises
    ------
    StudyError
        As `launch`.
    """

    @cache
    def study() -> Study:
        return read_study(plan)

    recorder = Recorder(tracking, plan)
    launcher(plan, timeout, slots, lambda: recorder.sync(study()))
    recorder.finish(study())
    return study()


def on_ray(address: str, per_gpu: int | None = None) -> Launcher:
    """Return a launcher that places the workers on a Ray cluster, which knows its places itself: slots are not used.

    Parameters
    ----------
    address : str
        "auto" for the cluster that this machine is a node of, or HOST:PORT.
    per_gpu : int, optional
        Workers a GPU, where the cluster has GPUs; without it each has one alone.
    """
    return lambda plan, timeout, _, on_change: launch_on_ray(plan, address, timeout, on_change, per_gpu)


def check_complete(study: Study) -> Study:
    """Return the study where a trial of it is complete.

    Raises
    ------
    StudyError
        With the reason of the last trial that failed.
    """
    trials = study.get_trials(deepcopy=False)
    if any(trial.state.name == "COMPLETE" for trial in trials):
        return study
    reasons = [str(trial.user_attrs["reason"]) for trial in trials if "reason" in trial.user_attrs]
    remedy = f"Mend what it says, delete {paths.SEARCHES / study.study_name}, and run again."
    raise StudyError(
        "a complete trial", f"{len(trials)} without one; the last said: {(reasons or ['nothing'])[-1]}", remedy
    )


def named_by_content(plan: Plan) -> Plan:
    """Return the plan as TASK-FINGERPRINT: other data, split or search make another study, and these the same one."""
    name = f"{plan.task}-{plan.fingerprint}"
    folder = paths.SEARCHES / name
    own = f"journal:{paths.SEARCHES / plan.name / 'journal.log'}"
    storage = f"journal:{folder / 'journal.log'}" if plan.storage == own else plan.storage
    return replace(plan, name=name, folder=str(folder), storage=storage)
