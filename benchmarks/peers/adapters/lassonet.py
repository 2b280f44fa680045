"""LassoNet (Lemhadri et al. 2021, JMLR): a network with a linear path beside it, whose penalty closes genes for both.

The class's own guess of where its path starts (13 for pancreas' scores as they are) lies far beyond where genes are of
use, so that all of them leave within eight places. Its README says to start lower then, where the model stays dense at
first: half of the penalty at which a linear model loses its last gene is such a place. Its step shares a penalty among
the hidden units, so that with the default of 100 of them all of pancreas' genes are still in at 14 times that penalty;
with two layers of 10, which its README suggests to try, they leave gradually (docs/LOG.md).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peers.cells import Cells, axes

IMPORTS = ("lassonet", "torch")
HIDDEN, MULTIPLIER, START = (10, 10), 1.1, 0.5
FEWEST = 50  # genes of the smallest panel asked for: the path ends there


class Enough(Exception):
    """The path has come to the smallest panel."""


def select(cells: Cells, size: int) -> list[int]:
    """Genes by the place of the path at which they leave, of equals by their linear weights before."""
    import lassonet

    X_CG, Y_CN = axes(cells.dense())
    Y_CN = Y_CN / Y_CN.std()
    model = lassonet.LassoNetRegressor(
        hidden_dims=HIDDEN, lambda_start=START * last_penalty(X_CG, Y_CN), path_multiplier=MULTIPLIER, random_state=0,
        torch_seed=0, device="cpu", verbose=0,
    )  # fmt: skip
    norms: list[NDArray[np.float32]] = []

    def keep(model: Any, history: list[Any]) -> None:
        norms.append(model.model.skip.weight.detach().norm(dim=0).numpy().copy())
        print(f"lambda {history[-1].lambda_:.4f}: {int((norms[-1] > 0).sum())} genes", flush=True)
        if (norms[-1] > 0).sum() <= min(FEWEST, size):
            raise Enough

    with suppress(Enough):
        model.path(X_CG, Y_CN, callback=keep)
    return [int(place) for place in by_leaving(np.array(norms))[:size]]


def last_penalty(X_CG: NDArray[np.float32], Y_CN: NDArray[np.float32]) -> float:
    """Penalty at which the last gene leaves a linear model with the package's loss, a mean over cells and scores."""
    return float(2 * np.linalg.norm(X_CG.T @ Y_CN, axis=1).max() / Y_CN.size)


def by_leaving(norms_PG: NDArray[np.float32]) -> NDArray[np.int64]:
    """Genes, the last to leave first; of those that leave together, by their weights at the place before."""
    stayed_G = (norms_PG > 0).cumprod(axis=0).sum(axis=0)
    before_G = norms_PG[np.maximum(stayed_G - 1, 0), np.arange(norms_PG.shape[1])]
    return np.lexsort((-before_G, -stayed_G))
