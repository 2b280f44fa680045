"""The panel gene that says most about each target by itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from sclandmarks.matrix import Batches
from sclandmarks.moments import Moments, gather


def best_landmarks(panel: str, cells: Batches, inputs: Tensor, outputs: Tensor, genes: pl.DataFrame) -> pl.DataFrame:
    """For every target the panel gene of largest absolute correlation over training cells.

    Parameters
    ----------
    panel : str
    cells : Batches
        Training cells; gone through twice.
    inputs, outputs : torch.Tensor, int64
        Columns of the panel genes and of the targets.
    genes : polars.DataFrame
        All genes of the matrix, in order.

    Returns
    -------
    polars.DataFrame
        As `schema.NEIGHBOURS`; no landmark for a target that does not vary.
    """
    moments = gather(cells.in_order(), inputs, dtype=torch.float32)
    root_G = _scatter(cells, moments).sqrt().float()
    r_LT = (moments.S_LG[:, outputs] / torch.outer(root_G[inputs], root_G[outputs])).clamp(-1, 1)  # float32 passes 1
    strength_T, place_T = r_LT.nan_to_num(0, 0, 0).abs().max(dim=0)
    known_T = pl.Series((strength_T > 0).numpy())
    r_T = pl.Series(r_LT[place_T, torch.arange(len(outputs))].double().numpy())
    best = genes[inputs[place_T].numpy()]
    return genes[outputs.numpy()].select(
        pl.lit(panel).alias("panel"),
        "gene_id",
        "symbol",
        pl.when(known_T).then(best["gene_id"]).alias("landmark_id"),
        pl.when(known_T).then(best["symbol"]).alias("landmark"),
        pl.when(known_T).then(r_T).alias("r"),
    )


def _scatter(cells: Batches, moments: Moments) -> Tensor:
    """Sum over cells of (x - mean)^2 of every gene, without making the blocks dense."""
    squares = (block.multiply(block).sum(axis=0, dtype=np.float64) for block in cells.in_order())
    squares_G = torch.from_numpy(np.asarray(sum(squares)).ravel())
    scatter_G = squares_G - moments.n_cells * moments.mean_G.square()
    return torch.where(scatter_G > 1e-6 * squares_G, scatter_G, 0)  # below, float32 cannot tell it from zero
