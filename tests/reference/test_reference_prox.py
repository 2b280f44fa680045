"""The proximal operator against brute-force minimisation of its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from sclandmarks.select import prox


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(3))
def test_prox_minimises_its_objective(width: int, threshold: float, seed: int) -> None:
    """argmin over X of |X - W|^2 / 2 + threshold |X|, group by group."""
    W_GH = np.random.default_rng(seed).normal(size=(4, width))
    got_GH = prox.prox(torch.from_numpy(W_GH), threshold).numpy()
    for W_H, got_H in zip(W_GH, got_GH, strict=True):

        def objective(X_H: np.ndarray, W_H: np.ndarray = W_H) -> float:
            return float(((X_H - W_H) ** 2).sum() / 2 + threshold * np.linalg.norm(X_H))

        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000, "maxfev": 20000}
        found = min(
            (minimize(objective, start, method="Nelder-Mead", options=options) for start in (W_H, 0.1 * W_H)),
            key=lambda result: result.fun,
        )
        assert objective(got_H) <= found.fun + 1e-9
        np.testing.assert_allclose(got_H, found.x, atol=1e-3)
