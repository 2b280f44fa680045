"""The path of the group lasso against skglm, another solver with its own certificate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sclandmarks.select.lasso_solver import Place, Problem, largest, solve, start

skglm = pytest.importorskip(
    "skglm", reason="skglm is in no lock; pip install skglm==0.5 into the environment to compare with it"
)

WIDTH = 6
PLACES = 8


@pytest.fixture(scope="module")
def data(planted) -> tuple[np.ndarray, np.ndarray]:
    """Centred genes, and their projections on the leading principal axes."""
    X_CG = planted.values.toarray().astype(np.float64)
    X_CG -= X_CG.mean(axis=0)
    _, _, axes_KG = np.linalg.svd(X_CG, full_matrices=False)
    return X_CG, X_CG @ axes_KG[:WIDTH].T


def ours(data: tuple[np.ndarray, np.ndarray]) -> list[tuple[float, Place, np.ndarray]]:
    """Strengths, places and weights of all genes, warm-started down the path."""
    X_CG, Y_CH = data
    S_GG, C_GH = X_CG.T @ X_CG / len(X_CG), X_CG.T @ Y_CH / len(X_CG)
    problem = Problem(*(torch.from_numpy(one).float() for one in (S_GG, C_GH)), float((Y_CH**2).sum() / len(X_CG)))
    place, walked = start(problem), []
    for k in range(PLACES):
        strength = 0.7**k * largest(problem.C_GH)
        place = solve(problem, strength, place, max_steps=5000, tolerance=1e-7)
        W_GH = np.zeros(C_GH.shape)
        W_GH[place.active] = place.W_AH
        walked.append((strength, place, W_GH))
    return walked


def test_the_whole_path_agrees(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Genes that are clearly in, weights, and the objective, at every place."""
    X_CG, Y_CH = data
    for strength, place, W_GH in ours(data):
        model = skglm.MultiTaskLasso(alpha=strength, fit_intercept=False, tol=1e-8, max_iter=1000)
        want_GH = model.fit(X_CG, Y_CH).coef_.T
        norm_G = np.linalg.norm(want_GH, axis=1)
        clear = np.flatnonzero(norm_G > 1e-2 * max(norm_G.max(), 1e-12))
        assert set(clear) <= set(place.active.tolist())
        np.testing.assert_allclose(W_GH, want_GH, atol=5e-3 * max(np.abs(want_GH).max(), 1e-6))
        values = [
            ((Y_CH - X_CG @ weights_GH) ** 2).sum() / (2 * len(X_CG))
            + strength * np.linalg.norm(weights_GH, axis=1).sum()
            for weights_GH in (W_GH, want_GH)
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-5)
    assert len(place.active) >= 10
