"""A study as tables: its trials, the best of them, what mattered."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from sclandmarks import schema
from sclandmarks.params import Direction

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MACHINE = ("seconds", "peak_bytes", "worker", "reason")  # columns that another run of the same search fills otherwise
FEWEST_FOR_IMPORTANCE = 10


def directions_of(study: Study) -> tuple[Direction, ...]:
    """Whether each objective is to be small or large."""
    return tuple("maximize" if one.name == "MAXIMIZE" else "minimize" for one in study.directions)


def trials_table(study: Study) -> pl.DataFrame:
    """Every trial of the study, as `schema.TRIALS` says.

    Parameters
    ----------
    study : optuna.Study
        Its trials carry the attributes that a worker sets; what is missing is null.
    """
    trials = study.get_trials(deepcopy=False)
    best = best_numbers(trials, directions_of(study))
    rows = [{"study": study.study_name, "is_best": one.number in best, **_row(one)} for one in trials]
    return schema.check(pl.DataFrame(rows, schema=schema.TRIALS.dtypes), schema.TRIALS)


def best_numbers(trials: Sequence[FrozenTrial], directions: Sequence[Direction]) -> set[int]:
    """Number of the best complete trial, the first of equals; of several objectives, those on the Pareto front."""
    signs = [1 if direction == "minimize" else -1 for direction in directions]
    costs = {
        one.number: tuple(sign * value for sign, value in zip(signs, one.values, strict=True))
        for one in trials
        if one.state.name == "COMPLETE" and one.values
    }
    if len(signs) == 1:
        return {min(costs, key=lambda number: (costs[number], number))} if costs else set()
    return {number for number, cost in costs.items() if not any(_beats(other, cost) for other in costs.values())}


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _row(trial: FrozenTrial) -> dict[str, Any]:
    attributes, facts = trial.user_attrs, trial.user_attrs.get("facts", {})
    values = trial.values or [_last_report(trial)]
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "value": values[0],
        "value_2": values[1] if len(values) > 1 else None,
        "settings": json.dumps(settings_of(trial), sort_keys=True),
        "attempt": attributes.get("attempt", 1),
        "retry_of": attributes.get("retry_of"),
        "n_reports": len(trial.intermediate_values),
        "n_landmarks": _whole(facts.get("n_landmarks")),
        "best_step": _whole(facts.get("best_step")),
        "seconds": seconds_of(trial),
        "peak_bytes": _whole(attributes.get("peak_bytes")),
        "worker": worker_of(trial),
        "reason": attributes.get("reason"),
    }


def _last_report(trial: FrozenTrial) -> float | None:
    reports = trial.intermediate_values
    last = reports[max(reports)] if trial.state.name == "PRUNED" and reports else None
    return last if last is not None and math.isfinite(last) else None


def settings_of(trial: FrozenTrial) -> dict[str, Any]:
    """What was tried: what the objective got, or before that what was drawn or enqueued."""
    drawn = trial.params or trial.system_attrs.get("fixed_params", {})
    return dict(trial.user_attrs.get("settings") or drawn)


def seconds_of(trial: FrozenTrial) -> float | None:
    """Seconds from start to end; of a trial without an end, None."""
    if "seconds" in trial.user_attrs:
        return float(trial.user_attrs["seconds"])
    return trial.duration.total_seconds() if trial.duration else None


def worker_of(trial: FrozenTrial) -> str | None:
    """host:pid of the worker that ran it."""
    worker = trial.user_attrs.get("worker")
    return f"{worker['host']}:{worker['pid']}" if worker else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def anonymous(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the table without what belongs to a machine: times, memory, workers and the texts of failures."""
    return trials.with_columns([pl.lit(None, schema.TRIALS.dtypes[name]).alias(name) for name in MACHINE])


def counts(trials: pl.DataFrame) -> dict[str, int]:
    """Trials by state, and repeats."""
    states = {state: trials.filter(pl.col("state") == state).height for state in ("complete", "pruned", "fail")}
    return {"trials": trials.height, **states, "repeats": trials["retry_of"].count()}


def best_rows(trials: pl.DataFrame, objectives: Sequence[str]) -> list[dict[str, Any]]:
    """The best trial, or those on the front by their first objective, as plain values.

    Parameters
    ----------
    trials : polars.DataFrame
        `schema.TRIALS`.
    objectives : sequence of str
        Names of the values, in order.
    """
    columns = ("value", "value_2")[: len(objectives)]
    return [
        {
            "trial": row["number"],
            **{name: row[column] for name, column in zip(objectives, columns, strict=True)},
            "n_landmarks": row["n_landmarks"],
            "best_step": row["best_step"],
            "settings": json.loads(row["settings"]),
        }
        for row in trials.filter("is_best").sort("value", "number").to_dicts()
    ]


def flat(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the table with one column a setting, null where it was not tried, in place of the JSON."""
    settings = [json.loads(text) for text in trials["settings"]]
    names = sorted({name for one in settings for name in one})
    columns = [pl.Series(name, [one.get(name) for one in settings], strict=False) for name in names]
    taken = set(trials.columns)
    renamed = [one.alias(f"setting.{one.name}" if one.name in taken else one.name) for one in columns]
    return trials.drop("settings").with_columns(renamed)


def importance(study: Study) -> dict[str, float]:
    """Share of the first objective's variance over complete trials that each setting explains, by fANOVA.

    Returns
    -------
    dict of str to float
        Setting -> share, the largest first; empty where there are too few trials, or all came to the same. Settings
        that only some trials have are left out.
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    complete = [one for one in study.get_trials(deepcopy=False) if one.state.name == "COMPLETE" and one.values]
    values = {one.values[0] for one in complete}
    if len(complete) < FEWEST_FOR_IMPORTANCE or len(values) == 1 or not all(map(math.isfinite, values)):
        return {}
    return get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(seed=0), target=lambda trial: trial.values[0]
    )
