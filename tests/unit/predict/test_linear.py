"""Ridge and reduced rank: how lambda and rank are chosen."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy import sparse

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import ReducedRankPredictor, RidgePredictor
from sclandmarks.predict.grid import ranks, search
from sclandmarks.predict.linear import fit_ridge
from sclandmarks.predict.modules import Spec
from sclandmarks.predict.reduced import fit_reduced_rank, low_rank
from sclandmarks.predict.spectrum import open_eigen

N_PANEL, N_TARGETS = 5, 8
RIDGE, REDUCED = RidgePredictor(method="ridge"), ReducedRankPredictor(method="reduced_rank", max_rank=4)


def task_of(noise: float, *, signal: float = 1.0, rank: int = N_PANEL, n_train: int = 120) -> Task:
    """Targets that follow a panel of 5 along `rank` axes, with noise; half as many cells held back."""
    rng = np.random.default_rng(5)
    x_CL = rng.normal(size=(n_train * 3 // 2, N_PANEL)) + 3
    map_LT = rng.normal(size=(N_PANEL, rank)) @ rng.normal(size=(rank, N_TARGETS))
    y_CT = signal * x_CL @ map_LT + noise * rng.normal(size=(len(x_CL), N_TARGETS)) + 2
    X_CG = sparse.csr_matrix(np.hstack([x_CL, y_CT]).astype(np.float32))
    train, held_back = MemoryBatches(X_CG[:n_train], 50), MemoryBatches(X_CG[n_train:], 50)
    return Task(train, held_back, *split_genes(N_PANEL + N_TARGETS, range(N_PANEL)))


def errors_with_best_at(exponent: float):
    """Errors of a grid of lambdas that fall towards 10^exponent."""
    return lambda lambdas: [abs(np.log10(value) - exponent) for value in lambdas]


def test_an_inner_choice_is_the_best_of_its_grid(caplog: pytest.LogCaptureFixture) -> None:
    """No warning; by decades from 1e-2 to 1e6 of the mean eigenvalue, and four a decade around the best."""
    with caplog.at_level(logging.WARNING):
        fitted = fit_ridge(task_of(noise=15), RIDGE, Hooks())
    lambdas, errors = zip(*[(s.metrics["lambda"], s.metrics["validation_mse"]) for s in fitted.history], strict=True)
    assert lambdas[-1] / lambdas[0] == pytest.approx(1e8)
    assert list(lambdas) == sorted(lambdas)
    assert fitted.best_step == int(np.argmin(errors)) not in (0, len(errors) - 1)
    assert lambdas[fitted.best_step + 1] / lambdas[fitted.best_step] == pytest.approx(10**0.25)
    assert fitted.chosen == {"lambda": lambdas[fitted.best_step], "validation_mse": min(errors)}
    assert not caplog.records


@pytest.mark.parametrize("fit", [fit_ridge, fit_reduced_rank])
def test_a_panel_that_misleads_is_shrunk_away(fit) -> None:
    """Held-back cells that contradict the training cells: lambda goes far up, and the mean is left."""
    task = task_of(noise=0.1)
    X_CG = task.validation.X_CG.toarray()
    X_CG[:, N_PANEL:] = 4 - X_CG[:, N_PANEL:]
    contrary = Task(task.train, MemoryBatches(sparse.csr_matrix(X_CG)), task.inputs, task.outputs)
    fitted = fit(contrary, RIDGE if fit is fit_ridge else REDUCED, Hooks())
    assert fitted.chosen["lambda"] > 1e6
    mean_T = task.train.X_CG.toarray()[:, N_PANEL:].mean(axis=0)
    np.testing.assert_allclose(fitted.module(task.example()).detach(), np.tile(mean_T, (4, 1)), atol=1e-3)


@pytest.mark.parametrize("exponent", [-7, -5, -3, -1, 5, 7, 9, 11])
def test_widening_finds_a_choice_beyond_either_edge(exponent: float, caplog: pytest.LogCaptureFixture) -> None:
    """In steps of two decades, three at most; no warning once the best one lies inside."""
    with caplog.at_level(logging.WARNING):
        grid, errors = search(errors_with_best_at(exponent), 1.0)
    best = grid[int(np.argmin(errors))]
    assert best == pytest.approx(10.0**exponent)
    assert grid[0] < best < grid[-1]
    assert grid == sorted(grid)
    assert not caplog.records


@pytest.mark.parametrize("exponent", [-20, 30])
def test_widening_ends(exponent: float, caplog: pytest.LogCaptureFixture) -> None:
    """A choice farther off than that is the edge, with a warning."""
    grid, errors = search(errors_with_best_at(exponent), 1.0)
    assert int(np.argmin(errors)) in (0, len(grid) - 1)
    assert "edge of the grid" in caplog.text


def test_every_place_is_reported() -> None:
    """The hook sees the grid."""
    seen = []
    fitted = fit_ridge(task_of(noise=4), RIDGE, Hooks(lambda metrics, step: seen.append((step, metrics))))
    assert seen == [(step, metrics) for step, metrics in fitted.history]


def test_reduced_rank_finds_the_rank() -> None:
    """Two axes and noise: a rank of two is best, and the module has that rank."""
    fitted = fit_reduced_rank(task_of(noise=1, rank=2), REDUCED, Hooks())
    assert fitted.chosen["rank"] == fitted.spec.rank == 2
    assert np.linalg.matrix_rank((fitted.module.A_LR @ fitted.module.B_RT).detach(), tol=1e-4) == 2


def test_reduced_rank_of_full_rank_is_ridge() -> None:
    """With lambda and all axes the same, so are the predictions."""
    task = task_of(noise=0.5)
    ridge = fit_ridge(task, RIDGE, Hooks())
    eigen = open_eigen(task)
    full = low_rank(eigen, ridge.chosen["lambda"], Spec("low_rank", N_PANEL, N_TARGETS, rank=N_PANEL))
    x_BL = task.example(10)
    np.testing.assert_allclose(full(x_BL).detach(), ridge.module(x_BL).detach(), atol=1e-4)


def test_ranks_reach_the_largest_by_tenths() -> None:
    """All up to 20, then wider steps, never beyond."""
    assert ranks(4) == [1, 2, 3, 4]
    assert ranks(25) == [*range(1, 21), 22, 24]
    assert max(ranks(910)) <= 910


def test_a_constant_landmark_does_no_harm() -> None:
    """No division by a zero eigenvalue."""
    task = task_of(noise=1)
    X_CG = task.train.X_CG.tolil()
    X_CG[:, 2] = 1
    constant = Task(MemoryBatches(X_CG.tocsr(), 50), task.validation, task.inputs, task.outputs)
    for fitted in (fit_ridge(constant, RIDGE, Hooks()), fit_reduced_rank(constant, REDUCED, Hooks())):
        assert fitted.module(task.example()).isfinite().all()
        assert np.isfinite(fitted.chosen["validation_mse"])


@pytest.mark.parametrize("n_train", [3, 4])
def test_more_axes_than_the_training_cells_have_are_no_axes(n_train: int) -> None:
    """With fewer cells than panel genes the axes beyond the data's rank are zero, and the claimed error is true."""
    task = task_of(1.0, n_train=n_train)
    fitted = fit_reduced_rank(task, REDUCED, Hooks())
    errors = [(fitted.module(x_BL) - y_BT).square().mean() for x_BL, y_BT in task.pairs(task.validation.in_order())]
    assert fitted.chosen["validation_mse"] == pytest.approx(float(errors[0].detach()), rel=1e-3)
    W_RT = fitted.module.B_RT.detach()
    gram_RR = (W_RT @ W_RT.T).numpy()
    assert np.allclose(gram_RR, np.diag(np.round(np.diag(gram_RR))), atol=1e-5)
