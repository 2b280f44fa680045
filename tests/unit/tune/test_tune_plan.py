"""A study's plan: round trip, defaults, what its fingerprint is of, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sclandmarks import paths, schema
from sclandmarks.errors import DataError, ParamsError, SchemaError
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.tune.plan import Plan, make_plan

FAULTS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "no such panel": ("fit", {"tune__fit__panel": "F910"}, ["tune.fit.panel", "l1000", "F910"]),
    "no such predictor": ("fit", {"tune__fit__predictor": "seer"}, ["tune.fit.predictor", "network", "seer"]),
    "no such base": ("select", {"tune__select__panel": "F910"}, ["tune.select.panel", "greedy", "F910"]),
    "no such setting": (
        "fit",
        {"tune__fit__space": {"widht": {"low": 4, "high": 16}}},
        ["tune.fit.space.widht", "width", "got widht"],
    ),
    "the method itself": ("fit", {"tune__fit__space": {"method": {"choices": ["ridge", "ols"]}}}, ["space.method"]),
    "another scale": (
        "fit",
        {"tune__fit__predictor": "paper_linear", "tune__fit__space": {"scale": {"choices": ["log", "counts"]}}},
        ["tune.fit.space.scale", "got scale"],
    ),
    "another input": (
        "fit",
        {"tune__fit__space": {"panel_total": {"choices": [True, False]}}},
        ["tune.fit.space.panel_total", "got panel_total"],
    ),
    "a bound that is refused": (
        "fit",
        {"tune__fit__space": {"dropout": {"low": 0.0, "high": 1.0}}},
        ["tune.fit.space.dropout.high", "less than 1", "got 1.0"],
    ),
    "a choice that is refused": (
        "fit",
        {"tune__fit__space": {"loss": {"choices": ["mse", "mae"]}}},
        ["tune.fit.space.loss.choices.1", "'weighted_mse'", "got mae"],
    ),
    "decimals for a whole number": (
        "fit",
        {"tune__fit__space": {"width": {"low": 4.5, "high": 16}}},
        ["tune.fit.space.width.low", "integer", "4.5"],
    ),
    "whole numbers for decimals": (
        "fit",
        {"tune__fit__space": {"learning_rate": {"low": 1, "high": 2}}},
        ["tune.fit.space.learning_rate", "decimals, such as 1.0", "1 to 2"],
    ),
    "the base outside": (
        "fit",
        {"tune__fit__space": {"width": {"low": 9, "high": 16}}},
        ["tune.fit.space.width", "the first trial", "got 8"],
    ),
    "captured of counts": (
        "fit",
        {"tune__fit__predictor": "paper_linear_counts", "tune__fit__objective": "captured"},
        ["tune.fit.objective", "got captured, of paper_linear_counts"],
    ),
}  # fmt: skip
SAME_STUDY = {"trials": 9, "workers": 3, "timeout": "2h", "trial_timeout": "1m", "storage": "journal:x.log",
              "sampler": "tpe", "pruner": "median", "max_retries": 0, "seed": 5}  # fmt: skip


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(("task", "changes", "said"), FAULTS.values(), ids=list(FAULTS))
def test_faults_of_the_base_and_its_space_are_named(made: Any, task: Any, changes: Any, said: list[str]) -> None:
    with pytest.raises(ParamsError) as error:
        make_plan(made(**changes), task, "s")
    for part in said:
        assert part in str(error.value)


@pytest.mark.parametrize("task", ["fit", "select"])
def test_a_plan_comes_back_from_json(workplace: Path, made: Any, task: Any) -> None:
    plan = make_plan(made(), task, "s", trials=7)
    assert Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["trials"] == 7
    assert plan.root == str(workplace)
    assert plan.folder == "state/tune/s"
    assert plan.trial_folder == Path("state/tune/s/trials")


@pytest.mark.usefixtures("workplace")
def test_what_is_not_given_is_as_the_settings_say(made: Any) -> None:
    plan = make_plan(made(), "fit", "s")
    assert (plan.storage, plan.trials, plan.workers) == ("journal:state/tune/s/journal.log", 3, 1)
    given = make_plan(made(), "fit", "s", storage="sqlite:///x.db", trials=1, workers=2)
    assert (given.storage, given.trials, given.workers) == ("sqlite:///x.db", 1, 2)
    assert make_plan(made(tune__fit__storage="grpc://h:1"), "fit", "s").storage == "grpc://h:1"
    assert make_plan(made(), "fit", "s").n_landmarks is None
    assert make_plan(made(tune__select__n_landmarks=None), "select", "s").n_landmarks == 910


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(("key", "value"), SAME_STUDY.items(), ids=list(SAME_STUDY))
def test_the_budget_does_not_make_another_study(made: Any, key: str, value: Any) -> None:
    assert fingerprint(made(**{f"tune__fit__{key}": value})) == fingerprint(made())


@pytest.mark.usefixtures("workplace")
def test_runtime_and_other_sections_do_not_make_another_study(made: Any) -> None:
    assert fingerprint(made(runtime__threads=4, predictors__ridge={"method": "ols"})) == fingerprint(made())


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    "changes",
    [
        {"predictors__network__patience": 3},
        {"tune__fit__space__width__high": 17},
        {"tune__fit__objective": "captured"},
        {"prepare__scale": 1000},
        {"noise__n_repeats": 3},
        {"tune__fit__predictor": "paper_network"},
    ],
    ids=str,
)
def test_what_a_score_depends_on_makes_another_study(made: Any, changes: Any) -> None:
    wide = {"tune__fit__space__width": {"low": 4, "high": 300}} if "tune__fit__predictor" in changes else {}
    assert fingerprint(made(**wide, **changes)) != fingerprint(made(**wide))


@pytest.mark.usefixtures("workplace")
def test_data_split_and_panel_make_another_study(made: Any) -> None:
    seen = {fingerprint(made())}
    split = read_table(paths.SPLIT, schema.SPLIT)
    write_table(paths.SPLIT, split.with_columns(subset=pl.col("subset").reverse()), schema.SPLIT)
    seen.add(fingerprint(made()))
    panel = read_table(paths.panel("planted"), schema.PANEL)
    write_table(paths.panel("planted"), panel.head(3), schema.PANEL)
    seen.add(fingerprint(made()))
    assert len(seen) == 3


@pytest.mark.usefixtures("workplace")
def test_what_is_missing_is_named(made: Any) -> None:
    paths.panel("planted").unlink()
    with pytest.raises(DataError, match=r"panels/planted\.parquet.*dvc repro"):
        make_plan(made(), "fit", "s")
    make_plan(made(), "select", "s")
    paths.SPLIT.unlink()
    with pytest.raises(DataError, match=r"split\.parquet"):
        make_plan(made(), "select", "s")
    (paths.EXPRESSION / "matrix.parquet").unlink()
    with pytest.raises(SchemaError, match="data/processed"):
        make_plan(made(), "select", "s")
    with pytest.raises(DataError, match=r"split\.parquet|matrix\.parquet"):
        make_plan(made(tune__fit__panel="greedy"), "fit", "s")


def fingerprint(params: Any) -> str:
    return make_plan(params, "fit", "s").fingerprint
