"""The group lasso against scikit-learn's MultiTaskLasso, which has the same objective and scaling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import MultiTaskLasso

from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select import SelectionTask, prox
from sclandmarks.select.lasso_solver import Place, Problem, duality_gap, largest, lay_out, solve, start

WIDTH = 6


@pytest.fixture(scope="module")
def data(planted) -> tuple[np.ndarray, np.ndarray]:
    """Centred genes, standardised, and their projections on the leading principal axes, by numpy."""
    X_CG = planted.values.toarray().astype(np.float64)
    X_CG -= X_CG.mean(axis=0)
    _, _, axes_KG = np.linalg.svd(X_CG, full_matrices=False)
    return X_CG / X_CG.std(axis=0), X_CG @ axes_KG[:WIDTH].T


@pytest.fixture(scope="module")
def problem(data: tuple[np.ndarray, np.ndarray]) -> Problem:
    """The same problem as moments, from the definition."""
    X_CG, Y_CH = data
    S_GG, C_GH = X_CG.T @ X_CG / len(X_CG), X_CG.T @ Y_CH / len(X_CG)
    return Problem(torch.from_numpy(S_GG).float(), torch.from_numpy(C_GH).float(), float((Y_CH**2).sum() / len(X_CG)))


def objective(data: tuple[np.ndarray, np.ndarray], W_GH: np.ndarray, strength: float) -> float:
    """1 / (2 n) |Y - X W|^2 + strength sum |W_g|, from the cells themselves."""
    X_CG, Y_CH = data
    return ((Y_CH - X_CG @ W_GH) ** 2).sum() / (2 * len(X_CG)) + strength * np.linalg.norm(W_GH, axis=1).sum()


def dense(problem: Problem, place: Place) -> np.ndarray:
    """Weights of all genes."""
    W_GH = np.zeros(problem.C_GH.shape)
    W_GH[place.active] = place.W_AH
    return W_GH


def lasso(data: tuple[np.ndarray, np.ndarray], strength: float) -> np.ndarray:
    """scikit-learn's solution, by coordinate descent."""
    model = MultiTaskLasso(alpha=strength, fit_intercept=False, tol=1e-10, max_iter=100_000)
    return model.fit(*data).coef_.T


@pytest.mark.parametrize("ratio", [0.9, 0.5, 0.2])
def test_solutions_agree_with_scikit_learn(data, problem: Problem, ratio: float) -> None:
    """The same genes, weights and objective, at three places of the path, cold."""
    strength = ratio * largest(problem.C_GH)
    place = solve(problem, strength, start(problem), max_steps=5000, tolerance=1e-6)
    want_GH, got_GH = lasso(data, strength), dense(problem, place)
    clear_G = np.linalg.norm(want_GH, axis=1) > 1e-3 * np.linalg.norm(want_GH, axis=1).max()
    assert (np.linalg.norm(got_GH, axis=1) > 0)[clear_G].all()
    assert clear_G.sum() >= 1
    np.testing.assert_allclose(got_GH, want_GH, atol=5e-3 * np.abs(want_GH).max())
    assert objective(data, got_GH, strength) == pytest.approx(objective(data, want_GH, strength), rel=1e-5)


def test_warm_starts_lead_to_the_same_place(problem: Problem) -> None:
    """Down the path or straight there."""
    strengths = [0.8**i * largest(problem.C_GH) for i in range(8)]
    warm = start(problem)
    for strength in strengths:
        warm = solve(problem, strength, warm, max_steps=5000, tolerance=1e-6)
    cold = solve(problem, strengths[-1], start(problem), max_steps=5000, tolerance=1e-6)
    np.testing.assert_allclose(
        dense(problem, warm), dense(problem, cold), atol=1e-3 * np.abs(dense(problem, cold)).max()
    )


def test_lambda_max_is_where_the_first_gene_enters(data, problem: Problem) -> None:
    """From the definition, max |X_g' Y| / n: nothing at it, one gene just below."""
    X_CG, Y_CH = data
    want = np.linalg.norm(X_CG.T @ Y_CH / len(X_CG), axis=1).max()
    assert largest(problem.C_GH) == pytest.approx(want, rel=1e-5)
    at, below = (solve(problem, largest(problem.C_GH) * r, start(problem), 1000, 1e-8) for r in (1.0, 0.999))
    assert (len(at.active), len(below.active)) == (0, 1)
    assert not lasso(data, want * 1.0001).any()
    assert lasso(data, want * 0.999).any()


def test_the_gap_bounds_the_error_and_vanishes(data, problem: Problem) -> None:
    """Never negative, never below the true distance to the optimum, and to nothing as the tolerance falls."""
    strength = 0.3 * largest(problem.C_GH)
    best = objective(data, lasso(data, strength), strength)
    gaps = []
    for tolerance in (1e-1, 1e-3, 1e-6):
        place = solve(problem, strength, start(problem), max_steps=5000, tolerance=tolerance)
        gaps.append(place.gap)
        assert place.gap <= tolerance * problem.constant
        assert objective(data, dense(problem, place), strength) - best <= place.gap + 1e-6 * problem.constant
    assert gaps == sorted(gaps, reverse=True)
    assert -1e-6 * problem.constant <= gaps[-1] < 1e-5 * problem.constant


@pytest.mark.parametrize("seed", range(5))
def test_the_gap_of_any_weights_is_an_upper_bound(data, problem: Problem, seed: int) -> None:
    """At weights far from the optimum too."""
    strength = 0.3 * largest(problem.C_GH)
    W_GH = torch.randn(problem.C_GH.shape, generator=torch.Generator().manual_seed(seed)) / 20
    every = torch.arange(len(W_GH))
    gap = duality_gap(problem, strength, W_GH, every, problem.gradient(W_GH, every))
    excess = objective(data, W_GH.double().numpy(), strength) - objective(data, lasso(data, strength), strength)
    assert 0 < excess <= gap * (1 + 1e-4)


@pytest.mark.parametrize("standardise", [True, False])
def test_the_problem_is_that_of_the_cells(planted, standardise: bool) -> None:
    """Moments, axes and constant from sparse batches lead to numpy's path; norms do not depend on axes' signs."""
    batches = MemoryBatches(planted.values, 64)
    settings = GroupLassoPanel(
        selector="group_lasso", seed=0, width=WIDTH, standardise=standardise, path_ratio=0.8, max_steps=1, tolerance=1
    )
    layout = lay_out(SelectionTask(batches, batches, planted.counts.genes, 5), settings, settings.seed)
    built = layout.problem()
    X_CG = planted.values.toarray().astype(np.float64)
    X_CG -= X_CG.mean(axis=0)
    _, values_K, axes_KG = np.linalg.svd(X_CG, full_matrices=False)
    deviation_G = X_CG.std(axis=0) if standardise else np.ones(80)
    np.testing.assert_allclose(1 / layout.scale_G, deviation_G, rtol=1e-3)
    np.testing.assert_allclose(built.S_GG, (X_CG / deviation_G).T @ (X_CG / deviation_G) / 400, atol=1e-4)
    assert built.constant == pytest.approx((values_K[:WIDTH] ** 2).sum() / 400, rel=1e-3)
    C_GH = (X_CG / deviation_G).T @ X_CG @ axes_KG[:WIDTH].T / 400
    np.testing.assert_allclose(prox.norms(built.C_GH), np.linalg.norm(C_GH, axis=1), rtol=1e-2)
