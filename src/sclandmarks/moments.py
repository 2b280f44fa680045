"""First and second moments of genes over cells, gathered in one pass over sparse blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.matrix import to_torch

LEAST = 1e-5  # of a gene's squared mean: of a variance below, products in float32 tell nothing


@dataclass(frozen=True)
class Moments:
    """Centred second moments between some genes (rows) and others (columns).

    Parameters
    ----------
    n_cells : int
    mean_G : torch.Tensor, shape (n_genes,), float64
        Mean of every gene of the blocks.
    S_LG : torch.Tensor, shape (n_rows, n_genes)
        Sum over cells of (x_l - mean_l)(x_g - mean_g), l over `rows`.
    rows : torch.Tensor, shape (n_rows,), int64
        Positions of the row genes.
    """

    n_cells: int
    mean_G: torch.Tensor
    S_LG: torch.Tensor
    rows: torch.Tensor


def gather(
    blocks: Iterable[sparse.csr_matrix],
    rows: torch.Tensor,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float64,
    weight_C: torch.Tensor | None = None,
) -> Moments:
    """Gather the moments of the genes at `rows` with all genes.

    With weights of the cells (mean 1, in the order of the blocks) sums and means are weighted.

    Costs 2 x cells x rows x genes flops and rows x genes numbers, whatever the number of cells. Blocks are
    multiplied in float32 and summed in `dtype`. Of a row gene whose variance they cannot tell from none, all moments
    are 0.

    Raises
    ------
    DataError
        If there is no cell.
    """
    n_cells, total_G, S_LG = 0, None, None
    for block in blocks:
        D_BG = to_torch(block, device)
        if S_LG is None or total_G is None:
            total_G = torch.zeros(D_BG.shape[1], dtype=torch.float64, device=device)
            S_LG = torch.zeros((len(rows), D_BG.shape[1]), dtype=dtype, device=device)
        n_before, n_cells = n_cells, n_cells + D_BG.shape[0]
        if weight_C is not None:
            D_BG *= weight_C[n_before:n_cells, None].sqrt().to(D_BG)
        S_LG += D_BG[:, rows.to(device)].T @ D_BG
        if weight_C is not None:
            D_BG *= weight_C[n_before:n_cells, None].sqrt().to(D_BG)
        total_G += D_BG.sum(0, dtype=torch.float64)
    if S_LG is None or total_G is None:
        raise _no_cells()
    mean_G = total_G / n_cells
    S_LG -= torch.outer(total_G[rows.to(device)], mean_G).to(dtype)
    _clear_constant(S_LG, mean_G, rows.to(device), n_cells)
    return Moments(n_cells, mean_G.cpu(), S_LG.cpu(), rows.cpu())


def _clear_constant(S_LG: torch.Tensor, mean_G: torch.Tensor, rows: torch.Tensor, n_cells: int) -> None:
    square_L = S_LG[torch.arange(len(rows), device=S_LG.device), rows]
    is_constant_L = square_L <= LEAST * n_cells * mean_G[rows].square()
    S_LG[is_constant_L] = 0
    S_LG[:, rows[is_constant_L]] = 0


def gene_means(blocks: Iterable[sparse.csr_matrix]) -> torch.Tensor:
    """Mean of every gene over the cells of the blocks, shape (n_genes,), float32, without making them dense.

    Raises
    ------
    DataError
        If there is no cell.
    """
    n_cells, total = 0, None
    for block in blocks:
        sums = np.asarray(block.sum(axis=0, dtype=np.float64)).reshape(-1)
        total = sums if total is None else total + sums
        n_cells += block.shape[0]
    if total is None:
        raise _no_cells()
    return torch.from_numpy(total / n_cells).float()


def _no_cells() -> DataError:
    return DataError("at least one cell", "none", "Check the split and the cell filter in params.yaml.")
