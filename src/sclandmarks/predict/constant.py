"""Controls: zero, and each gene's mean over training cells."""

from __future__ import annotations

import torch

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.params import MeanPredictor, ZeroPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Constant, Spec


def _constant(task: Task, values_T: torch.Tensor) -> Fitted:
    spec = Spec("constant", task.n_landmarks, task.n_targets)
    module = Constant(spec)
    module.bias.data.copy_(values_T)
    return Fitted(module.eval(), spec)


def fit_zero(task: Task, settings: ZeroPredictor, hooks: Hooks) -> Fitted:
    """Predict zero for every target."""
    return _constant(task, torch.zeros(task.n_targets))


def fit_mean(task: Task, settings: MeanPredictor, hooks: Hooks) -> Fitted:
    """Predict the mean of each target over the training cells."""
    total_T = torch.zeros(task.n_targets, dtype=torch.float64)
    for pair in task.pairs(task.train.in_order()):
        total_T += pair.y_BT.sum(0, dtype=torch.float64).cpu()
    return _constant(task, (total_T / task.train.n_cells).float())
