"""Raw counts beside the processed values: how the values were made of them, and batches of both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from sclandmarks.errors import DataError
from sclandmarks.learn.task import Task
from sclandmarks.matrix import Batches, to_torch

BASES = (10.0, 2.0, math.e)
TOLERANCE = 1e-4
"""Relative spread of the scale over all values; float32 values leave less than 1e-6."""


class ValueScale(NamedTuple):
    """How values were made of counts: log_base(1 + n / depth).

    Parameters
    ----------
    base, scale : float
        Of the logarithm, and the reads that every cell was scaled to.
    depth_C : numpy.ndarray of float64, shape (n_cells,)
        Reads of each cell that has any, over all genes of the matrix, over `scale`, in order.
    """

    base: float
    scale: float
    depth_C: NDArray[np.float64]

    @property
    def largest(self) -> float:
        """Value of a gene that has all reads of its cell."""
        return math.log1p(self.scale) / math.log(self.base)


class Counted(NamedTuple):
    """Values of the panel, reads of the targets and depth of some cells, dense on the device."""

    x_BL: Tensor
    n_BT: Tensor
    depth_B1: Tensor


def counts_of(task: Task) -> Batches:
    """Raw counts of the training cells.

    Raises
    ------
    DataError
        If the task has none.
    """
    if task.counts is None:
        raise DataError(
            "the raw counts of the training cells, for a loss on counts",
            "processed values alone",
            "Give Task its counts, or choose loss: mse.",
        )
    return task.counts


def read_scale(task: Task) -> ValueScale:
    """Find scale and base of the logarithm from values and counts of the targets, and check every value.

    Depths are of all genes. The panel's values may have been normalised otherwise.

    Raises
    ------
    DataError
        If the task has no counts, or they are not those of the same cells and genes, or the values are not logarithms
        of 1 + scale times the share of the reads, to a base of 2, e or 10.
    """
    low_A, high_A, totals = np.full(len(BASES), np.inf), np.zeros(len(BASES)), []
    is_target_G = np.zeros(task.train.n_genes, dtype=bool)
    is_target_G[task.outputs.cpu().numpy()] = True
    for values, counts in _both(task.train.in_order(), counts_of(task).in_order()):
        total_B = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        is_ours_N = is_target_G[counts.indices]
        share_N = (counts.data / np.repeat(total_B, np.diff(counts.indptr)))[is_ours_N]
        ln_N = values.data[is_ours_N].astype(np.float64)
        for place, base in enumerate(BASES):
            scale_N = np.expm1(ln_N * math.log(base)) / share_N
            low_A[place] = min(low_A[place], scale_N.min(initial=np.inf))
            high_A[place] = max(high_A[place], scale_N.max(initial=0))
        totals.append(total_B[total_B > 0])
    spread_A = high_A / np.maximum(low_A, 1e-30) - 1
    best = int(spread_A.argmin())
    if not (spread_A[best] < TOLERANCE and 0 < low_A[best] < np.inf):
        raise _no_match(f"scales from {low_A[0]:g} to {high_A[0]:g} at base {BASES[0]:g}")
    scale = float(low_A[best] + high_A[best]) / 2
    return ValueScale(BASES[best], scale, np.concatenate(totals) / scale)


def _both(
    values: Iterable[sparse.csr_matrix], counts: Iterable[sparse.csr_matrix]
) -> Iterator[tuple[sparse.csr_matrix, sparse.csr_matrix]]:
    """Yield blocks of values and of counts side by side, their places compared."""
    for value, count in zip_longest(values, counts):
        if value is None or count is None or not _same(value.indptr, count.indptr):
            raise _no_match("counts of other cells, or in other batches")
        if not _same(value.indices, count.indices):
            raise _no_match("values and counts that are not zero at other places")
        yield value, count


def _same(first: NDArray[np.int32], second: NDArray[np.int32]) -> bool:
    return bool(np.array_equal(first, second))


def _no_match(got: str) -> DataError:
    return DataError(
        "values log(1 + scale n / total) of the whole counts n of the same cells and genes",
        got,
        "Run `dvc repro prepare`, or choose loss: mse.",
    )


def counted_batches(task: Task, epoch: int, how: ValueScale) -> Iterator[Counted]:
    """Yield the training cells of an epoch that have reads, dense on the device; of the others nothing is likely.

    Raises
    ------
    DataError
        If the task has no counts, or they come in another order than the values.
    """
    inputs, outputs = task.inputs.to(task.device), task.outputs.to(task.device)
    for values, counts in _both(task.train.epoch(epoch), counts_of(task).epoch(epoch)):
        has_reads_B = np.diff(counts.indptr) > 0
        if not has_reads_B.all():
            values, counts = values[has_reads_B], counts[has_reads_B]
        if not counts.shape[0]:
            continue
        n_BG = to_torch(counts.astype(np.float32), task.device)
        x_BL = to_torch(values, task.device).index_select(1, inputs)
        yield Counted(x_BL, n_BG.index_select(1, outputs), n_BG.sum(1, keepdim=True) / how.scale)
