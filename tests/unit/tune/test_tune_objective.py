"""What a trial comes to: the score, what is written, what is reported, and that test cells have no part in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import torch
import yaml

from sclandmarks import paths, schema
from sclandmarks.errors import PanelError, TrainingError
from sclandmarks.io.learning import LearningData
from sclandmarks.io.matrices import read_matrix, write_matrix
from sclandmarks.io.models import load_model
from sclandmarks.io.tables import read_table
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.predict import PREDICTORS
from sclandmarks.predict.base import held_back_mse
from sclandmarks.predict.modules import ByOwnTotal
from sclandmarks.tune.fitting import FitObjective
from sclandmarks.tune.objective import Curve, Outcome, open_objective
from sclandmarks.tune.plan import make_plan
from sclandmarks.tune.selecting import SelectObjective
from sclandmarks.tune.yardstick import mean_mse

CPU = torch.device("cpu")
FOLDER = Path("state/tune/s/trials/0")
Reports = list[tuple[int, float]]


def tried(params: Any, task: Any, settings: dict[str, Any] | None = None) -> tuple[Outcome, Reports]:
    """Open an objective and run one trial of it."""
    reports: Reports = []
    outcome = open_objective(make_plan(params, task, "s"), CPU)(
        settings or {}, lambda step, value: reports.append((step, value)), FOLDER
    )
    return outcome, reports


def held_back() -> tuple[np.ndarray, np.ndarray]:
    """Values of the training and of the validation cells, dense, for references."""
    matrix, data = read_matrix(paths.EXPRESSION), LearningData()
    dense = matrix.X_CG.toarray().astype(float)
    return tuple(dense[(data.subsets == subset).to_numpy()] for subset in ("train", "validation"))  # type: ignore[return-value]


@pytest.mark.usefixtures("workplace")
def test_a_fit_is_judged_by_the_mse_of_its_saved_model(made: Any) -> None:
    outcome, reports = tried(made(), "fit")
    saved, (_, Y_CG) = load_model(FOLDER / "model"), held_back()
    data = LearningData()
    inputs, outputs = data.split_at(saved.landmarks, FOLDER)
    with torch.no_grad():
        predicted = saved.module(torch.from_numpy(Y_CG[:, inputs]).float()).double().numpy()
    assert outcome.values == (pytest.approx(((predicted - Y_CG[:, outputs]) ** 2).mean(), rel=1e-5),)
    assert outcome.facts["n_landmarks"] == 6
    assert outcome.facts["n_steps"] == 4
    assert outcome.values[0] == min(value for _, value in reports)
    assert [step for step, _ in reports] == [1, 2, 3, 4]


@pytest.mark.usefixtures("workplace")
def test_the_base_as_a_trial_is_what_the_stage_fits(made: Any) -> None:
    params = made()
    outcome, _ = tried(params, "fit")
    data, settings = LearningData(), params.predictors["network"]
    train, validation = (data.batches(subset, settings) for subset in ("train", "validation"))
    inputs, outputs = data.split_at(read_table(paths.panel("planted"), schema.PANEL)["gene_id"], FOLDER)
    fitted = PREDICTORS["paper_network"](Task(train, validation, inputs, outputs), settings, Hooks())
    assert outcome.values == (fitted.chosen["validation_mse"],)
    weights = load_model(FOLDER / "model").module.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in fitted.module.state_dict().items())


@pytest.mark.usefixtures("workplace")
def test_settings_of_a_trial_replace_those_of_the_base(made: Any) -> None:
    plain, _ = tried(made(), "fit")
    wide, _ = tried(made(), "fit", {"width": 16, "batch_size": 32})
    assert wide.facts["n_weights"] > plain.facts["n_weights"]
    as_base, _ = tried(made(predictors__network__width=16, predictors__network__batch_size=32), "fit")
    assert wide == as_base


@pytest.mark.usefixtures("workplace")
def test_whatever_loss_is_minimised_the_score_is_the_mse(made: Any) -> None:
    outcome, reports = tried(made(), "fit", {"loss": "weighted_mse"})
    history = read_table(FOLDER / "history.parquet", schema.HISTORY)
    at_best = history.filter(pl.col("step") == outcome.facts["best_step"])
    figures = dict(zip(at_best["metric"], at_best["value"], strict=True))
    assert outcome.values == (figures["validation_mse"],)
    assert figures["validation_loss"] > 1.5 * figures["validation_mse"]
    assert reports == list(history.filter(pl.col("metric") == "validation_mse").select("step", "value").iter_rows())


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("loss", ["poisson", "negative_binomial"])
def test_losses_on_counts_are_choices_of_a_search(made: Any, loss: str) -> None:
    """Of our network, tried in batches of another size than the base's, and judged by the MSE too."""
    shipped = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8"))
    ours = shipped["predictors"]["network"] | {"width": 8, "max_epochs": 2, "max_cells": 100, "folds": 0}
    space = {"loss": {"choices": ["mse", "poisson", "negative_binomial"]}, "batch_size": {"low": 16, "high": 128}}
    params = made(predictors__network=ours, tune__fit__space=space)
    outcome, _ = tried(params, "fit", {"loss": loss, "batch_size": 16})
    figures = read_table(FOLDER / "history.parquet", schema.HISTORY).filter(pl.col("metric") == "validation_mse")
    assert outcome.values == (figures["value"].min(),)
    assert load_model(FOLDER / "model").module.state_dict()["floor"].shape == (len(LearningData().genes) - 6,)


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("predictor", ["zero", "mean", "ridge", "reduced_rank", "ols", "knn", "paper_linear_counts"])
def test_every_predictor_can_be_the_base(made: Any, predictor: str) -> None:
    params = made(tune__fit__predictor=predictor, predictors__paper_linear_counts__max_epochs=2)
    plan = replace(
        make_plan(made(), "fit", "s"),
        search=params.tune.fit,
        base=params.predictors[predictor],
    )
    reports: Reports = []
    objective = open_objective(plan, CPU)
    outcome = objective({}, lambda step, value: reports.append((step, value)), FOLDER)
    assert isinstance(objective, FitObjective)
    assert bool(reports) == (predictor == "paper_linear_counts"), "places of a grid are no epochs"
    saved = load_model(FOLDER / "model")
    assert saved.unit == ("counts" if predictor == "paper_linear_counts" else "log")
    if predictor == "mean":
        train, Y_CG = held_back()
        targets = objective.outputs.numpy()
        assert outcome.values == (pytest.approx(((Y_CG - train.mean(0)) ** 2).mean(0)[targets].mean(), rel=1e-5),)
    if predictor == "paper_linear_counts":
        assert outcome.values[0] > 1, "squared reads"


@pytest.mark.usefixtures("workplace")
def test_a_panel_of_its_own_total_is_tuned_as_it_is_used(made: Any) -> None:
    """The stored module has the step before it, and the score is its error on values of whole cells."""
    plain, _ = tried(made(), "fit", {"width": 4})
    outcome, _ = tried(made(predictors__network__panel_total=True), "fit", {"width": 4})
    saved, (_, Y_CG) = load_model(FOLDER / "model"), held_back()
    inputs, outputs = LearningData().split_at(saved.landmarks, FOLDER)
    assert isinstance(saved.module, ByOwnTotal)
    with torch.no_grad():
        predicted = saved.module(torch.from_numpy(Y_CG[:, inputs]).float()).double().numpy()
    assert outcome.values == (pytest.approx(((predicted - Y_CG[:, outputs]) ** 2).mean(), rel=1e-5),)
    assert outcome.values != plain.values


@pytest.mark.usefixtures("workplace")
def test_the_error_of_a_module_is_that_over_all_validation_cells_and_targets(made: Any) -> None:
    objective = open_objective(make_plan(made(), "fit", "s"), CPU)
    assert isinstance(objective, FitObjective)
    task = objective.task(objective.plan.base)
    fitted = PREDICTORS["ridge"](task, made().predictors["ridge"], Hooks())
    assert held_back_mse(fitted.module, task) == pytest.approx(fitted.chosen["validation_mse"], rel=1e-5)


@pytest.mark.usefixtures("workplace")
def test_captured_is_nothing_for_the_mean_and_grows_as_the_error_falls(made: Any) -> None:
    params = made(tune__fit__objective="captured")
    outcome, reports = tried(params, "fit")
    objective = open_objective(make_plan(params, "fit", "s"), CPU)
    assert isinstance(objective, FitObjective)
    assert objective.directions == ("maximize",)
    assert objective._score(float(objective._mean_T.mean())) == pytest.approx(0, abs=1e-9)
    assert outcome.values[0] == max(value for _, value in reports)
    floor = float((objective._mean_T - objective._explainable_T).mean())
    assert 0 < floor < outcome.facts["validation_mse"]
    assert objective._score(floor) == pytest.approx(1)


@pytest.mark.usefixtures("workplace")
def test_the_floor_is_estimated_once_and_on_learning_cells(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(made(tune__fit__objective="captured"), "fit", "s")
    first = open_objective(plan, CPU)
    (kept,) = Path(plan.folder).glob("noise-*.parquet")
    monkeypatch.setattr("sclandmarks.tune.yardstick._estimate", lambda *_: pytest.fail("estimated again"))
    again = open_objective(plan, CPU)
    assert np.array_equal(first._explainable_T, again._explainable_T)  # type: ignore[attr-defined]
    assert read_table(kept, schema.NOISE_PER_GENE).height == 80


@pytest.mark.usefixtures("workplace")
def test_a_pruned_trial_leaves_its_curve_and_no_model(made: Any) -> None:
    def report(step: int, value: float) -> None:
        if step == 2:
            raise optuna.TrialPruned

    with pytest.raises(optuna.TrialPruned):
        open_objective(make_plan(made(), "fit", "s"), CPU)({}, report, FOLDER)
    assert read_table(FOLDER / "history.parquet", schema.HISTORY)["step"].unique().to_list() == [1, 2]
    assert not (FOLDER / "model").exists()


@pytest.mark.usefixtures("workplace")
def test_a_loss_that_is_not_finite_fails_the_trial(made: Any) -> None:
    space = {"learning_rate": {"low": 1e-3, "high": 999.0}}
    with pytest.raises(TrainingError, match="finite"):
        tried(made(tune__fit__predictor="paper_linear", tune__fit__space=space), "fit", {"learning_rate": 900.0})


@pytest.mark.usefixtures("workplace")
def test_a_selection_is_judged_on_genes_it_did_not_choose(made: Any) -> None:
    outcome, reports = tried(made(), "select")
    panel = read_table(FOLDER / "panel.parquet", schema.PANEL)
    train, Y_CG = held_back()
    data = LearningData()
    inputs, outputs = data.split_at(panel["gene_id"], FOLDER)
    task = Task(data.batches("train"), data.batches("validation"), inputs, outputs)
    mse = PREDICTORS["reduced_rank"](
        task, made().predictors["reduced_rank"].model_copy(update={"max_rank": 6}), Hooks()
    )
    mean_G = ((Y_CG - train.mean(0)) ** 2).mean(0)
    explained = mean_G[outputs].sum() - mse.chosen["validation_mse"] * len(outputs)
    assert outcome.values == (pytest.approx(explained / mean_G.sum(), rel=1e-4),)
    assert outcome.facts["n_landmarks"] == panel.height == 6
    assert reports == [], "sizes of a path are no epochs"


@pytest.mark.usefixtures("workplace")
def test_the_planted_landmarks_beat_the_genes_of_largest_variance(made: Any, planted: Any) -> None:
    objective = open_objective(make_plan(made(), "select", "s"), CPU)
    assert isinstance(objective, SelectObjective)
    order = np.argsort(-objective.mean_mse_G)[:6]
    ids = planted.counts.genes["gene_id"]
    assert objective.explained(ids[planted.positions.tolist()]) > 1.3 * objective.explained(ids[order.tolist()])


@pytest.mark.usefixtures("workplace")
def test_a_hard_gene_in_the_panel_counts_for_nothing(made: Any, planted: Any) -> None:
    """Panels that only take noisy genes out of what is judged explain less, not more."""
    objective = open_objective(make_plan(made(), "select", "s"), CPU)
    assert isinstance(objective, SelectObjective)
    ids, landmarks = planted.counts.genes["gene_id"], planted.positions.tolist()
    others = [gene for gene in np.argsort(-objective.mean_mse_G).tolist() if gene not in landmarks]
    sizes = [objective.explained(ids[landmarks + others[:n]]) for n in (0, 20, 60)]
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.usefixtures("workplace")
def test_a_panel_of_a_fixed_size_is_cut_to_it(made: Any) -> None:
    paper = {"tune__select__panel": "paper_f910", "panels__paper_f910__max_epochs": 2, "panels__paper_f910__width": 4,
             "panels__paper_f910__n_extremes": 10, "tune__select__space": {"width": {"low": 2, "high": 8}}}  # fmt: skip
    outcome, reports = tried(made(**paper), "select")
    assert outcome.facts["n_landmarks"] == 6
    assert len(reports) == 2
    assert read_table(FOLDER / "panel.parquet", schema.PANEL)["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    both = {"tune__select__objectives": ["explained", "n_landmarks"]}
    outcome, reports = tried(made(**paper, **both), "select")
    assert outcome.values[1] > 6
    assert reports == []


@pytest.mark.usefixtures("workplace")
def test_the_group_lasso_of_a_network_is_a_base_and_its_path_is_no_training(made: Any) -> None:
    network = {"selector": "group_lasso_network", "seed": 0, "width": 4, "depth": 1, "dropout": 0.1, "loss": "mse",
               "standardise": True, "path_ratio": 0.5, "lambda_ratio": 0.25, "learning_rate": 0.01, "batch_size": 64,
               "max_epochs": 4, "patience": 2}  # fmt: skip
    space = {"lambda_ratio": {"low": 0.05, "high": 0.5, "log": True}, "depth": {"low": 0, "high": 2}}
    params = made(panels__lasso=network, tune__select__panel="lasso", tune__select__space=space)
    outcome, reports = tried(params, "select", {"lambda_ratio": 0.3, "depth": 0})
    assert outcome.facts["n_landmarks"] == 6
    assert 0 < outcome.values[0] < 1
    assert reports == []
    history = read_table(FOLDER / "history.parquet", schema.HISTORY)
    assert history.filter(pl.col("metric") == "lambda_ratio")["value"].min() == pytest.approx(0.3)


@pytest.mark.usefixtures("workplace")
def test_the_size_of_a_panel_can_be_searched_and_be_an_objective(made: Any) -> None:
    params = made(
        tune__select__objectives=["captured", "n_landmarks"],
        tune__select__space={"n_landmarks": {"low": 2, "high": 20}},
    )
    assert open_objective(make_plan(params, "select", "s"), CPU).directions == ("maximize", "minimize")
    small, _ = tried(params, "select", {"n_landmarks": 2})
    large, _ = tried(params, "select", {"n_landmarks": 6})
    assert (small.values[1], large.values[1]) == (2, 6)
    assert small.values[0] < large.values[0] < 1.2
    assert small.facts["explained"] < small.values[0], "what can be explained is a part of the variance"


@pytest.mark.usefixtures("workplace")
def test_a_panel_of_all_genes_is_refused(made: Any) -> None:
    params = made(tune__select__space={"n_landmarks": {"low": 2, "high": 100}})
    with pytest.raises(PanelError, match="smaller than the 80 genes"):
        tried(params, "select", {"n_landmarks": 80})


@pytest.mark.usefixtures("workplace")
def test_the_training_mean_is_judged_as_in_numpy() -> None:
    data, (train, Y_CG) = LearningData(), held_back()
    expected = ((Y_CG - train.mean(0)) ** 2).mean(0)
    assert mean_mse(data.batches("train"), data.batches("validation")) == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("fit", {}),
        ("fit", {"tune__fit__objective": "captured"}),
        ("select", {}),
        ("select", {"tune__select__objectives": ["captured", "n_landmarks"]}),
    ],
    ids=str,
)
def test_test_cells_have_no_part_in_any_score(made: Any, task: Any, changes: Any, leak: bool) -> None:
    """Counts and values of all test cells become others; with `leak` those of one validation cell, which shows."""
    before = tried(made(**changes), task)
    poison("validation" if leak else "test", n_cells=1 if leak else 80)
    for kept in Path("state/tune/s").glob("noise-*"):
        kept.unlink()
    assert (tried(made(**changes), task) == before) != leak


def poison(subset: str, n_cells: int) -> None:
    """Give the cells of a subset counts of thousands, at the places of their counts."""
    matrix = read_matrix(paths.EXPRESSION)
    X_CG, Z_CG = read_matrix(paths.EXPRESSION, "count").X_CG.copy(), matrix.X_CG.copy()
    for row in np.flatnonzero((LearningData().subsets == subset).to_numpy())[:n_cells]:
        part = slice(*X_CG.indptr[row : row + 2])
        X_CG.data[part] = 1000 + np.arange(part.stop - part.start)
        Z_CG.data[part] = Z_CG.data[part][::-1] + 7
    write_matrix(paths.EXPRESSION, ExpressionMatrix(X_CG, matrix.cells, matrix.genes), Z_CG)


def test_a_curve_keeps_what_it_does_not_report() -> None:
    seen: Reports = []
    curve = Curve(lambda step, value: seen.append((step, value)), lambda metrics: metrics.get("mse"))
    curve.on_epoch({"loss": 1.0}, 1)
    curve.on_epoch({"mse": 2.0}, 2)
    assert seen == [(2, 2.0)]
    assert list(curve.steps) == [1, 2]
