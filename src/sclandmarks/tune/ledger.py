"""What the trials of a study add up to: pure functions of the list of trials, the same for everyone who reads it.

A chain is a trial and its repeats: a trial without `retry_of` begins one, and the budget of a study counts chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optuna.trial import FrozenTrial, TrialState


def count(trials: Iterable[FrozenTrial]) -> int:
    """Trials that count against the budget: all but repeats and surplus ones."""
    return sum(_begins(trial) for trial in trials)


def is_surplus(trial: FrozenTrial, trials: Iterable[FrozenTrial], budget: int) -> bool:
    """Whether a trial must not run, as an earlier one has its place.

    Parameters
    ----------
    trial : FrozenTrial
    trials : iterable of FrozenTrial
        Of the study.
    budget : int
        Trials of the whole study.

    Notes
    -----
    Numbers are given by the storage one by one, so all who ask agree, even where two asked at once.
    """
    earlier = [other for other in trials if other.number < trial.number]
    if "retry_of" in trial.user_attrs:
        return successor(trial.user_attrs["retry_of"], earlier) is not None
    if trial.user_attrs.get("default"):
        return any(other.user_attrs.get("default") for other in earlier)
    return count(earlier) >= budget


def successor(number: int, trials: Iterable[FrozenTrial]) -> FrozenTrial | None:
    """The repeat of a trial, if there is one."""
    repeats = (trial for trial in trials if trial.user_attrs.get("retry_of") == number)
    return next((trial for trial in repeats if not trial.user_attrs.get("surplus")), None)


def is_over(trials: Sequence[FrozenTrial], budget: int) -> bool:
    """Whether nothing is left to do: the budget is used up, and every trial has ended."""
    return count(trials) >= budget and all(trial.state.is_finished() for trial in trials)


def attempt(trial: FrozenTrial) -> int:
    """Which attempt a trial is, from 1."""
    return int(trial.user_attrs.get("attempt", 1))


def running(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that a worker has, or had when it died."""
    return [trial for trial in trials if trial.state == TrialState.RUNNING]


def _begins(trial: FrozenTrial) -> bool:
    return "retry_of" not in trial.user_attrs and not trial.user_attrs.get("surplus")
