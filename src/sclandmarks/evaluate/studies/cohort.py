"""Training, validation and test cells in memory; panels chosen from the first two alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from sclandmarks.errors import DataError
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import ExpressionMatrix, IntArray, MemoryBatches, gene_positions
from sclandmarks.params import Panel
from sclandmarks.select import SELECTORS, SelectionTask

SUBSETS = ("train", "validation", "test")


class Cohort(NamedTuple):
    """The cells of the three subsets, on the same genes."""

    train: ExpressionMatrix
    validation: ExpressionMatrix
    test: ExpressionMatrix


def divide(matrix: ExpressionMatrix, split: pl.DataFrame) -> Cohort:
    """Take the cells of each subset, in the order of the matrix.

    Parameters
    ----------
    matrix : ExpressionMatrix
    split : polars.DataFrame
        As `schema.SPLIT`; cells of other subsets are left out.

    Raises
    ------
    DataError
        If a subset has no cell in the matrix.
    """
    subset = matrix.cells.join(split, on="cell_id", how="left", maintain_order="left")["subset"]
    rows = [np.flatnonzero((subset == name).fill_null(False).to_numpy()) for name in SUBSETS]
    for name, found in zip(SUBSETS, rows, strict=True):
        if not len(found):
            raise DataError(f"cells of the subset {name}", "none", "Change split in params.yaml, or give more cells.")
    return Cohort(*(matrix.take(found) for found in rows))


def subsample(cohort: Cohort, fraction: float, seed: list[int]) -> Cohort:
    """Draw this part of the training and of the validation cells, without replacement; test cells stay.

    At least two cells are drawn of each.
    """
    rng = np.random.default_rng(seed)
    train, validation = (_part(matrix, fraction, rng) for matrix in (cohort.train, cohort.validation))
    return Cohort(train, validation, cohort.test)


def _part(matrix: ExpressionMatrix, fraction: float, rng: np.random.Generator) -> ExpressionMatrix:
    n_cells = min(matrix.n_cells, max(2, round(fraction * matrix.n_cells)))
    return matrix.take(np.sort(rng.permutation(matrix.n_cells)[:n_cells]))


def is_seeded(panel: Panel) -> bool:
    """Whether a panel depends on a seed; greedy selection does so only where it is denoised."""
    return "seed" in type(panel).model_fields and bool(getattr(panel, "denoised", True))


def reseeded(panel: Panel, repeat: int) -> Panel:
    """Return the panel's settings with the seed of a repeat; repeat 0 keeps its own."""
    return panel.model_copy(update={"seed": getattr(panel, "seed") + repeat}) if is_seeded(panel) else panel  # noqa: B009


def choose(panel: Panel, cohort: Cohort, n_landmarks: int) -> IntArray:
    """Columns of the panel's genes, first choice first; its first n are the panel of n genes.

    Parameters
    ----------
    panel : Panel
    cohort : Cohort
        Normalised values; test cells are not looked at.
    n_landmarks : int
        Cut to one gene fewer than there are. L1000 has its own size whatever is asked.
    """
    size, seed = getattr(panel, "batch_size", 256), getattr(panel, "seed", 0)
    train, validation = (MemoryBatches(matrix.X_CG, size, seed) for matrix in cohort[:2])
    genes = cohort.train.genes
    task = SelectionTask(train, validation, genes, min(n_landmarks, genes.height - 1), cells=cohort.train.cells)
    chosen = SELECTORS[panel.selector](task, panel, Hooks()).panel.sort("rank")
    return gene_positions(genes, chosen["gene_id"].to_list())
