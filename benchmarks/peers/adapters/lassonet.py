"""LassoNet (Lemhadri et al. 2021, JMLR 22:127): a network whose inputs leave along a path."""

from __future__ import annotations

import numpy as np

from peers.cells import Cells, axes

IMPORTS = ("lassonet", "torch")


def select(cells: Cells, size: int) -> list[int]:
    """Genes by the lambda at which they leave, the last first."""
    import lassonet

    X_CG, Y_CN = axes(cells.dense())
    model = lassonet.LassoNetRegressor(
        hidden_dims=(100,), M=10, path_multiplier=1.1, verbose=2, random_state=0, torch_seed=0
    )
    model.path(X_CG, Y_CN / Y_CN[:, 0].std(), disable_lambda_warning=True)
    left_G = model.feature_importances_.numpy()
    return [int(place) for place in np.argsort(-left_G, kind="stable")[:size]]
