"""One penalty a gene: ridge's leave-one-out error in closed form, for all genes and penalties from one eigenbasis."""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.task import Step, Task
from sclandmarks.predict.grid import DECADES, steps
from sclandmarks.predict.spectrum import Eigen

log = logging.getLogger(__name__)

STEPS_PER_DECADE = 2


class Choice(NamedTuple):
    """Penalties of all genes.

    Parameters
    ----------
    grid : list of float
        Penalties tried, rising.
    mse_KT : torch.Tensor, shape (n_penalties, n_targets), float64
        Mean squared error of each cell by the regression on all others.
    lambda_T : torch.Tensor, shape (n_targets,), float64
        The best of each gene; of equals the largest.
    """

    grid: list[float]
    mse_KT: Tensor
    lambda_T: Tensor

    @property
    def places_K(self) -> Tensor:
        """How many genes chose each penalty."""
        return torch.tensor([int((self.lambda_T == value).sum()) for value in self.grid])

    @property
    def most_frequent(self) -> int:
        """Place of the penalty that most genes chose."""
        return int(self.places_K.argmax())

    @property
    def history(self) -> list[Step]:
        """A step a penalty: its error as the penalty of all genes, and how many chose it."""
        rows = zip(self.grid, self.mse_KT.mean(1).tolist(), self.places_K.tolist(), strict=True)
        return [
            Step(i, {"lambda": value, "leave_one_out_mse": error, "n_genes": float(n)})
            for i, (value, error, n) in enumerate(rows)
        ]

    @property
    def chosen(self) -> dict[str, float]:
        """Median and outer tenths of the penalties, and the error with every gene's own."""
        low, median, high = torch.quantile(self.lambda_T.log(), torch.tensor([0.1, 0.5, 0.9]).double()).exp().tolist()
        own = float(self.mse_KT.min(0).values.mean())
        return {"lambda": median, "lambda_low": low, "lambda_high": high, "leave_one_out_mse": own}


def choose_penalties(task: Task, eigen: Eigen) -> Choice:
    """Choose each gene's penalty by leaving out one training cell after the other.

    Costs n_penalties x cells x landmarks x targets multiplications and a block of cells x targets of memory.
    """
    grid = [eigen.scale * 10**exponent for exponent in steps(*DECADES, STEPS_PER_DECADE)]
    mse_KT = leave_one_out(task, eigen, grid)
    last_T = len(grid) - 1 - mse_KT.flip(0).argmin(0)
    at_low_edge = float((last_T == 0).double().mean())
    if at_low_edge > 0.5:
        log.warning("%.0f %% of the genes chose the smallest penalty of the grid", 100 * at_low_edge)
    return Choice(grid, mse_KT, torch.tensor(grid, dtype=torch.float64)[last_T])


@torch.no_grad()
def leave_one_out(task: Task, eigen: Eigen, lambdas: list[float]) -> Tensor:
    """Leave-one-out mean squared errors of ridge with an intercept, shape (n_lambdas, n_targets), float64.

    The error of cell i by the regression on all others is (y_i - fit_i) / (1 - h_i), with the leverage
    h_i = 1 / n + sum_l z_il^2 / (d_l + lambda), z the centred panel in its eigenbasis.
    """
    n_cells = task.train.n_cells
    mean_L, V_LL, C_LT, d_L = (each.float() for each in (eigen.mean_L, eigen.V_LL, eigen.C_LT, eigen.d_L))
    sums_KT = torch.zeros(len(lambdas), task.n_targets, dtype=torch.float64)
    for x_BL, y_BT in task.pairs(task.train.in_order()):
        Z_BL, R_BT = (x_BL.cpu() - mean_L) @ V_LL, y_BT.cpu() - eigen.mean_T.float()
        for k, value in enumerate(lambdas):
            shrunk_BL = Z_BL / (d_L + value)
            left_B1 = 1 - 1 / n_cells - (shrunk_BL * Z_BL).sum(1, keepdim=True)
            errors_BT = (R_BT - shrunk_BL @ C_LT) / left_B1.clamp(min=1e-6)
            sums_KT[k] += errors_BT.square().sum(0, dtype=torch.float64)
    return sums_KT / n_cells
