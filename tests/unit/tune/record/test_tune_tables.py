"""Tables of a study: every trial with its fate, the best or the front, what mattered."""

from __future__ import annotations

import json
from collections.abc import Callable

import optuna
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks import schema
from sclandmarks.tune.plan import Plan
from sclandmarks.tune.tables import (
    MACHINE,
    anonymous,
    best_numbers,
    best_rows,
    counts,
    directions_of,
    flat,
    importance,
    trials_table,
)

Make = Callable[..., tuple[optuna.Study, Plan]]


def complete(values: list[tuple[float, ...]]) -> list[optuna.trial.FrozenTrial]:
    made = [optuna.trial.create_trial(values=list(one)) for one in values]
    for number, trial in enumerate(made):
        trial.number = number
    return made


def test_every_trial_is_a_row(make_study: Make) -> None:
    study, _ = make_study(8, files=False)
    study.ask()
    study.enqueue_trial({"width": 20})
    table = schema.check(trials_table(study), schema.TRIALS)
    assert table["number"].to_list() == list(range(10))
    assert dict(table.group_by("state").len().iter_rows()) == {
        "complete": 6, "pruned": 1, "fail": 1, "running": 1, "waiting": 1,
    }  # fmt: skip
    assert table.filter("is_best")["number"].to_list() == [study.best_trial.number]
    whole = table.row(4, named=True)
    assert whole["value"] == study.trials[4].value
    assert json.loads(whole["settings"]) == study.trials[4].user_attrs["settings"]
    assert (whole["worker"], whole["seconds"], whole["n_landmarks"], whole["n_reports"]) == ("laptop:7", 5.5, 14, 3)
    assert json.loads(table["settings"][9]) == {"width": 20}, "what was enqueued"
    assert (table["retry_of"][7], table["attempt"][7]) == (3, 2)


def test_a_pruned_trial_shows_its_last_report(make_study: Make) -> None:
    study, _ = make_study(3, files=False)
    pruned = trials_table(study).row(2, named=True)
    assert pruned["value"] == study.trials[2].intermediate_values[2]
    assert not pruned["is_best"]


def test_a_study_without_trials(make_study: Make) -> None:
    study, plan = make_study(0)
    table = trials_table(study)
    assert table.is_empty() and best_rows(table, plan.search.objectives) == [] and importance(study) == {}


def test_the_best_is_the_first_of_equals() -> None:
    trials = complete([(2.0,), (1.0,), (1.0,)])
    assert best_numbers(trials, ["minimize"]) == {1}
    assert best_numbers(trials, ["maximize"]) == {0}


def test_counts_and_best_rows(make_study: Make) -> None:
    study, plan = make_study(8, files=False)
    table = trials_table(study)
    assert counts(table) == {"trials": 8, "complete": 6, "pruned": 1, "fail": 1, "repeats": 1}
    (best,) = best_rows(table, plan.search.objectives)
    assert best["mse"] == study.best_value and best["settings"] == study.best_trial.user_attrs["settings"]


def test_flat_has_a_column_a_setting(make_study: Make) -> None:
    study, plan = make_study(4, files=False)
    wide = flat(trials_table(study))
    assert set(plan.search.space) <= set(wide.columns) and "settings" not in wide.columns
    assert wide["width"].to_list() == [one.params["width"] for one in study.trials]


def test_flat_takes_conditional_and_mixed_settings() -> None:
    empty = {name: None for name in schema.TRIALS.dtypes}
    rows = [
        empty | {"study": "s", "number": i, "state": "complete", "is_best": False, "settings": json.dumps(one)}
        for i, one in enumerate([{"depth": 1, "n_landmarks": 30}, {"depth": 1.5}, {"kind": "a"}, {"kind": None}])
    ]
    wide = flat(pl.DataFrame(rows, schema=schema.TRIALS.dtypes))
    assert wide["depth"].to_list() == [1.0, 1.5, None, None]
    assert wide["kind"].to_list() == [None, None, "a", None]
    assert wide["setting.n_landmarks"].to_list() == [30, None, None, None], "beside the fact of that name"


def test_nothing_of_the_machine_is_left(make_study: Make) -> None:
    study, _ = make_study(8, files=False)
    table = anonymous(trials_table(study))
    schema.check(table, schema.TRIALS)
    assert all(table[name].null_count() == table.height for name in MACHINE)
    assert "laptop" not in table.write_csv()


def test_importance_finds_the_setting_that_matters() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + 0 * trial.suggest_float("y", 0, 1), n_trials=30)
    shares = importance(study)
    assert list(shares) == ["x", "y"] and shares["x"] > 0.9
    assert importance(study) == shares, "seeded"


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [1.0] * 12, [float("inf"), *map(float, range(12))]])
def test_importance_is_not_told_from_too_little(values: list[float]) -> None:
    study = optuna.create_study()
    for value in values:
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, value)
    assert importance(study) == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_the_front_is_what_optuna_says(values: list[tuple[int, int]]) -> None:
    directions = ["maximize", "minimize"]
    study = optuna.create_study(directions=directions)
    study.add_trials([optuna.trial.create_trial(values=[float(a), float(b)]) for a, b in values])
    ours = best_numbers(study.trials, directions_of(study))
    assert ours == {one.number for one in study.best_trials}
