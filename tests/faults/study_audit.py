"""Looks at a study after a fault: what was lost, what is there twice, what hangs."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from optuna.trial import FrozenTrial

from sclandmarks.tune import ledger
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.study import read_study


class Audit(NamedTuple):
    """What a study came to.

    `lost`: places of the budget without a trial, or whose last trial was given up though nothing was wrong with it.
    `twice`: places with two results, and trials that ran to their end twice.
    `hanging`: trials that neither ended nor ever will.
    """

    trials: int
    complete: int
    failed: int
    repeats: int
    lost: int
    twice: int
    hanging: int


def audit(plan: Plan) -> Audit:
    """Look at all trials; a broken link or a result without its files raises AssertionError."""
    trials = read_study(plan).get_trials(deepcopy=False)
    names = Counter(trial.state.name for trial in trials)
    chains = [
        _chain(trial, trials) for trial in trials if "retry_of" not in trial.user_attrs and not _is_surplus(trial)
    ]
    for trial in trials:
        _check(trial, trials, plan)
    ended = Counter(line.split()[0] for line in _lines(plan.trial_folder / "ended.txt"))
    results = [sum(trial.state.name == "COMPLETE" for trial in chain) for chain in chains]
    return Audit(
        trials=len(chains),
        complete=names["COMPLETE"],
        failed=names["FAIL"],
        repeats=sum("retry_of" in trial.user_attrs for trial in trials),
        lost=plan.trials - len(chains) + sum(_is_given_up(chain[-1]) for chain in chains),
        twice=sum(number > 1 for number in results) + sum(number > 1 for number in ended.values()),
        hanging=names["RUNNING"] + names["WAITING"],
    )


def _chain(first: FrozenTrial, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    chain = [first]
    while (repeat := ledger.successor(chain[-1].number, trials)) is not None:
        chain.append(repeat)
    return chain


def _check(trial: FrozenTrial, trials: list[FrozenTrial], plan: Plan) -> None:
    repeats = [other for other in trials if other.user_attrs.get("retry_of") == trial.number and not _is_surplus(other)]
    assert len(repeats) <= 1, f"trial {trial.number} has the repeats {[other.number for other in repeats]}"
    if repeats:
        assert trial.state.name in ("FAIL", "PRUNED"), f"trial {trial.number} is {trial.state} and was run again"
    if trial.state.name == "COMPLETE":
        assert (Path(plan.trial_folder) / str(trial.number) / "made.txt").exists(), f"trial {trial.number} has no files"
        assert all(math.isfinite(value) for value in trial.values)
        assert trial.user_attrs["seconds"] >= 0
        assert trial.user_attrs["peak_bytes"] > 0
        assert {"worker", "attempt", "settings", "facts"} <= trial.user_attrs.keys()
    elif trial.state.is_finished():
        assert trial.user_attrs["reason"], f"trial {trial.number} failed without a reason"


def _is_surplus(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get("surplus"))


def _is_given_up(trial: FrozenTrial) -> bool:
    """A last trial that failed for its worker's sake."""
    return trial.state.name == "FAIL" and "its worker died" in trial.user_attrs["reason"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
