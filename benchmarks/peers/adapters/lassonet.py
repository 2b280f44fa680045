"""LassoNet (Lemhadri et al. 2021, JMLR 22:127): a network whose inputs leave along a path.

Settings are the defaults of its class and of its README (100 hidden units, M 10), on centred values as the README asks.
The README calls the path's multiplier a trade of precision for time. From the package's own guess of where to start,
4,848 of the 7,275 genes of pancreas left at one step of 1.1: genes that leave at the same step are told apart by the
norm of their skip weights one step earlier.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.cells import Cells, axes

IMPORTS = ("lassonet", "torch")


def select(cells: Cells, size: int) -> list[int]:
    """Genes by the lambda at which they leave, the last first."""
    import lassonet

    X_CG, Y_CN = axes(cells.dense())
    size_G = np.zeros(X_CG.shape[1])

    def keep_sizes(model: Any, _: Any) -> None:
        norm_G = np.linalg.norm(model.model.skip.weight.detach().numpy(), axis=0)
        size_G[norm_G > 0] = norm_G[norm_G > 0]

    model = lassonet.LassoNetRegressor(
        hidden_dims=(100,), M=10, path_multiplier=1.1, verbose=2, random_state=0, torch_seed=0
    )
    model.path(X_CG, Y_CN / Y_CN[:, 0].std(), callback=keep_sizes, disable_lambda_warning=True)
    left_G = model.feature_importances_.numpy()
    return [int(place) for place in np.lexsort((-size_G, -left_G))[:size]]
