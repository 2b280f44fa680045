"""The study's linear baseline: plain stochastic gradient descent, one cell at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import train
from sclandmarks.params import PaperLinearPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Spec
from sclandmarks.predict.networks import finish


def fit_paper_linear(task: Task, settings: PaperLinearPredictor, hooks: Hooks) -> Fitted:
    """Fit y = x W + b from zero by stochastic gradient descent with batch size 1 and early stopping.

    The step is `learning_rate` / max (1 + |x|^2) over training cells: `learning_rate` is the largest part of a cell's
    own error that its step takes away. Below 2 no step overshoots, on log values and on raw counts of any depth.

    Raises
    ------
    TrainingError
        If the loss is not finite: the learning rate is too large for the scale of the data.
    """
    spec = Spec("linear", task.n_landmarks, task.n_targets)
    step = settings.learning_rate / largest_square_norm(task)
    return finish(spec, train(SgdLearner(task, step), settings, hooks))


def largest_square_norm(task: Task) -> float:
    """Largest 1 + |x|^2 over the training cells, x the panel's values."""
    return 1 + max(float(x_BL.double().square().sum(1).max()) for x_BL, _ in task.pairs(task.train.in_order()))


class SgdLearner:
    """Least mean squares, cell by cell, computed a block of cells at a time.

    One step on cell i is W <- W + eta x_i e_i with e_i = y_i - x_i W: half the gradient of the cell's squared error,
    summed over targets. Over a block the errors solve a triangular system,

        e_i + eta sum_{j < i} (x_i . x_j) e_j = y_i - x_i W_0,    W = W_0 + eta sum_i x_i e_i,

    which is the same sequence of steps in matrix products. The intercept is an input that is always 1.

    Parameters
    ----------
    task : Task
    learning_rate : float
        eta.
    """

    def __init__(self, task: Task, learning_rate: float) -> None:
        self.task, self.learning_rate = task, learning_rate
        self.W_LT = torch.zeros(task.n_landmarks + 1, task.n_targets, device=task.device)

    def epoch(self, epoch: int) -> float:
        """Visit every training cell once; return the mean squared error of each cell before its own step."""
        total = 0.0
        for x_BL, y_BT in self.task.pairs(self.task.train.epoch(epoch)):
            total += float(self._block(_with_one(x_BL), y_BT))
        return total / (self.task.train.n_cells * self.task.n_targets)

    def _block(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        earlier_BB = torch.tril(x_BL @ x_BL.T, diagonal=-1) * self.learning_rate
        system_BB = earlier_BB + torch.eye(len(x_BL), device=x_BL.device)
        errors_BT = torch.linalg.solve_triangular(system_BB, y_BT - x_BL @ self.W_LT, upper=False, unitriangular=True)
        self.W_LT.addmm_(x_BL.T, errors_BT, alpha=self.learning_rate)
        total: Tensor = errors_BT.square().sum()
        return total

    def validate(self) -> dict[str, float]:
        """Return the mean squared error on the held-back cells."""
        total = 0.0
        for x_BL, y_BT in self.task.pairs(self.task.validation.in_order()):
            total += float((_with_one(x_BL) @ self.W_LT - y_BT).square().sum(dtype=torch.float64))
        mse = total / (self.task.validation.n_cells * self.task.n_targets)
        return {"loss": mse, "mse": mse}

    def weights(self) -> dict[str, Tensor]:
        """Return weight and bias as torch's Linear names them."""
        return {"weight": self.W_LT[:-1].T.contiguous(), "bias": self.W_LT[-1]}

    def state(self) -> dict[str, Any]:
        """Return the weights."""
        return {"W_LT": self.W_LT}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put the weights back."""
        self.W_LT = state["W_LT"].to(self.task.device)


def _with_one(x_BL: Tensor) -> Tensor:
    return torch.cat([x_BL, torch.ones_like(x_BL[:, :1])], dim=1)
