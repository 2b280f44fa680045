"""skglm's multitask lasso (Bertrand et al. 2022, NeurIPS) along a path: a linear group lasso."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, axes

IMPORTS = ("skglm",)
RATIO, MOST_PLACES = 0.9, 80


def select(cells: Cells, size: int) -> list[int]:
    """Genes by the place of the path at which they enter, of equals by the size of their coefficients there."""
    import skglm

    X_CG, Y_CN = axes(cells.dense())
    X_CG, Y_CN = (np.asfortranarray(part, dtype=np.float64) for part in (X_CG, Y_CN))
    alpha = np.linalg.norm(X_CG.T @ Y_CN, axis=1).max() / len(X_CG)
    model = skglm.MultiTaskLasso(alpha=alpha, fit_intercept=False, warm_start=True)
    order: list[int] = []
    for _ in range(MOST_PLACES):
        alpha *= RATIO
        model.alpha = alpha
        size_G = np.linalg.norm(model.fit(X_CG, Y_CN).coef_, axis=0)
        entered = np.setdiff1d(np.flatnonzero(size_G), order)
        order += [int(place) for place in entered[np.argsort(-size_G[entered])]]
        if len(order) >= size:
            break
    return order[:size]
