"""Reduced-rank regression of every prefix: the same model as the predictor's, from moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sclandmarks.evaluate.studies import prefix
from sclandmarks.evaluate.studies.cohort import Cohort
from sclandmarks.evaluate.studies.judge import fit_order
from sclandmarks.evaluate.studies.prefix import Side, fit_prefix, gather_grams
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import ReducedRankPredictor
from sclandmarks.predict.reduced import fit_reduced_rank

ORDER = np.array([3, 50, 11, 70, 27, 8, 41, 66, 19, 33])


def grams_of(cohort: Cohort, order: Any = ORDER) -> prefix.Grams:
    train, held_back = (Side(matrix.X_CG[:, order], matrix.X_CG) for matrix in cohort[:2])
    return gather_grams(train, held_back, order)


def others(n_genes: int, order: Any) -> Any:
    return np.setdiff1d(np.arange(n_genes), order)


@pytest.mark.parametrize("size", [1, 4, 10])
def test_it_is_the_reduced_rank_predictor(values: Cohort, size: int) -> None:
    order = ORDER[:size]
    ours = fit_prefix(grams_of(values), size, 10)
    targets = others(80, order)
    train, held_back = (MemoryBatches(matrix.X_CG) for matrix in values[:2])
    task = Task(train, held_back, torch.from_numpy(order), torch.from_numpy(targets))
    theirs = fit_reduced_rank(task, ReducedRankPredictor(method="reduced_rank", max_rank=10), Hooks())
    X_CL = torch.from_numpy(values.test.X_CG[:, order].toarray())
    Y_CG = torch.from_numpy(values.test.X_CG[:, targets].toarray())
    with torch.no_grad():
        mse = (theirs.module(X_CL) - Y_CG).square().mean()
    assert float((ours.predict(X_CL)[:, targets] - Y_CG).square().mean()) == pytest.approx(float(mse), rel=5e-3)
    if ours.lambda_ == pytest.approx(theirs.chosen["lambda"]) and ours.A_LR.shape[1] == theirs.chosen["rank"]:
        torch.testing.assert_close(ours.predict(X_CL)[:, targets], theirs.module(X_CL), atol=1e-4, rtol=1e-4)


def test_fitted_values_are_the_leading_principal_axes_of_ridge(values: Cohort) -> None:
    """Independent: ridge by solving, then numpy's SVD of the fitted values."""
    grams, lambda_, rank = grams_of(values), 5.0, 3
    axes = prefix._axes(prefix._prefix(grams, 10), lambda_, rank)
    targets = others(80, ORDER)
    X_CL, Y_CT = (values.train.X_CG[:, places].toarray().astype(np.float64) for places in (ORDER, targets))
    X_CL, Y_CT = X_CL - X_CL.mean(0), Y_CT - Y_CT.mean(0)
    fitted_CT = X_CL @ np.linalg.solve(X_CL.T @ X_CL + lambda_ * np.eye(10), X_CL.T @ Y_CT)
    U, s, Vt = np.linalg.svd(fitted_CT, full_matrices=False)
    ours_CT = X_CL @ (axes.A_LR @ (axes.weight_RL @ grams.S_LG))[:, targets].numpy()
    np.testing.assert_allclose(ours_CT, U[:, :rank] * s[:rank] @ Vt[:rank], atol=1e-4)


def test_the_gain_is_the_fall_of_the_held_back_error(values: Cohort) -> None:
    grams, targets = grams_of(values), others(80, ORDER)
    first = prefix._prefix(grams, 10)
    gain, rank = prefix._best_rank(first, 20.0, 6)
    fitted = prefix._low_rank(grams, first, 10, 20.0, rank, 0.0)
    Y_CT = torch.from_numpy(values.validation.X_CG[:, targets].toarray())
    p_CT = fitted.predict(torch.from_numpy(values.validation.X_CG[:, ORDER].toarray()))[:, targets]
    baseline = (grams.mean_G[targets] - Y_CT).square().sum()
    assert gain == pytest.approx(float(baseline - (p_CT - Y_CT).square().sum()), rel=1e-3)


def test_genes_that_the_panel_measures_decide_nothing(values: Cohort) -> None:
    """A measured gene among the targets would win every axis; changing its values changes no prediction."""
    grams = grams_of(values)
    changed = [
        Side(matrix.X_CG[:, ORDER], _times(matrix.X_CG, ORDER, 50)) for matrix in (values.train, values.validation)
    ]
    other = gather_grams(*changed, ORDER)
    targets, X_CL = others(80, ORDER), torch.from_numpy(values.test.X_CG[:, ORDER].toarray())
    one, two = (fit_prefix(each, 10, 5).predict(X_CL)[:, targets] for each in (grams, other))
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-3)


def _times(X_CG: Any, places: Any, factor: float) -> Any:
    X_CG = X_CG.copy()
    X_CG.data[np.isin(X_CG.indices, places)] *= factor
    return X_CG


def test_a_prefix_is_fitted_as_if_it_were_alone(values: Cohort) -> None:
    from_long, alone = fit_prefix(grams_of(values), 4, 4), fit_prefix(grams_of(values, ORDER[:4]), 4, 4)
    X_CL = torch.from_numpy(values.test.X_CG[:, ORDER[:4]].toarray())
    targets = others(80, ORDER[:4])
    torch.testing.assert_close(from_long.predict(X_CL)[:, targets], alone.predict(X_CL)[:, targets])


def test_a_neighbours_lambda_only_saves_time(values: Cohort) -> None:
    grams = grams_of(values)
    cold = fit_prefix(grams, 8, 5)
    for start in (-2.0, 1.5, 6.0):
        assert fit_prefix(grams, 8, 5, start).lambda_ == pytest.approx(cold.lambda_), start


def test_few_axes_of_a_large_matrix_are_the_same_found_at_once_or_by_lanczos(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(60, 60)) * np.geomspace(1, 0.01, 60)
    M_KK = torch.from_numpy(half @ half.T)
    values, vectors = prefix._leading(M_KK, 5)
    monkeypatch.setattr(prefix, "SMALL", 10)
    other_values, other_vectors = prefix._leading(M_KK, 5)
    torch.testing.assert_close(values, other_values)
    torch.testing.assert_close((vectors.T @ other_vectors).abs(), torch.eye(5, dtype=torch.float64), atol=1e-6, rtol=0)


def test_more_genes_than_cells_is_no_obstacle(values: Cohort) -> None:
    few = values._replace(train=values.train.take(np.arange(6)), validation=values.validation.take(np.arange(4)))
    fits = fit_order(few, ORDER, [2, 10], 20)
    assert fits[10].A_LR.shape[1] <= 5
    assert torch.isfinite(fits[10].predict(torch.from_numpy(values.test.X_CG[:, ORDER].toarray()))).all()


def test_a_panel_without_variance_predicts_the_mean(values: Cohort) -> None:
    blank = [Side(matrix.X_CG[:, ORDER] * 0, matrix.X_CG) for matrix in values[:2]]
    grams = gather_grams(*blank, ORDER)
    predicted = fit_prefix(grams, 10, 5).predict(torch.zeros(3, 10))
    torch.testing.assert_close(predicted, grams.mean_G.float().expand(3, -1))
