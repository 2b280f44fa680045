"""Counts beside values: how values were made is found, and refused where it is something else."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io import matrices
from sclandmarks.io.batches import ParquetBatches
from sclandmarks.io.matrices import MatrixFile, write_matrix
from sclandmarks.learn.counts import counted_batches, counts_of, read_scale
from sclandmarks.learn.task import Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.prep.scprep_adapter import log_normalise


def task_of(values: sparse.csr_matrix, counts: sparse.csr_matrix | None, size: int = 7) -> Task:
    """Three panel genes, the others to predict."""
    raw = None if counts is None else MemoryBatches(counts, size)
    train = MemoryBatches(values, size)
    return Task(train, train, *split_genes(values.shape[1], [3, 0, 5]), counts=raw)


def some_counts(seed: int = 0, mean: float = 2.0) -> sparse.csr_matrix:
    """Thirty cells x 12 genes, cells of other depths."""
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.poisson(mean * rng.uniform(0.5, 5, (30, 1)), (30, 12)).astype(np.int32))


class Ordered(MemoryBatches):
    """The same cells, not shuffled."""

    def __init__(self, cells: MemoryBatches) -> None:
        super().__init__(cells.X_CG, cells.batch_size)

    def epoch(self, epoch: int):
        """In the order of the matrix."""
        return self.in_order()


@pytest.mark.parametrize("base", [2, 10, "e"])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e6])
def test_scale_and_base_are_found_from_values_and_counts(base, scale: float) -> None:
    """As prepare makes values, in float32; the depth is the reads over the scale."""
    counts = some_counts()
    how = read_scale(task_of(log_normalise(counts, scale, base), counts))
    assert how.base == (math.e if base == "e" else base)
    assert how.scale == pytest.approx(scale, rel=1e-5)
    np.testing.assert_allclose(how.depth_C * how.scale, counts.toarray().sum(1), rtol=1e-12)
    assert how.largest == pytest.approx(math.log(1 + scale) / math.log(how.base), rel=1e-5)


def test_wide_counts_are_checked_as_well() -> None:
    """From one read to a million in cells of as many."""
    counts = sparse.csr_matrix(np.array([[1, 10, 1_000_000, 3], [2, 1, 0, 5], [1_000, 7, 1, 1]], dtype=np.int32))
    task = Task(
        *[MemoryBatches(log_normalise(counts, 1e4, 10))] * 2, *split_genes(4, [0]), counts=MemoryBatches(counts)
    )
    assert read_scale(task).scale == pytest.approx(1e4, rel=1e-5)


def test_without_counts_it_says_what_is_missing() -> None:
    """And which setting does without."""
    with pytest.raises(DataError, match=r"raw counts of the training cells.*loss: mse"):
        counts_of(task_of(log_normalise(some_counts(), 1e4, 10), None))


@pytest.mark.parametrize(
    "change", ["one value", "other cells", "other places", "fewer cells", "square roots", "halves"]
)
def test_values_that_are_not_of_these_counts_are_refused(change: str) -> None:
    """One changed value is enough."""
    counts = some_counts()
    values, other = log_normalise(counts, 1e4, 10), counts
    if change == "one value":
        values.data[np.flatnonzero(values.indices == 4)[3]] *= 1.001
    elif change == "other reads":
        other = sparse.csr_matrix((counts.data[::-1], counts.indices, counts.indptr), shape=counts.shape)
    elif change == "other places":
        other = some_counts(seed=1)
    elif change == "fewer cells":
        other = counts[:20]
    elif change == "roots":
        values = counts.astype(np.float32).sqrt()
    else:
        values = (values / 2).tocsr()
    with pytest.raises(DataError, match=r"log\(1 \+ scale n / total\)"):
        read_scale(task_of(values, other))


def test_a_panel_that_is_normalised_otherwise_is_none_of_its_business() -> None:
    """Values of the panel may be anything; those of the targets are checked, and the depth is of all genes."""
    counts = some_counts()
    values = log_normalise(counts, 1e4, 10)
    values.data[np.isin(values.indices, [3, 0, 5])] *= 3
    task = task_of(values, counts)
    how = read_scale(task)
    assert how.scale == pytest.approx(1e4, rel=1e-5)
    np.testing.assert_allclose(how.depth_C * how.scale, counts.toarray().sum(1), rtol=1e-4)
    batch, pair = next(counted_batches(task, 0, how)), next(task.pairs(task.train.epoch(0)))
    assert torch.equal(batch.x_BL, pair.x_BL)


def test_counts_in_another_order_are_refused() -> None:
    """Of another seed: the same cells in order, but not in an epoch."""
    counts = some_counts()
    task = task_of(log_normalise(counts, 1e4, 10), counts)
    shuffled = replace(task, counts=MemoryBatches(counts, 7, seed=1))
    with pytest.raises(DataError, match="in other batches"):
        list(counted_batches(shuffled, 1, read_scale(shuffled)))


def test_batches_hold_values_reads_and_depths_of_the_same_cells() -> None:
    """In the order of the epoch of the values."""
    counts = some_counts()
    values = log_normalise(counts, 1e4, 10)
    task = task_of(values, counts)
    how = read_scale(task)
    pairs = list(task.pairs(task.train.epoch(3)))
    batches = list(counted_batches(task, 3, how))
    assert len(batches) == len(pairs) == 5
    for batch, pair in zip(batches, pairs, strict=True):
        assert torch.equal(batch.x_BL, pair.x_BL)
        torch.testing.assert_close(torch.log10(1 + batch.n_BT / batch.depth_B1), pair.y_BT, rtol=1e-5, atol=1e-6)
        assert torch.equal(batch.n_BT, batch.n_BT.round())
        assert batch.depth_B1.shape == (len(batch.x_BL), 1)


def test_cells_without_reads_are_left_out() -> None:
    """Their depth is 0, of which nothing is likely; a batch of them alone is none, and the others are as without."""
    dense = some_counts().toarray()
    dense[[2, *range(7, 14)]] = 0
    counts = sparse.csr_matrix(dense)
    task = task_of(log_normalise(counts, 1e4, 10), counts)
    how = read_scale(task)
    assert len(how.depth_C) == 22
    assert how.depth_C.min() > 0
    in_order = replace(task, train=Ordered(task.train), counts=Ordered(task.counts))
    batches = list(counted_batches(in_order, 0, how))
    assert [len(batch.x_BL) for batch in batches] == [6, 7, 7, 2]
    assert torch.cat([batch.depth_B1 for batch in batches]).squeeze(1).tolist() == pytest.approx(how.depth_C.tolist())


def test_streamed_counts_come_in_the_order_of_the_values(planted, tmp_path: Path) -> None:
    """From a file of several row groups, for which scale and order are those of memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "ROWS_PER_GROUP", 48)
        write_matrix(tmp_path, planted.counts, planted.values)
    values = ParquetBatches(MatrixFile(tmp_path), np.arange(300), 32, seed=2)
    task = Task(values, values, *split_genes(80, planted.positions), counts=replace(values, values="count", _cache={}))
    how = read_scale(task)
    assert (how.base, how.scale) == (10, pytest.approx(1e4, rel=1e-5))
    for batch, pair in zip(counted_batches(task, 1, how), task.pairs(values.epoch(1)), strict=True):
        assert torch.equal(batch.x_BL, pair.x_BL)
        torch.testing.assert_close(torch.log10(1 + batch.n_BT / batch.depth_B1), pair.y_BT, rtol=1e-5, atol=1e-6)
