"""scprep on our sparse matrices: the only importer of scprep.

scprep's limits are exclusive (`> cutoff`); ours are inclusive, as the study words them.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def _scprep() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scprep

    return cast(ModuleType, scprep)


def large_enough_cells(counts: sparse.csr_matrix, min_library_size: int) -> NDArray[np.int64]:
    """Positions of cells with at least `min_library_size` reads over all genes.

    Parameters
    ----------
    counts : scipy.sparse.csr_matrix of int32, shape (n_cells, n_genes)
    min_library_size : int
        Reads.
    """
    place = np.arange(counts.shape[0])
    _, kept = _scprep().filter.filter_library_size(counts, place, cutoff=min_library_size - 0.5, keep_cells="above")
    return np.asarray(kept, dtype=np.int64).reshape(-1)


def expressed_genes(counts: sparse.csr_matrix, min_reads: int, min_cells: int) -> NDArray[np.int64]:
    """Positions of genes with at least `min_reads` reads in at least `min_cells` of these cells."""
    captured = _scprep().measure.gene_capture_count(counts, cutoff=min_reads - 0.5)
    return np.flatnonzero(np.asarray(captured) >= min_cells)


def log_normalise(counts: sparse.csr_matrix, scale: float, base: Literal[2, 10, "e"]) -> sparse.csr_matrix:
    """Scale every cell to `scale` reads, then log(x + 1).

    A cell without reads stays zero, also where all are. scprep's log takes a sparse matrix's smallest value for its
    pseudocount when no entry is zero, so it is given the non-zero values alone; log(0 + 1) = 0 keeps the others.

    Returns
    -------
    scipy.sparse.csr_matrix of float32, shape (n_cells, n_genes)
        With the non-zero places of `counts`.
    """
    if not counts.nnz:
        return counts.astype(np.float32)
    scprep = _scprep()
    scaled = sparse.csr_matrix(scprep.normalize.library_size_normalize(counts.astype(np.float64), rescale=scale))
    values = scprep.transform.log(scaled.data.reshape(-1, 1), pseudocount=1, base=base).reshape(-1)
    return sparse.csr_matrix((values.astype(np.float32), scaled.indices, scaled.indptr), shape=counts.shape)
