"""The processed matrix: cells filtered, genes filtered on training cells, normalised, logged, rows shuffled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import PrepareParams
from sclandmarks.prep.scprep_adapter import expressed_genes, large_enough_cells, log_normalise
from sclandmarks.schema import UNKNOWN

log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """Counts of the kept cells x genes, and their normalised values at the same places."""

    counts: ExpressionMatrix
    value: sparse.csr_matrix


def filter_cells(matrix: ExpressionMatrix, settings: PrepareParams) -> ExpressionMatrix:
    """Keep cells with at least `min_library_size` reads.

    Raises
    ------
    DataError
        If none is left.
    """
    kept = large_enough_cells(matrix.X_CG, settings.min_library_size)
    if not len(kept):
        raise DataError(
            f"cells with at least {settings.min_library_size} reads",
            f"none; the largest has {matrix.cells['library_size'].max()!r}",
            "Lower prepare.min_library_size in params.yaml.",
        )
    return matrix.take(kept)


def prepare(matrix: ExpressionMatrix, split: pl.DataFrame, settings: PrepareParams, seed: int) -> Prepared:
    """Filter genes on the training cells, normalise every cell, shuffle the cells once.

    Nothing is learned from validation or test cells. Normalisation scales by the total over the kept genes.

    Parameters
    ----------
    matrix : ExpressionMatrix
        Counts of the cells that passed `filter_cells`.
    split : polars.DataFrame
        As `schema.SPLIT`; may name more cells.
    settings : PrepareParams
    seed : int
        Of the order of the rows, in which cell types and data sets are mixed.

    Raises
    ------
    DataError
        If no gene passes, or a cell is not in the split.
    """
    subset = matrix.cells.join(split, on="cell_id", how="left", maintain_order="left")["subset"]
    if subset.null_count():
        raise DataError(
            "every cell in the split", f"{subset.null_count()} that are not", "Run `dvc repro` from split on."
        )
    train = np.flatnonzero((subset == "train").to_numpy())
    genes = expressed_genes(matrix.X_CG[train], settings.min_reads, settings.min_cells)
    if not len(genes):
        raise DataError(
            f"genes with {settings.min_reads} reads in {settings.min_cells} of {len(train)} training cells",
            "none",
            "Lower prepare.min_reads or prepare.min_cells in params.yaml.",
        )
    order = np.random.default_rng(seed).permutation(matrix.n_cells)
    counts = _with_reads(matrix.take_genes(genes).take(order))
    return Prepared(counts, normaliser(settings)(counts.X_CG))


def normaliser(settings: PrepareParams) -> Callable[[sparse.csr_matrix], sparse.csr_matrix]:
    """What makes processed values of counts of the kept genes."""
    return partial(log_normalise, scale=settings.scale, base=settings.log_base)


def _with_reads(counts: ExpressionMatrix) -> ExpressionMatrix:
    """Drop cells all of whose reads lie in genes that were dropped: they cannot be normalised."""
    kept = np.flatnonzero(np.diff(counts.X_CG.indptr) > 0)
    if len(kept) < counts.n_cells:
        log.warning("%d cells have no reads in the kept genes and are dropped", counts.n_cells - len(kept))
    return counts.take(kept)


def summarise(matrix: ExpressionMatrix, dataset: str, when: str) -> dict[str, object]:
    """One row of `schema.SUMMARY`: cells, genes with reads, types, sparsity, median library size."""
    n_genes = len(np.unique(matrix.X_CG.indices))
    return {
        "dataset": dataset,
        "when": when,
        "n_cells": matrix.n_cells,
        "n_genes": n_genes,
        "n_cell_types": matrix.cells.filter(pl.col("cell_type") != UNKNOWN)["cell_type"].n_unique(),
        "sparsity": 1 - matrix.X_CG.nnz / (matrix.n_cells * max(n_genes, 1)),
        "median_library_size": float(np.median(np.asarray(matrix.X_CG.sum(axis=1)))),
    }


def summarise_each(matrix: ExpressionMatrix) -> list[dict[str, object]]:
    """Rows of `schema.SUMMARY` after the filters: every data set, and all together when there are several."""
    datasets = matrix.cells["dataset"].unique(maintain_order=True).to_list()
    rows = [
        summarise(matrix.take(np.flatnonzero((matrix.cells["dataset"] == name).to_numpy())), name, "after")
        for name in datasets
    ]
    return rows if len(rows) == 1 else [*rows, summarise(matrix, "all", "after")]
