"""scprep beside current pandas and numpy, and where its limits differ from the study's."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
from packaging.version import Version
from scipy import sparse

from sclandmarks.prep import scprep_adapter
from sclandmarks.prep.scprep_adapter import expressed_genes, large_enough_cells, log_normalise


def test_scprep_works_beside_the_locked_pandas_and_numpy() -> None:
    """Guards overrides.txt: scprep asks for pandas < 2.1, and must import and compute with the one of the lock."""
    assert Version(version("pandas")) >= Version("2.2")
    assert Version(version("numpy")) >= Version("2")
    scprep = scprep_adapter._scprep()
    normalised = scprep.normalize.library_size_normalize(sparse.csr_matrix([[1.0, 3.0]]), rescale=8)
    assert normalised.toarray().tolist() == [[2, 6]]


def test_a_cell_of_exactly_the_limit_is_kept() -> None:
    """The study removes library sizes below 1000: 1000 itself stays, though scprep's limits are exclusive."""
    counts = sparse.csr_matrix(np.array([[999, 0], [999, 1], [1000, 1], [0, 0]], dtype=np.int32))
    assert large_enough_cells(counts, 1000).tolist() == [1, 2]
    assert large_enough_cells(counts, 0).tolist() == [0, 1, 2, 3]
    assert large_enough_cells(counts, 2000).tolist() == []


def test_a_gene_of_exactly_three_reads_in_five_cells_is_kept() -> None:
    """At least 3 reads in at least 5 cells, both inclusive."""
    genes_GC = [[3, 3, 3, 3, 3, 0], [3, 3, 3, 3, 2, 2], [9, 9, 9, 9, 0, 0], [2, 2, 2, 2, 2, 2], [0, 9, 9, 3, 3, 3]]
    counts = sparse.csr_matrix(np.array(genes_GC, dtype=np.int32).T)
    assert expressed_genes(counts, 3, 5).tolist() == [0, 4]
    assert expressed_genes(counts, 4, 5).tolist() == []


@pytest.mark.parametrize(("base", "log"), [(2, np.log2), (10, np.log10), ("e", np.log)])
@pytest.mark.parametrize("smallest", [0, 2], ids=["with zeros", "fully dense"])
def test_log_normalise_is_its_formula(base: Any, log: Any, smallest: int) -> None:
    """log(scale x / total + 1) also when no entry is zero, where scprep alone would shift its pseudocount."""
    counts_CG = np.random.default_rng(0).integers(smallest, 6, (7, 5)).astype(np.int32)
    got = log_normalise(sparse.csr_matrix(counts_CG), 1e4, base)
    want_CG = log(1e4 * counts_CG / counts_CG.sum(axis=1, keepdims=True) + 1)
    np.testing.assert_allclose(got.toarray(), want_CG, rtol=1e-6)
    assert got.dtype == np.float32


def test_places_stay_and_empty_cells_are_zero() -> None:
    """Values stand at the places of the counts, which are not touched; a cell without reads does not become NaN."""
    counts = sparse.csr_matrix(np.array([[0, 4, 0], [0, 0, 0], [1, 0, 1]], dtype=np.int32))
    before = counts.copy()
    values = log_normalise(counts, 10, 10)
    np.testing.assert_array_equal(values.indptr, counts.indptr)
    np.testing.assert_array_equal(values.indices, counts.indices)
    np.testing.assert_array_equal(counts.toarray(), before.toarray())
    assert values.toarray()[1].tolist() == [0, 0, 0]
    none = log_normalise(sparse.csr_matrix((2, 3), dtype=np.int32), 10, 10)
    assert (none.shape, none.nnz, none.dtype) == ((2, 3), 0, np.float32)
