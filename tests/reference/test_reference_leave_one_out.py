"""Ridge with a penalty a gene: the closed form against refits without each cell, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import Ridge, RidgeCV

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import RidgePredictor
from sclandmarks.predict import leave_one_out as loo
from sclandmarks.predict.linear import fit_ridge
from sclandmarks.predict.spectrum import open_eigen

PANEL = [45, 47, 1, 52, 60, 62, 3, 69, 33, 70, 12]
N_TRAIN = 40
SETTINGS = RidgePredictor(method="ridge", penalty="per_gene")


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """Few cells in several blocks, so that leaving one out matters."""
    train, held_back = MemoryBatches(planted.values[:N_TRAIN], 16), MemoryBatches(planted.values[N_TRAIN:], 64)
    return Task(train, held_back, *split_genes(80, PANEL))


@pytest.fixture(scope="module")
def cells(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Panel and targets of the training cells."""
    X_CG = task.train.X_CG.toarray().astype(np.float64)
    return X_CG[:, PANEL], X_CG[:, task.outputs]


def test_it_is_the_error_of_refits_without_each_cell(task: Task, cells: tuple[np.ndarray, np.ndarray]) -> None:
    """Of every gene, at small, middling and large penalties; the intercept is fitted without the cell too."""
    x_CL, y_CT = cells
    lambdas = [1e-2, 1.0, 30.0, 1e4]
    want_KT = np.zeros((len(lambdas), y_CT.shape[1]))
    for k, value in enumerate(lambdas):
        for cell in range(N_TRAIN):
            others = np.arange(N_TRAIN) != cell
            model = Ridge(alpha=value, solver="svd").fit(x_CL[others], y_CT[others])
            want_KT[k] += (y_CT[cell] - model.predict(x_CL[[cell]])[0]) ** 2 / N_TRAIN
    np.testing.assert_allclose(loo.leave_one_out(task, open_eigen(task), lambdas), want_KT, rtol=2e-4)


def test_choices_and_coefficients_are_scikit_learns(task: Task, cells: tuple[np.ndarray, np.ndarray]) -> None:
    """RidgeCV with a penalty a target, over the same grid; where its two best are as good, either will do."""
    x_CL, y_CT = cells
    choice = loo.choose_penalties(task, open_eigen(task))
    theirs = RidgeCV(alphas=choice.grid, alpha_per_target=True, gcv_mode="svd").fit(x_CL, y_CT)
    ours_T, same_T = choice.lambda_T.numpy(), np.isclose(choice.lambda_T.numpy(), theirs.alpha_)
    assert same_T.mean() > 0.95
    assert len(set(ours_T)) > 3
    module = fit_ridge(task, SETTINGS, Hooks()).module
    np.testing.assert_allclose(module.weight.detach().numpy()[same_T], theirs.coef_[same_T], atol=1e-4)
    np.testing.assert_allclose(module.bias.detach().numpy()[same_T], theirs.intercept_[same_T], atol=1e-3)


def test_the_figures_are_those_of_the_choice(task: Task) -> None:
    """Quantiles of the penalties, the error with every gene's own, and how many genes chose each."""
    fitted, choice = fit_ridge(task, SETTINGS, Hooks()), loo.choose_penalties(task, open_eigen(task))
    assert fitted.chosen["lambda_low"] <= fitted.chosen["lambda"] <= fitted.chosen["lambda_high"]
    assert fitted.chosen["leave_one_out_mse"] == pytest.approx(float(choice.mse_KT.min(0).values.mean()))
    assert fitted.chosen["leave_one_out_mse"] <= min(step.metrics["leave_one_out_mse"] for step in fitted.history)
    counts = [step.metrics["n_genes"] for step in fitted.history]
    assert sum(counts) == task.n_targets
    assert fitted.best_step == int(np.argmax(counts))


def test_a_gene_that_the_panel_cannot_predict_is_shrunk_to_its_mean(planted) -> None:
    """Its own lambda is the largest; its neighbours keep theirs."""
    X_CG = planted.values[:N_TRAIN].toarray()
    others = [gene for gene in range(80) if gene not in PANEL]
    X_CG[:, others[0]] = np.random.default_rng(0).random(N_TRAIN)
    X_CG[:, others[1]] = X_CG[:, PANEL[0]]
    cells = MemoryBatches(sparse.csr_matrix(X_CG), 16)
    task = Task(cells, cells, *split_genes(80, PANEL))
    choice = loo.choose_penalties(task, open_eigen(task))
    assert choice.lambda_T[0] > 100 * choice.lambda_T[1]


def test_it_warns_when_most_genes_want_less_than_the_grid_has(
    task: Task, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grid that begins too high is said to."""
    monkeypatch.setattr(loo, "DECADES", (3.0, 6.0))
    monkeypatch.setattr(loo, "leave_one_out", lambda task, eigen, grid: torch.arange(len(grid)).double()[:, None])
    loo.choose_penalties(task, open_eigen(task))
    assert "smallest penalty" in caplog.text
