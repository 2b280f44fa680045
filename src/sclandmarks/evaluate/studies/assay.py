"""What an assay of a panel measures: noise on its counts, and normalisation by the panel's own total."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.params import LogBase
from sclandmarks.prep.scprep_adapter import log_normalise


def thin(counts_CL: sparse.csr_matrix, kept_C: NDArray[np.float64], rng: np.random.Generator) -> sparse.csr_matrix:
    """Keep every molecule of a cell with the cell's probability, independently (binomial)."""
    probability = np.repeat(kept_C, np.diff(counts_CL.indptr))
    return _with_data(counts_CL, rng.binomial(counts_CL.data, probability))


def lower_efficiency(counts_CL: sparse.csr_matrix, level: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """See only this part of the molecules."""
    return thin(counts_CL, np.full(counts_CL.shape[0], level), rng)


def drop_genes(counts_CL: sparse.csr_matrix, level: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Lose this part of the panel's genes in every cell, at least one and never all: their probes fail."""
    n_genes = counts_CL.shape[1]
    n_lost = min(max(1, round(level * n_genes)), n_genes - 1)
    kept_L = np.ones(n_genes, dtype=counts_CL.dtype)
    kept_L[rng.permutation(n_genes)[:n_lost]] = 0
    return _with_data(counts_CL, counts_CL.data * kept_L[counts_CL.indices])


def saturate(counts_CL: sparse.csr_matrix, level: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Tell apart no more than so many molecules of a gene in a cell."""
    return _with_data(counts_CL, np.minimum(counts_CL.data, int(level)))


def crowd(counts_CL: sparse.csr_matrix, level: float, rng: np.random.Generator) -> sparse.csr_matrix:
    """Optical crowding: t molecules fall on `level` spots at random, and a spot shows one molecule at most.

    On average level (1 - exp(-t / level)) spots are lit, so each molecule is kept with that over t.
    """
    total_C = np.asarray(counts_CL.sum(axis=1), dtype=np.float64).ravel()
    lit_C = level * -np.expm1(-total_C / level)
    return thin(counts_CL, np.divide(lit_C, total_C, out=np.ones_like(lit_C), where=total_C > 0), rng)


NOISES = {"efficiency": lower_efficiency, "dropout": drop_genes, "saturation": saturate, "crowding": crowd}


def panel_values(counts_CL: sparse.csr_matrix, scale: float, base: LogBase) -> sparse.csr_matrix:
    """Normalise every cell by the total of the panel's own counts, then log(x + 1); a cell without reads stays zero.

    Parameters
    ----------
    counts_CL : scipy.sparse.csr_matrix of int
    scale : float
        Reads of every cell afterwards: `prepare.scale` times the panel's usual share of the reads, see `panel_share`.
    base : {2, 10, "e"}
    """
    return log_normalise(counts_CL, scale, base)


def panel_share(counts_CG: sparse.csr_matrix, panel: NDArray[np.int64]) -> float:
    """Part of all reads of these cells that lies in the panel's genes."""
    return float(counts_CG[:, panel].sum() / counts_CG.sum())


def _with_data(counts_CL: sparse.csr_matrix, data: NDArray[np.integer]) -> sparse.csr_matrix:
    changed = sparse.csr_matrix(
        (data.astype(np.int32), counts_CL.indices.copy(), counts_CL.indptr.copy()), shape=counts_CL.shape
    )
    changed.eliminate_zeros()
    return changed
