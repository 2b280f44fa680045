"""A slope for every gene: how far its predictions of cells that were not fitted to should be stretched or shrunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from sclandmarks.learn.task import Task
from sclandmarks.matrix import Batches, RowMap
from sclandmarks.predict.base import held_back_mse
from sclandmarks.predict.modules import Kernel, Network

HIGHEST = 1.5


@dataclass(frozen=True)
class Part:
    """Some cells of other batches, in their order.

    Parameters
    ----------
    whole : Batches
    chosen_C : numpy.ndarray of bool
        In the order of `whole.in_order()`.
    """

    whole: Batches
    chosen_C: NDArray[np.bool_]

    @property
    def n_cells(self) -> int:
        """Cells chosen."""
        return int(self.chosen_C.sum())

    @property
    def n_genes(self) -> int:
        """Genes of every block."""
        return self.whole.n_genes

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield the chosen cells once, in blocks; blocks without one are left out."""
        seen = 0
        for block in self.whole.in_order():
            chosen_B = self.chosen_C[seen : seen + block.shape[0]]
            seen += block.shape[0]
            if chosen_B.any():
                yield block[chosen_B]

    def epoch(self, epoch: int) -> Iterator[sparse.csr_matrix]:
        """Yield the chosen cells once, in the same order in every epoch."""
        return self.in_order()

    def mapped(self, rows: RowMap) -> Part:
        """Return the same cells, each mapped."""
        return replace(self, whole=self.whole.mapped(rows))


class Slopes(NamedTuple):
    """Least-squares slopes of genes on their predictions, and the prior that they were drawn towards.

    Parameters
    ----------
    slope_T : torch.Tensor, shape (n_targets,), float64
        Between 0 and HIGHEST.
    mean, deviation : float
        Of the slopes of all genes, sampling error taken out.
    """

    slope_T: Tensor
    mean: float
    deviation: float


@torch.no_grad()
def stretch(
    module: Kernel | Network, task: Task, fit: Callable[[Task], nn.Module], n_folds: int, seed: int
) -> dict[str, float]:
    """Multiply each gene's column of the head by its slope, see `cross_fitted_slopes`.

    Returns
    -------
    dict
        Mean and deviation of the slopes, and the held-back error with them.
    """
    slopes = cross_fitted_slopes(task, fit, module.bias.detach().double(), n_folds, seed)
    module.B_RT.mul_(slopes.slope_T.float())
    return {"slope": slopes.mean, "slope_deviation": slopes.deviation, "validation_mse": held_back_mse(module, task)}


@torch.no_grad()
def cross_fitted_slopes(
    task: Task, fit: Callable[[Task], nn.Module], mean_T: Tensor, n_folds: int, seed: int
) -> Slopes:
    """Slopes of the training cells' targets on predictions by fits without them.

    Parameters
    ----------
    task : Task
    fit : callable
        A task with fewer training cells to a module.
    mean_T : torch.Tensor, shape (n_targets,)
        Means over the training cells.
    n_folds, seed : int
        Parts of the training cells that are left out in turn, drawn by chance; no more than there are cells. Where one
        is left out and none remains, all slopes are 1.
    """
    n_folds = min(n_folds, task.train.n_cells)
    if n_folds < 2:
        return Slopes(torch.ones(task.n_targets).double(), 1.0, 0.0)
    fold_C = np.random.default_rng(seed).permutation(task.train.n_cells) % n_folds
    sums = torch.zeros(3, task.n_targets, dtype=torch.float64)
    for fold in range(n_folds):
        module = fit(replace(task, train=Part(task.train, fold_C != fold)))
        for x_BL, y_BT in task.pairs(Part(task.train, fold_C == fold).in_order()):
            p_BT, y_BT = module(x_BL.cpu()).double() - mean_T, y_BT.cpu().double() - mean_T
            sums += torch.stack([(p_BT * y_BT).sum(0), p_BT.square().sum(0), y_BT.square().sum(0)])
    return shrink(sums[0], sums[1], sums[2], task.train.n_cells)


def shrink(py_T: Tensor, pp_T: Tensor, yy_T: Tensor, n_cells: int) -> Slopes:
    """Posterior means of the slopes under a normal prior whose moments are those of all genes' slopes.

    The slope of gene t is py / pp, its sampling variance that of the residuals, (yy - py^2 / pp) / n_cells, over pp
    (of the residuals at least a thousandth of yy is counted). The prior's mean is the mean weighted by the inverse of
    these variances, its variance what the spread has beyond them.
    """
    raw_T = torch.where(pp_T > 0, py_T / pp_T.clamp(min=1e-30), 0)
    left_T = torch.maximum(yy_T - raw_T * py_T, 1e-3 * yy_T)
    weight_T = torch.where(yy_T > 0, pp_T * n_cells / left_T.clamp(min=1e-30), 0)
    total = float(weight_T.sum())
    if total == 0:
        return Slopes(torch.ones_like(py_T), 1.0, 0.0)
    mean = float((weight_T * raw_T).sum()) / total
    excess = float((weight_T * (raw_T - mean).square()).sum()) - int((weight_T > 0).sum())
    variance = max(excess / total, 1e-6)
    slope_T = (raw_T * weight_T + mean / variance) / (weight_T + 1 / variance)
    return Slopes(slope_T.clamp(0, HIGHEST), mean, variance**0.5)
