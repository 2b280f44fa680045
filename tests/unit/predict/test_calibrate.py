"""Slopes of genes: found where planted, drawn together where they are noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import sparse

from sclandmarks.learn.task import Task
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import KernelPredictor
from sclandmarks.predict.calibrate import HIGHEST, Part, cross_fitted_slopes, shrink

N_CELLS = 3000


def sums(slope_T: np.ndarray, noise: float, n_cells: int = N_CELLS) -> torch.Tensor:
    """p y, p^2 and y^2 summed over cells whose y is slope x p and noise."""
    rng = np.random.default_rng(0)
    p_CT = rng.normal(size=(n_cells, len(slope_T)))
    y_CT = p_CT * slope_T + noise * rng.normal(size=p_CT.shape)
    return torch.from_numpy(np.stack([(p_CT * y_CT).sum(0), (p_CT**2).sum(0), (y_CT**2).sum(0)]))


def test_slopes_that_differ_are_found() -> None:
    """With little noise each gene's own; their mean and spread."""
    slope_T = np.random.default_rng(1).normal(0.9, 0.2, 300).clip(0.1, 1.4)
    found = shrink(*sums(slope_T, 0.5), n_cells=N_CELLS)
    np.testing.assert_allclose(found.slope_T, slope_T, atol=0.08)
    assert found.mean == pytest.approx(slope_T.mean(), abs=0.04)
    assert found.deviation == pytest.approx(slope_T.std(), abs=0.03)


def test_slopes_that_are_one_number_and_noise_become_that_number() -> None:
    """Sampling error is no difference: the spread left is a small part of that of the raw slopes."""
    py_T, pp_T, yy_T = sums(np.full(300, 0.8), 10.0)
    found = shrink(py_T, pp_T, yy_T, n_cells=N_CELLS)
    assert float(found.slope_T.std()) < 0.4 * float((py_T / pp_T).std())
    assert found.mean == pytest.approx(0.8, abs=0.05)


def test_shrunk_slopes_predict_better_than_raw_ones() -> None:
    """Squared distance to the truth, where noise and differences are alike in size."""
    slope_T = np.random.default_rng(1).normal(0.9, 0.15, 500)
    py_T, pp_T, yy_T = sums(slope_T, 8.0)
    shrunk, raw = shrink(py_T, pp_T, yy_T, n_cells=N_CELLS).slope_T.numpy(), (py_T / pp_T).numpy()
    assert np.square(shrunk - slope_T).mean() < 0.7 * np.square(raw - slope_T).mean()
    assert np.square(shrunk - slope_T).mean() < np.square(0.9 - slope_T).mean()


def test_genes_without_variance_or_predictions_do_no_harm() -> None:
    """They count for nothing and get the common slope; all slopes lie in bounds."""
    py_T, pp_T, yy_T = sums(np.array([1.0, 0.8, 1.2, -3.0, 9.0]), 0.5)
    for place, values in enumerate(([0.0, 0, 5], [0.0, 0, 0])):
        py_T[place], pp_T[place], yy_T[place] = values
    slope_T = shrink(py_T, pp_T, yy_T, n_cells=N_CELLS).slope_T
    assert slope_T.isfinite().all()
    assert slope_T.min() >= 0
    assert slope_T.max() <= HIGHEST
    assert shrink(*torch.zeros(3, 4).double(), n_cells=9).slope_T.tolist() == [1.0] * 4


def test_slopes_come_from_cells_that_were_not_fitted_to() -> None:
    """A fit that knows its cells by heart gets no credit: its slopes are about 0; every cell is left out once."""
    X_CG = sparse.csr_matrix(np.random.default_rng(0).random((90, 8), dtype=np.float32) + 0.1)
    cells, seen = MemoryBatches(X_CG, 20), []
    task = Task(cells, cells, torch.arange(2), torch.arange(2, 8))

    class ByHeart(torch.nn.Module):
        def __init__(self, part: Task) -> None:
            super().__init__()
            self.x_CL, self.y_CT = (torch.cat(both) for both in zip(*part.pairs(part.train.in_order()), strict=True))
            seen.append(len(self.x_CL))

        def forward(self, x_BL: torch.Tensor) -> torch.Tensor:
            return self.y_CT[torch.cdist(x_BL, self.x_CL).argmin(1)]

    mean_T = torch.from_numpy(X_CG.toarray()[:, 2:].mean(0)).double()
    found = cross_fitted_slopes(task, ByHeart, mean_T, 3, 0)
    assert seen == [60, 60, 60]
    assert abs(found.mean) < 0.25
    assert cross_fitted_slopes(task, lambda part: ByHeart(task), mean_T, 3, 0).mean == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("n_cells", "fits"), [(1, 0), (2, 2), (4, 4), (9, 5)])
def test_no_fold_is_without_cells(n_cells: int, fits: int) -> None:
    """As many folds as cells at most; a cell alone gives slopes of 1."""
    X_CG = sparse.csr_matrix(np.random.default_rng(0).random((n_cells, 5), dtype=np.float32) + 0.1)
    task, seen = Task(MemoryBatches(X_CG), MemoryBatches(X_CG), torch.arange(2), torch.arange(2, 5)), list[int]()

    def fit(part: Task) -> torch.nn.Module:
        seen.append(part.train.n_cells)
        return torch.nn.Linear(2, 3)

    slopes = cross_fitted_slopes(task, fit, torch.zeros(3).double(), 5, 0)
    assert len(seen) == fits
    assert min(seen, default=n_cells) >= n_cells // 2
    assert slopes.slope_T.isfinite().all()
    assert n_cells > 1 or slopes.slope_T.tolist() == [1, 1, 1]


def test_a_part_has_its_cells_in_order() -> None:
    """Across blocks, without empty ones."""
    X_CG = sparse.csr_matrix(np.arange(1, 21, dtype=np.float32).reshape(10, 2))
    chosen_C = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
    part = Part(MemoryBatches(X_CG, 3), chosen_C)
    blocks = [block.toarray() for block in part.in_order()]
    assert (part.n_cells, part.n_genes, len(blocks)) == (3, 2, 2)
    np.testing.assert_array_equal(np.vstack(blocks), X_CG[chosen_C].toarray())
    np.testing.assert_array_equal(np.vstack([block.toarray() for block in part.epoch(4)]), X_CG[chosen_C].toarray())


def test_a_mapped_part_has_the_same_cells() -> None:
    """Each mapped, in order."""

    class Last:
        n_genes = 1

        def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
            return block[:, 1:]

    X_CG = sparse.csr_matrix(np.arange(1, 21, dtype=np.float32).reshape(10, 2))
    part = Part(MemoryBatches(X_CG, 3), np.arange(10) % 3 == 0).mapped(Last())
    assert (part.n_cells, part.n_genes) == (4, 1)
    assert np.vstack([block.toarray() for block in part.in_order()]).ravel().tolist() == [2, 8, 14, 20]


def test_one_fold_is_refused() -> None:
    """It would leave no cells to fit to."""
    with pytest.raises(ValidationError, match="2 folds or more"):
        KernelPredictor(method="kernel", max_cells=9, max_rank=3, bandwidth=1.0, axes=5, folds=1, seed=0)
