"""The panel normalised by its own total, for any predictor: what an assay of the panel alone can know."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import ParamsError
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.matrix import Batches, RowMap
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import ByOwnTotal, OwnTotal

Fit = Callable[[Task, Any, Hooks], Fitted]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """The panel's columns, and how its values become rates.

    Parameters
    ----------
    is_panel_G : numpy.ndarray of bool, shape (n_genes,)
    ln_base : float
        Natural logarithm of the base of the values.
    """

    is_panel_G: NDArray[np.bool_]
    ln_base: float

    def rates(self, block: sparse.csr_matrix) -> tuple[NDArray[np.bool_], NDArray[np.int64], FloatArray]:
        """Which entries of a block are of the panel; and their rows and rates, base^x - 1."""
        is_ours = self.is_panel_G[block.indices]
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[is_ours]
        return is_ours, rows, np.expm1(block.data[is_ours].astype(np.float64) * self.ln_base)

    def totals(self, block: sparse.csr_matrix) -> FloatArray:
        """Sum of the panel's rates in every cell, shape (B,)."""
        _, rows, rates = self.rates(block)
        totals_B: FloatArray = np.bincount(rows, rates, minlength=block.shape[0]).astype(np.float64)
        return totals_B

    def normalised(self, block: sparse.csr_matrix, typical: float) -> sparse.csr_matrix:
        """The block with the panel's values as `modules.OwnTotal` makes them, and all others as they are."""
        is_ours, rows, rates = self.rates(block)
        totals_B = np.bincount(rows, rates, minlength=block.shape[0])
        share = rates / np.where(totals_B > 0, totals_B, 1)[rows]
        data = block.data.copy()
        data[is_ours] = np.log1p(typical * share) / self.ln_base
        return sparse.csr_matrix((data, block.indices, block.indptr), shape=block.shape)


@dataclass(frozen=True)
class OwnTotals:
    """Other batches, the panel's values normalised by their own total.

    Parameters
    ----------
    whole : Batches
    panel : Panel
    typical : float
        Sum of the panel's rates in every cell afterwards.
    """

    whole: Batches
    panel: Panel
    typical: float

    @property
    def n_cells(self) -> int:
        """Cells in one epoch."""
        return self.whole.n_cells

    @property
    def n_genes(self) -> int:
        """Genes of every block."""
        return self.whole.n_genes

    def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return a block of the other batches with the panel's values normalised."""
        return self.panel.normalised(block, self.typical)

    def epoch(self, epoch: int) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in the order of that epoch."""
        return map(self, self.whole.epoch(epoch))

    def in_order(self) -> Iterator[sparse.csr_matrix]:
        """Yield every cell once, in the order of the file."""
        return map(self, self.whole.in_order())

    def mapped(self, rows: RowMap) -> Batches:
        """Return the same cells in the same batches, each normalised, then mapped."""
        return self.whole.mapped(self).mapped(rows)


def by_own_total(fit: Fit) -> Fit:
    """Let a predictor heed `panel_total`: with it, fit to the normalised panel, and put that step before the module.

    Without the setting the predictor is called as it is.
    """

    @wraps(fit)
    def either(task: Task, settings: Any, hooks: Hooks) -> Fitted:
        if not getattr(settings, "panel_total", False):
            return fit(task, settings, hooks)
        panel = _panel(task)
        typical = typical_total(task.train, panel)
        train, validation = (OwnTotals(cells, panel, typical) for cells in (task.train, task.validation))
        fitted = fit(replace(task, train=train, validation=validation), settings, hooks)
        module = ByOwnTotal(OwnTotal(panel.ln_base, typical), fitted.module).eval()
        return replace(fitted, module=module, spec=replace(fitted.spec, panel_total=True))

    return either


def _panel(task: Task) -> Panel:
    if task.log_base is None:
        raise ParamsError(
            "the base of the values' logarithm with panel_total: true",
            "a task without log_base",
            "Give Task the log_base of params.yaml's section prepare.",
        )
    is_panel_G = np.zeros(task.train.n_genes, dtype=bool)
    is_panel_G[task.inputs.numpy()] = True
    return Panel(is_panel_G, 1.0 if task.log_base == "e" else math.log(task.log_base))


def typical_total(cells: Batches, panel: Panel) -> float:
    """Median sum of the panel's rates over the cells that have any; 1 where none has."""
    totals_C = np.concatenate([panel.totals(block) for block in cells.in_order()])
    return float(np.median(totals_C[totals_C > 0])) if (totals_C > 0).any() else 1.0
