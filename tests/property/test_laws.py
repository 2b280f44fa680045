"""Laws that hold for every matrix."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from polars.testing import assert_frame_equal
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.matrices import read_matrix, write_matrix
from sclandmarks.matrix import check_counts, to_torch
from sclandmarks.moments import LEAST, gather

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
READS = st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 300))
COUNTS = hnp.arrays(np.int32, SHAPES, elements=READS)
BIG = hnp.arrays(np.float64, SHAPES, elements=st.one_of(st.just(0.0), st.integers(0, 2**31 - 1).map(float)))
TYPES = st.sampled_from([np.uint16, np.int32, np.int64, np.float32, np.float64])


@st.composite
def untidy(draw: st.DrawFn) -> tuple[np.ndarray, sparse.csr_matrix]:
    """Draw counts, dense and as a CSR with unsorted columns and explicit zeros, of any type."""
    dense = draw(COUNTS)
    assume(dense.any())
    n_cells, n_genes = dense.shape
    indices = np.concatenate([draw(st.permutations(range(n_genes))) for _ in range(n_cells)])
    data = dense[np.repeat(np.arange(n_cells), n_genes), indices].astype(draw(TYPES))
    return dense, sparse.csr_matrix((data, indices, np.arange(n_cells + 1) * n_genes), shape=dense.shape)


@given(counts=COUNTS, power=st.floats(0.1, 2))
def test_write_read_is_the_identity(make_matrix: Any, counts: np.ndarray, power: float) -> None:
    """Counts, values and both tables, to the last bit."""
    matrix = make_matrix(counts=counts)
    value = matrix.X_CG.astype(np.float32).power(power)
    with tempfile.TemporaryDirectory() as name:
        write_matrix(Path(name), matrix, value)
        got_counts, got_values = read_matrix(Path(name), "count"), read_matrix(Path(name), "value")
    np.testing.assert_array_equal(got_counts.X_CG.toarray(), counts)
    np.testing.assert_array_equal(got_values.X_CG.toarray(), value.toarray())
    assert_frame_equal(got_counts.cells, matrix.cells)
    assert_frame_equal(got_values.genes, matrix.genes)


@given(pair=untidy())
def test_to_torch_is_the_dense_matrix(pair: tuple[np.ndarray, sparse.csr_matrix]) -> None:
    """Sparse and dense say the same, whatever the order of the columns."""
    dense, X_CG = pair
    assert torch.equal(to_torch(X_CG), torch.from_numpy(dense.astype(np.float32)))


@given(counts=COUNTS, data=st.data())
def test_moments_are_those_of_the_dense_matrix(counts: np.ndarray, data: st.DataObject) -> None:
    """For any rows, and any cut of the cells into blocks; of rows that hardly vary they are zero."""
    n_cells, n_genes = counts.shape
    rows = data.draw(st.lists(st.integers(0, n_genes - 1), min_size=1))
    cuts = sorted(data.draw(st.sets(st.integers(1, n_cells))) | {0, n_cells})
    blocks = [sparse.csr_matrix(counts[a:b]) for a, b in pairwise(cuts)]
    moments = gather(blocks, torch.tensor(rows))
    mean_G = counts.mean(axis=0)
    flat = np.isin(np.arange(n_genes), rows) & (counts.var(axis=0) <= LEAST * mean_G**2)
    centred_CG = np.where(flat, 0, counts - mean_G)
    np.testing.assert_allclose(moments.mean_G, mean_G, rtol=1e-12)
    np.testing.assert_allclose(moments.S_LG, centred_CG[:, rows].T @ centred_CG, rtol=1e-9, atol=1e-6)
    assert moments.n_cells == n_cells


@given(n_genes=st.integers(1, 12), data=st.data())
def test_positions_invert_take_genes(make_matrix: Any, n_genes: int, data: st.DataObject) -> None:
    """Genes taken at some positions are found at these, and in the part at 0, 1, 2, ..."""
    whole = make_matrix(3, n_genes)
    positions = np.array(data.draw(st.lists(st.integers(0, n_genes - 1), unique=True)), dtype=np.int64)
    part = whole.take_genes(positions)
    names = part.genes["gene_id"].to_list()
    assert whole.positions(names).tolist() == positions.tolist()
    assert part.positions(names).tolist() == list(range(len(names)))
    np.testing.assert_array_equal(part.X_CG.toarray(), whole.X_CG.toarray()[:, positions])


@given(pair=untidy())
def test_check_counts_keeps_values_and_tidies(pair: tuple[np.ndarray, sparse.csr_matrix]) -> None:
    """The same counts as int32, sorted, without explicit zeros; the input is untouched; twice is once."""
    dense, X_CG = pair
    before = X_CG.data.copy(), X_CG.indices.copy(), X_CG.indptr.copy()
    counts = check_counts(X_CG)
    np.testing.assert_array_equal(counts.toarray(), dense)
    assert (counts.dtype, counts.nnz, counts.has_canonical_format) == (np.int32, np.count_nonzero(dense), True)
    for old, new in zip(before, (X_CG.data, X_CG.indices, X_CG.indptr), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(check_counts(counts).toarray(), dense)


@given(dense=BIG)
def test_check_counts_keeps_every_int32(dense: np.ndarray) -> None:
    """No count loses a digit, up to the largest."""
    assume(dense.any())
    np.testing.assert_array_equal(check_counts(sparse.csr_matrix(dense)).toarray(), dense)


@given(
    counts=COUNTS,
    wrong=st.one_of(st.floats(0.001, 0.999), st.floats(-1e6, -1), st.sampled_from([np.nan, np.inf, 2.0**31])),
    data=st.data(),
)
def test_one_wrong_value_anywhere_is_refused(counts: np.ndarray, wrong: float, data: st.DataObject) -> None:
    """Fractions, negative, not finite or too large: one is enough."""
    dense = counts.astype(np.float64)
    dense.flat[data.draw(st.integers(0, dense.size - 1))] = wrong
    with pytest.raises(DataError, match="raw counts"):
        check_counts(sparse.csr_matrix(dense))
