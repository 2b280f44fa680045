"""The scale of the panel's genes over training cells, for predictors that need comparable inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from sclandmarks.learn.task import Task


def panel_scale(task: Task, power: float = 1.0) -> tuple[Tensor, Tensor]:
    """Mean of each landmark, and 1 / deviation^power or 0 for a constant one, both (n_landmarks,), float32.

    Parameters
    ----------
    task : Task
    power : float
        1 standardises; below 1 genes that vary more, and carry less noise in their variance, keep more weight.
    """
    x_L = torch.zeros(task.n_landmarks, dtype=torch.float64)
    xx_L = torch.zeros_like(x_L)
    for x_BL, _ in task.pairs(task.train.in_order()):
        x_L += x_BL.sum(0, dtype=torch.float64).cpu()
        xx_L += x_BL.double().square().sum(0).cpu()
    mean_L = x_L / task.train.n_cells
    deviation_L = (xx_L / task.train.n_cells - mean_L.square()).clamp(min=0).sqrt()
    return mean_L.float(), torch.where(deviation_L > 1e-6, deviation_L.pow(-power), 0.0).float()
