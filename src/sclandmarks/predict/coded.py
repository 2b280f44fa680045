"""Learning from codes of the targets: what the squared error needs of them, found once a cell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.learn.task import Task
from sclandmarks.params import NetworkPredictor
from sclandmarks.predict.modules import Network
from sclandmarks.predict.residual import ResidualLearner


@dataclass(frozen=True)
class Coding:
    """Maps cells x all genes to the panel's values, codes w = (y - b) B' of the targets y, and |y - b|^2 - |w|^2.

    Parameters
    ----------
    inputs, outputs : numpy.ndarray of int64
        Columns of the panel, and of the targets.
    B_TR : numpy.ndarray, shape (n_targets, rank), float64
        The head, transposed.
    bias : numpy.ndarray, shape (n_targets,), float64
    """

    inputs: np.ndarray[tuple[int], np.dtype[np.int64]]
    outputs: np.ndarray[tuple[int], np.dtype[np.int64]]
    B_TR: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    bias: np.ndarray[tuple[int], np.dtype[np.float64]]

    @property
    def n_genes(self) -> int:
        """Columns of what comes out."""
        return len(self.inputs) + self.B_TR.shape[1] + 1

    def __call__(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return rows of panel values, codes, and the square that no code explains."""
        y_BT = block[:, self.outputs]
        w_BR = y_BT @ self.B_TR - self.bias @ self.B_TR
        square_B = y_BT.multiply(y_BT).sum(1).A1 - 2 * (y_BT @ self.bias) + self.bias @ self.bias
        coded_BK = np.column_stack((w_BR, square_B - np.square(w_BR).sum(1))).astype(block.dtype)
        return sparse.hstack([block[:, self.inputs], sparse.csr_matrix(coded_BK)], format="csr")


def coding_of(module: Network, task: Task) -> Coding:
    """Return the coding by a module's head."""
    head, bias = (each.detach().double().cpu().numpy() for each in (module.B_RT, module.bias))
    return Coding(task.inputs.numpy(), task.outputs.numpy(), np.ascontiguousarray(head.T), bias)


def coded(task: Task, coding: Coding) -> Task:
    """Return the task whose targets are the coding's: the same cells in the same order, in both subsets."""
    inputs, outputs = torch.arange(coding.n_genes).tensor_split([task.n_landmarks])
    train, validation = task.train.mapped(coding), task.validation.mapped(coding)
    return replace(task, train=train, validation=validation, inputs=inputs, outputs=outputs)


class CodedLearner(ResidualLearner):
    """Members that learn by the squared error; linear path and head stay as they are.

    The head's rows are orthonormal, so that

        |y - b - c B|^2 = |c - w|^2 + |y - b|^2 - |w|^2, with w = (y - b) B',

    and codes w of a cell's targets, found once (`Coding`), do for its targets in every step, and in every validation
    but of predictions that are bent above zero.

    Parameters
    ----------
    module : Network
        On the task's device.
    task : Task
    settings : NetworkPredictor
        With loss `mse`.
    """

    def __init__(self, module: Network, task: Task, settings: NetworkPredictor) -> None:
        super().__init__(module, coded(task, coding_of(module, task)), settings)
        self.whole = task

    def objective(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        """Return the mean of the members' losses; y holds codes."""
        return self._mse(self.network.codes(x_BL), y_BT)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the MSE on the held-back cells twice, as `loss` and as `mse` (dropout off)."""
        bent = self.averaged.floor is not None
        task, error = (self.whole, self._bent_mse) if bent else (self.task, self._plain_mse)
        total = sum(float(error(x_BL, y_BT)) * len(x_BL) for x_BL, y_BT in task.pairs(task.validation.in_order()))
        mse = total / task.validation.n_cells
        return {"loss": mse, "mse": mse}

    def _bent_mse(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        return torch.nn.functional.mse_loss(self.averaged(x_BL), y_BT)

    def _plain_mse(self, x_BL: Tensor, coded_BK: Tensor) -> Tensor:
        return self._mse(self.averaged.codes(x_BL).mean(0, keepdim=True), coded_BK)

    def _mse(self, codes_EBR: Tensor, coded_BK: Tensor) -> Tensor:
        """Mean over members, cells and all targets."""
        near = (codes_EBR - coded_BK[:, :-1]).square().sum((1, 2)).mean()
        mean: Tensor = (near + coded_BK[:, -1].sum()) / (len(coded_BK) * self.network.bias.numel())
        return mean
