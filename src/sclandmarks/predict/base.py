"""What every predictor returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from sclandmarks.learn.task import Step, Task
from sclandmarks.predict.modules import Spec


@dataclass(frozen=True)
class Fitted:
    """A fitted predictor.

    Parameters
    ----------
    module : torch.nn.Module
        Maps panel values (B, n_landmarks) to target values (B, n_targets); on the CPU, in eval mode.
    spec : Spec
        What is needed to build the module again before its weights are loaded.
    history : list of Step
        Every epoch, or every place of the grid.
    best_step : int
        The step whose weights `module` has.
    chosen : dict
        What was chosen on the held-back cells (lambda, rank, ...), and certificates.
    """

    module: nn.Module
    spec: Spec
    history: list[Step] = field(default_factory=list)
    best_step: int = 0
    chosen: dict[str, float] = field(default_factory=dict)


@torch.no_grad()
def held_back_mse(module: nn.Module, task: Task) -> float:
    """Mean squared error of a module on the CPU on the held-back cells."""
    pairs = task.pairs(task.validation.in_order())
    total = sum(float((module(x_BL.cpu()) - y_BT.cpu()).square().sum(dtype=torch.float64)) for x_BL, y_BT in pairs)
    return total / (task.validation.n_cells * task.n_targets)
