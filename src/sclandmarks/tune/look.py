"""A study looked at: how far it is, who works on it, what its best trial is beside the defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sclandmarks.errors import StudyError
from sclandmarks.params import same
from sclandmarks.runtime.identity import is_alive
from sclandmarks.tune import ledger
from sclandmarks.tune.find import study_names
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.space import defaults
from sclandmarks.tune.tables import best_numbers, directions_of, settings_of

if TYPE_CHECKING:  # the names that the commands know them by
    from optuna import Study as Study
    from optuna.trial import FrozenTrial as FrozenTrial

STATES = ("complete", "pruned", "failed", "run again", "running", "waiting")  # run again: failed, with a repeat


@dataclass(frozen=True)
class Runner:
    """A worker that has a trial.

    Parameters
    ----------
    trial : int
        Its number.
    name : str
        host:pid.
    alive : bool, optional
        None where this cannot be seen from this machine.
    epoch : int, optional
        Last one reported.
    """

    trial: int
    name: str
    alive: bool | None
    epoch: int | None


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Parameters
    ----------
    counts : dict of str to int
        State -> trials, all states of `STATES`.
    counted : int
        Trials that count against the budget: repeats do not.
    budget : int
    is_over : bool
    runners : tuple of Runner
    best : tuple of int
        Number of the best complete trial, or those on the front.
    seen : datetime, optional
        When the study was last written to, as far as the storage tells; UTC.
    """

    counts: dict[str, int]
    counted: int
    budget: int
    is_over: bool
    runners: tuple[Runner, ...]
    best: tuple[int, ...]
    seen: datetime | None


def status_of(study: Study, plan: Plan) -> Status:
    """Look at a study, whether anybody works on it or not."""
    trials = study.get_trials(deepcopy=False)
    states = Counter(_state(trial, trials) for trial in trials)
    return Status(
        {state: states[state] for state in STATES},
        ledger.count(trials),
        plan.trials,
        ledger.is_over(trials, plan.trials),
        tuple(_runner(trial) for trial in ledger.running(trials)),
        tuple(sorted(best_numbers(trials, directions_of(study)))),
        _last_sign(trials, plan),
    )


def _state(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> str:
    """State of a trial in the words of `STATES`."""
    if trial.state.name != "FAIL":
        return trial.state.name.lower()
    return "failed" if ledger.successor(trial.number, trials) is None else "run again"


def _runner(trial: FrozenTrial) -> Runner:
    worker: Mapping[str, Any] = trial.user_attrs.get("worker", {})
    name = f"{worker.get('host', '?')}:{worker.get('pid', '?')}"
    alive = is_alive(worker) if worker else None
    return Runner(trial.number, name, alive, max(trial.intermediate_values, default=None))


def _last_sign(trials: Sequence[FrozenTrial], plan: Plan) -> datetime | None:
    """Last write to the journal; of other storages the last start or end of a trial."""
    times = [at.astimezone(UTC) for one in trials for at in (one.datetime_start, one.datetime_complete) if at]
    journal = Path(plan.root, plan.storage.removeprefix("journal:"))
    if plan.storage.startswith("journal:") and journal.is_file():
        times.append(datetime.fromtimestamp(journal.stat().st_mtime, UTC))
    return max(times, default=None)


def only_study() -> str:
    """Name of the study of this repository, where there is one alone.

    Raises
    ------
    StudyError
        If there is none, or there are several.
    """
    names = study_names()
    if not names:
        raise StudyError("a study of this repository", "none", "Start one: `sclandmarks tune fit`, or `tune select`.")
    if len(names) > 1:
        raise StudyError("--study, as there are several", ", ".join(names), "Name one of them.")
    return names[0]


def default_trial(study: Study, plan: Plan) -> FrozenTrial | None:
    """The complete trial with the settings of params.yaml, if there is one."""
    own = defaults(plan)
    complete = (trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE")
    return next((trial for trial in complete if _agree(settings_of(trial), own)), None)


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)


def winner(study: Study, plan: Plan, number: int | None = None) -> FrozenTrial:
    """The best trial, or the one that is asked for.

    Parameters
    ----------
    study : optuna.Study
    plan : Plan
    number : int, optional
        Of a complete trial; needed where several are best.

    Raises
    ------
    StudyError
        If no trial is complete, that one is not, or several are on the Pareto front.
    """
    complete = {one.number: one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"}
    if not complete:
        remedy = f"Go on with it: `sclandmarks tune {plan.task} --study {plan.name}`."
        raise StudyError("a trial that is complete", f"none in study {plan.name}", remedy)
    best = sorted(best_numbers(list(complete.values()), directions_of(study)))
    shown = ", ".join(map(str, best))
    if number is None and len(best) > 1:
        remedy = "Choose one by --trial; `sclandmarks tune best` shows them."
        raise StudyError("one best trial", f"several, on the Pareto front: {shown}", remedy)
    if number is not None and number not in complete:
        raise StudyError(f"trial {number} to be complete", "one that is not, or none", f"Best: {shown}.")
    return complete[best[0] if number is None else number]
