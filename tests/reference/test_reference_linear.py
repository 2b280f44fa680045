"""Least squares and ridge against scikit-learn, reduced rank against numpy's SVD of the fitted values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LinearRegression, Ridge

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import OlsPredictor, ReducedRankPredictor, RidgePredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.linear import fit_ols, fit_ridge
from sclandmarks.predict.reduced import fit_reduced_rank

PANEL = [45, 47, 1, 52, 60, 62, 3, 69, 33, 70, 12]
N_TRAIN = 120
MAX_RANK = 6


class Cells:
    """Panel and targets, training and held back, dense."""

    def __init__(self, X_CG: np.ndarray, outputs: torch.Tensor) -> None:
        self.x_CL, self.y_CT = X_CG[:, PANEL], X_CG[:, outputs]
        self.train, self.held_back = slice(0, N_TRAIN), slice(N_TRAIN, None)


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """Few cells, so that the choice of lambda matters."""
    train, held_back = MemoryBatches(planted.values[:N_TRAIN], 50), MemoryBatches(planted.values[N_TRAIN:], 50)
    return Task(train, held_back, *split_genes(80, PANEL))


@pytest.fixture(scope="module")
def cells(planted, task: Task) -> Cells:
    """The same numbers for the references."""
    return Cells(planted.values.toarray().astype(np.float64), task.outputs)


@pytest.fixture(scope="module")
def ridge(task: Task) -> Fitted:
    """Ours."""
    return fit_ridge(task, RidgePredictor(method="ridge"), Hooks())


@pytest.fixture(scope="module")
def reduced(task: Task) -> Fitted:
    """Ours, of rank 6 at most."""
    return fit_reduced_rank(task, ReducedRankPredictor(method="reduced_rank", max_rank=MAX_RANK), Hooks())


def sklearn_ridge(cells: Cells, lambda_: float) -> Ridge:
    """The reference, fitted to the training cells."""
    return Ridge(alpha=lambda_, solver="svd").fit(cells.x_CL[cells.train], cells.y_CT[cells.train])


def held_back_mse(cells: Cells, predicted_CT: np.ndarray) -> float:
    """Mean over held-back cells and targets."""
    return float(((predicted_CT - cells.y_CT[cells.held_back]) ** 2).mean())


def test_ridge_is_scikit_learns_at_the_chosen_lambda(cells: Cells, ridge: Fitted) -> None:
    """Coefficients and intercept, which is not penalised."""
    model = sklearn_ridge(cells, ridge.chosen["lambda"])
    np.testing.assert_allclose(ridge.module.weight.detach(), model.coef_, atol=1e-4)
    np.testing.assert_allclose(ridge.module.bias.detach(), model.intercept_, atol=1e-3)


def test_the_choice_is_that_of_refitting(cells: Cells, ridge: Fitted) -> None:
    """Each lambda of the grid refitted and applied to the held-back cells gives the errors of the history."""
    lambdas = [step.metrics["lambda"] for step in ridge.history]
    want = [held_back_mse(cells, sklearn_ridge(cells, value).predict(cells.x_CL[cells.held_back])) for value in lambdas]
    np.testing.assert_allclose([step.metrics["validation_mse"] for step in ridge.history], want, rtol=1e-4)
    assert ridge.best_step == int(np.argmin(want))
    assert 0 < ridge.best_step < len(lambdas) - 1


def cut(cells: Cells, lambda_: float, rank: int) -> np.ndarray:
    """Held-back predictions of ridge whose fitted values, centred, keep their leading singular directions."""
    model = sklearn_ridge(cells, lambda_)
    center_L, mean_T = cells.x_CL[cells.train].mean(axis=0), cells.y_CT[cells.train].mean(axis=0)
    fitted_CT = (cells.x_CL[cells.train] - center_L) @ model.coef_.T
    axes_RT = np.linalg.svd(fitted_CT, full_matrices=False)[2][:rank]
    return mean_T + (cells.x_CL[cells.held_back] - center_L) @ model.coef_.T @ axes_RT.T @ axes_RT


def test_reduced_rank_is_the_svd_of_the_fitted_values(cells: Cells, reduced: Fitted) -> None:
    """At the chosen pair, on cells that it was not fitted to."""
    predicted_CT = reduced.module(torch.from_numpy(cells.x_CL[cells.held_back]).float()).detach()
    want_CT = cut(cells, reduced.chosen["lambda"], int(reduced.chosen["rank"]))
    np.testing.assert_allclose(predicted_CT, want_CT, atol=1e-3)
    assert held_back_mse(cells, want_CT) == pytest.approx(reduced.chosen["validation_mse"], rel=1e-4)


def test_the_pair_is_the_best_of_all(cells: Cells, reduced: Fitted) -> None:
    """Each lambda carries the error of its best rank, and no pair of the grid is better than the chosen one."""
    for step in reduced.history[::4]:
        ranks = [held_back_mse(cells, cut(cells, step.metrics["lambda"], rank)) for rank in range(1, MAX_RANK + 1)]
        assert step.metrics["validation_mse"] == pytest.approx(min(ranks), rel=1e-4)
    assert reduced.chosen["validation_mse"] == min(step.metrics["validation_mse"] for step in reduced.history)
    assert 1 < reduced.chosen["rank"] <= MAX_RANK


def test_ols_is_scikit_learns(task: Task, cells: Cells) -> None:
    """The same coefficients, and the held-back error that is reported."""
    ours = fit_ols(task, OlsPredictor(method="ols"), Hooks())
    theirs = LinearRegression().fit(cells.x_CL[cells.train], cells.y_CT[cells.train])
    np.testing.assert_allclose(ours.module.weight.detach().numpy(), theirs.coef_, atol=2e-4)
    np.testing.assert_allclose(ours.module.bias.detach().numpy(), theirs.intercept_, atol=1e-3)
    expected = held_back_mse(cells, theirs.predict(cells.x_CL[cells.held_back]))
    assert ours.chosen["validation_mse"] == pytest.approx(expected, rel=1e-4)
    assert ours.chosen["n_axes"] == len(PANEL)


def test_ols_of_dependent_landmarks_is_of_smallest_norm(planted) -> None:
    """A landmark that is there twice: both halves get the same weight, as the pseudo-inverse says."""
    X_CG = planted.values.toarray()
    doubled = sparse.csr_matrix(np.hstack([X_CG, X_CG[:, [45]]]))
    cells = MemoryBatches(doubled[:N_TRAIN], 50)
    ours = fit_ols(Task(cells, cells, *split_genes(81, [45, 80, 1])), OlsPredictor(method="ols"), Hooks())
    weight_TL = ours.module.weight.detach().numpy()
    assert ours.chosen["n_axes"] == 2
    np.testing.assert_allclose(weight_TL[:, 0], weight_TL[:, 1], atol=1e-5)
    x_CL = doubled[:N_TRAIN, [45, 80, 1]].toarray()
    outputs = [gene for gene in range(81) if gene not in (45, 80, 1)]
    theirs_LT = np.linalg.pinv(x_CL - x_CL.mean(0)) @ doubled[:N_TRAIN, outputs].toarray()
    np.testing.assert_allclose(weight_TL, theirs_LT.T, atol=2e-4)
