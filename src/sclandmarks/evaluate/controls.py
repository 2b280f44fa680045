"""Controls that know the cell and not the panel: how deep it was sequenced, and which type it is.

They bound every table. What library size alone gives is depth, not biology; what the means of cell types give is
what a good classifier would give (an oracle: it is told the type). Both are linear in features of a cell, learned on
training cells in one sparse pass, and judged like a fit whose inputs are these features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from sclandmarks.errors import DataError
from sclandmarks.matrix import Batches, Cells

FloatArray = NDArray[np.float64]
Encoder = Callable[[pl.DataFrame], FloatArray]

DEGREE = 3  # of the polynomial in the log library size
LEAST_CELLS = 5  # of a type, for a mean of its own


@dataclass(frozen=True)
class Control:
    """A control fitted to training cells.

    Parameters
    ----------
    name : str
    encode : callable
        Table of cells, as `schema.CELLS`, to features, shape (n_cells, n_features).
    W_FG : numpy.ndarray, shape (n_features, n_genes)
    """

    name: str
    encode: Encoder
    W_FG: FloatArray

    def predict(self, cells: pl.DataFrame, genes: Tensor | None = None) -> Tensor:
        """Values of these genes (all when None) in these cells, shape (n_cells, n_genes), float32, log scale."""
        W_FG = self.W_FG if genes is None else self.W_FG[:, genes.numpy()]
        return torch.from_numpy((self.encode(cells) @ W_FG).astype(np.float32))

    def module(self, outputs: Tensor) -> nn.Linear:
        """Return the same as a module: features in, these genes out, shape (n_cells, n_outputs)."""
        weights_TF = torch.from_numpy(self.W_FG[:, outputs.numpy()].T.astype(np.float32))
        module = nn.Linear(weights_TF.shape[1], weights_TF.shape[0], device="meta")  # draws no weights
        module.load_state_dict({"weight": weights_TF, "bias": torch.zeros(len(weights_TF))}, assign=True)
        return module

    def blocks(self, cells: pl.DataFrame, batches: Batches, genes: Tensor) -> Iterator[Tensor]:
        """Yield predictions for the blocks of `batches.in_order()`, whose cells the table lists in order."""
        seen = 0
        for block in batches.in_order():
            yield self.predict(cells[seen : seen + block.shape[0]], genes)
            seen += block.shape[0]


@dataclass(frozen=True)
class WithFeatures:
    """Cells with features as further columns behind their genes.

    Parameters
    ----------
    cells : Cells
    X_CF : numpy.ndarray, shape (n_cells, n_features)
        In the order of `cells.in_order()`.
    """

    cells: Cells
    X_CF: FloatArray

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.cells.n_cells

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in order, in blocks of cells x (genes + features)."""
        seen = 0
        for block in self.cells.in_order():
            X_BF = sparse.csr_matrix(self.X_CF[seen : seen + block.shape[0]].astype(np.float32))
            seen += block.shape[0]
            yield sparse.hstack([block, X_BF], format="csr")


def fit_library_size(batches: Batches, cells: pl.DataFrame) -> Control:
    """Regress every gene on a cubic polynomial of the log library size.

    Library sizes beyond those of the training cells are taken as their least or largest: a cubic must not
    extrapolate.

    Parameters
    ----------
    batches : Batches
        Log-normalised values of the training cells.
    cells : polars.DataFrame
        Their table, in the order of `batches.in_order()`; its `library_size` is read.

    Raises
    ------
    DataError
        If there is no cell, the table has another length, or a library size is not positive.
    """
    low, high = _log_size(cells).min(), _log_size(cells).max()
    half = max((high - low) / 2, 1e-12)

    def encode(cells: pl.DataFrame) -> FloatArray:
        z_C = (np.clip(_log_size(cells), low, high) - low) / half - 1
        return np.asarray(np.polynomial.legendre.legvander(z_C, DEGREE), dtype=np.float64)

    return Control("library_size", encode, _regress(batches, cells, encode))


def fit_cell_type_mean(batches: Batches, cells: pl.DataFrame) -> Control:
    """Take the mean of every gene in the training cells of a type: an oracle, for it is told the type of a test cell.

    Where no cell has a type all are of one, Unknown, and this is the mean over all training cells. So it is for a type
    with fewer than five training cells, or none.

    Parameters
    ----------
    batches, cells
        As in `fit_library_size`; `cell_type` is read.

    Raises
    ------
    DataError
        If there is no cell, or the table has another length.
    """
    counted = cells.group_by("cell_type").len().filter(pl.col("len") >= LEAST_CELLS)
    place = {name: i for i, name in enumerate(sorted(counted["cell_type"]))}

    def encode(cells: pl.DataFrame) -> FloatArray:
        column = cells["cell_type"].replace_strict(place, default=len(place), return_dtype=pl.Int64).to_numpy()
        return np.asarray(np.eye(len(place) + 1)[column], dtype=np.float64)

    W_FG = _regress(batches, cells, encode)
    shares_F = encode(cells).mean(axis=0)
    W_FG[-1] = shares_F @ W_FG
    return Control("cell_type_mean", encode, W_FG)


CONTROLS: dict[str, Callable[[Batches, pl.DataFrame], Control]] = {
    "library_size": fit_library_size,
    "cell_type_mean": fit_cell_type_mean,
}


def _log_size(cells: pl.DataFrame) -> FloatArray:
    size_C = cells["library_size"].to_numpy()
    if not len(size_C) or size_C.min() <= 0:
        raise DataError(
            "cells with library sizes above 0", "none, or a cell without reads", "Check the cell filter in params.yaml."
        )
    return np.asarray(np.log(size_C), dtype=np.float64)


def _regress(batches: Batches, cells: pl.DataFrame, encode: Encoder) -> FloatArray:
    """Least squares of all genes on the features, from sums over blocks; the least norm where features coincide."""
    X_CF = encode(cells)
    return np.asarray(np.linalg.pinv(X_CF.T @ X_CF, hermitian=True) @ _cross(batches.in_order(), X_CF))


def _cross(blocks: Iterable[sparse.csr_matrix], X_CF: FloatArray) -> FloatArray:
    """Sum over cells of feature x value, shape (n_features, n_genes)."""
    seen, cross_FG = 0, np.zeros((X_CF.shape[1], 1))
    for block in blocks:
        X_BF = X_CF[seen : seen + block.shape[0]]
        seen += block.shape[0]
        if len(X_BF) == block.shape[0]:
            cross_FG = cross_FG + (block.T.astype(np.float64) @ X_BF).T
    if seen != len(X_CF) or not seen:
        raise DataError(f"a table of the {seen} cells of the matrix", f"{len(X_CF)} cells", "Give those of the subset.")
    return cross_FG
