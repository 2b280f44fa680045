"""The scale of genes over training cells, for predictors that need comparable inputs or targets."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sclandmarks.learn.task import Task

CONSTANT = 1e-6  # largest deviation of a gene that is taken for constant


def panel_scale(task: Task, power: float = 1.0) -> tuple[Tensor, Tensor]:
    """Mean of each landmark, and 1 / deviation^power or 0 for a constant one, both (n_landmarks,), float32.

    Parameters
    ----------
    task : Task
    power : float
        1 standardises; below 1 genes that vary more, and carry less noise in their variance, keep more weight.
    """
    panel = (x_BL for x_BL, _ in task.pairs(task.train.in_order()))
    mean_L, deviation_L = _spread(panel, task.n_landmarks, task.train.n_cells)
    return mean_L.float(), torch.where(deviation_L > CONSTANT, deviation_L.pow(-power), 0.0).float()


def target_scale(task: Task) -> tuple[Tensor, Tensor]:
    """Mean of each target, and its deviation or 0 for a constant one, both (n_targets,), float32."""
    targets = (y_BT for _, y_BT in task.pairs(task.train.in_order()))
    mean_T, deviation_T = _spread(targets, task.n_targets, task.train.n_cells)
    return mean_T.float(), torch.where(deviation_T > CONSTANT, deviation_T, 0.0).float()


def _spread(blocks: Iterable[Tensor], n_genes: int, n_cells: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each gene over all cells of the blocks, float64."""
    sum_G = torch.zeros(n_genes, dtype=torch.float64)
    square_G = torch.zeros_like(sum_G)
    for block_BG in blocks:
        sum_G += block_BG.sum(0, dtype=torch.float64).cpu()
        square_G += block_BG.double().square().sum(0).cpu()
    mean_G = sum_G / n_cells
    return mean_G, (square_G / n_cells - mean_G.square()).clamp(min=0).sqrt()
