"""ExpressionMatrix, its checks, the crossing to torch, batches in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse

from sclandmarks.errors import DataError, PanelError, SchemaError
from sclandmarks.matrix import ExpressionMatrix, MemoryBatches, check_counts, to_torch

NOT_COUNTS = {
    "no cells": (np.zeros((0, 3)), "shape"),
    "no genes": (np.zeros((3, 0)), "shape"),
    "zeros only": (np.zeros((2, 2)), "zeros only"),
    "NaN": ([[1, np.nan]], "1 values that are NaN or infinite"),
    "infinity": ([[1, np.inf]], "1 values that are NaN or infinite"),
    "negative": ([[3, -2]], "smallest -2"),
    "fraction": ([[3, 0.5]], "fractions, first 0.5"),
    "beyond int32": ([[1, 2.0**31]], "a value of 2.14748e+09"),
}


def stacked(blocks: Iterable[sparse.csr_matrix]) -> np.ndarray:
    """Rows of all blocks, dense."""
    return sparse.vstack(list(blocks)).toarray()


def test_the_parts_must_agree_in_length(make_matrix) -> None:
    """A matrix with a column too few does not get the gene table of another."""
    whole = make_matrix(4, 3)
    with pytest.raises(DataError, match=r"4 cells x 3 genes.*4 x 2"):
        ExpressionMatrix(whole.X_CG[:, :2], whole.cells, whole.genes)


@pytest.mark.parametrize("part", ["cells", "genes"])
def test_no_cell_or_gene_twice(make_matrix, part: str) -> None:
    """Names are what joins files, so that none stands twice."""
    whole = make_matrix(3, 3)
    twice = {"cells": whole.cells, "genes": whole.genes, part: getattr(whole, part)[[0, 1, 1]]}
    with pytest.raises(SchemaError, match="more than once"):
        ExpressionMatrix(whole.X_CG, **twice)


def test_take_keeps_values_with_their_names(make_matrix) -> None:
    """Cells and genes come in the order asked for, tables alongside."""
    whole = make_matrix(6, 5)
    cells, genes = np.array([4, 0, 3]), np.array([2, 4, 1, 0])
    part = whole.take(cells).take_genes(genes)
    np.testing.assert_array_equal(part.X_CG.toarray(), whole.X_CG.toarray()[np.ix_(cells, genes)])
    assert part.cells["cell_id"].to_list() == ["toy/4", "toy/0", "toy/3"]
    assert part.genes["gene_id"].to_list() == ["g2", "g4", "g1", "g0"]
    assert (part.n_cells, part.n_genes, part.X_CG.format) == (3, 4, "csr")


def test_absent_genes_are_counted_and_named(make_matrix) -> None:
    """A panel of another matrix is refused with the genes that are missing."""
    with pytest.raises(PanelError, match="2 that are not there, first TP53, MYC"):
        make_matrix(2, 3).positions(["g1", "TP53", "MYC"])


@pytest.mark.parametrize("fault", NOT_COUNTS)
def test_check_counts_refuses(fault: str) -> None:
    """What is not a count is refused with the offending value."""
    values, words = NOT_COUNTS[fault]
    with pytest.raises(DataError) as caught:
        check_counts(sparse.csr_matrix(np.asarray(values, dtype=np.float64)))
    assert words in str(caught.value)


def test_check_counts_accepts_the_largest_int32() -> None:
    """The bound itself is a count."""
    assert check_counts(sparse.csr_matrix([[2**31 - 1]])).data.tolist() == [2**31 - 1]


def test_check_counts_tidies_a_copy() -> None:
    """Explicit zeros, disorder and double entries go; the caller's matrix stays as it was."""
    parts = np.array([2.0, 0, 3, 1, 1]), np.array([2, 1, 1, 0, 0]), np.array([0, 2, 5])
    given = sparse.csr_matrix(tuple(part.copy() for part in parts), shape=(2, 3))
    counts = check_counts(given)
    assert (counts.dtype, counts.nnz, counts.has_canonical_format) == (np.int32, 3, True)
    np.testing.assert_array_equal(counts.toarray(), [[0, 0, 2], [2, 3, 0]])
    for before, after in zip(parts, (given.data, given.indices, given.indptr), strict=True):
        np.testing.assert_array_equal(before, after)


def test_to_torch_of_memory_that_may_not_be_written() -> None:
    """Columns read from Arrow are read-only; torch gets a copy and does not warn."""
    data = np.array([1, 2], dtype=np.float32)
    data.flags.writeable = False
    X_CG = sparse.csr_matrix((data, [0, 1], [0, 1, 2]), shape=(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(to_torch(X_CG), torch.tensor([[1.0, 0.0], [0.0, 2.0]]))


def test_memory_batches_give_every_cell_once(make_matrix) -> None:
    """An epoch is a shuffle of the rows by (seed, epoch); `in_order` is the matrix itself."""
    X_CG = make_matrix(counts=np.arange(1, 11)[:, None]).X_CG
    batches = MemoryBatches(X_CG, batch_size=4, seed=1)
    first, second = stacked(batches.epoch(0)), stacked(batches.epoch(1))
    assert [block.shape[0] for block in batches.epoch(0)] == [4, 4, 2]
    assert sorted(first.ravel()) == sorted(second.ravel()) == list(range(1, 11))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, stacked(MemoryBatches(X_CG, batch_size=4, seed=1).epoch(0)))
    assert not np.array_equal(first, stacked(MemoryBatches(X_CG, batch_size=4, seed=2).epoch(0)))
    np.testing.assert_array_equal(stacked(batches.in_order()), X_CG.toarray())
    assert (batches.n_cells, batches.n_genes) == X_CG.shape


class Doubled:
    """Maps every cell to its first two genes, doubled."""

    n_genes = 2

    def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Map a block."""
        return 2 * block[:, :2]


def test_mapped_batches_are_the_same_cells() -> None:
    """In the same order, in epochs too."""
    X_CG = sparse.csr_matrix(np.arange(1, 31).reshape(10, 3))
    whole = MemoryBatches(X_CG, batch_size=4, seed=1)
    mapped = whole.mapped(Doubled())
    assert (mapped.n_cells, mapped.n_genes, mapped.batch_size) == (10, 2, 4)
    for given, found in ((whole.in_order(), mapped.in_order()), (whole.epoch(3), mapped.epoch(3))):
        for one, two in zip(given, found, strict=True):
            np.testing.assert_array_equal(two.toarray(), 2 * one[:, :2].toarray())


def test_tables_must_follow_their_schema(make_matrix) -> None:
    """A cell table without a column is refused when the matrix is made."""
    whole = make_matrix(2, 2)
    with pytest.raises(SchemaError, match="donor"):
        ExpressionMatrix(whole.X_CG, whole.cells.select(pl.exclude("donor")), whole.genes)
