"""Least squares and ridge regression in closed form, from one pass over the training cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sclandmarks.learn.task import Hooks, Step, Task
from sclandmarks.params import OlsPredictor, RidgePredictor
from sclandmarks.predict.base import Fitted, held_back_mse
from sclandmarks.predict.grid import best_place, search
from sclandmarks.predict.leave_one_out import Choice, choose_penalties
from sclandmarks.predict.modules import Spec, build
from sclandmarks.predict.spectrum import Eigen, HeldBack, hold_back, open_eigen


def fit_ridge(task: Task, settings: RidgePredictor, hooks: Hooks) -> Fitted:
    """Minimise sum |y - x B - b|^2 + sum_t lambda_t |B_t|^2.

    With a shared penalty lambda is the best on the held-back cells. With one a gene, each is the best in leaving out
    one training cell after the other, see `leave_one_out`. The grid reaches from 1e-2 to 1e6 times the mean
    eigenvalue of the panel's scatter matrix; a shared choice at an edge widens it, and is warned about when widening
    does not help.
    """
    eigen = open_eigen(task)
    spec = Spec("linear", task.n_landmarks, task.n_targets)
    if settings.penalty == "per_gene":
        return _per_gene(task, eigen, spec, hooks)
    held_back = hold_back(task, eigen)
    grid, errors = search(lambda lambdas: [ridge_error(eigen, held_back, value) for value in lambdas], eigen.scale)
    best = best_place(errors)
    history = [Step(i, {"lambda": grid[i], "validation_mse": errors[i]}) for i in range(len(grid))]
    _report(history, hooks)
    module = linear(eigen, (eigen.d_L + grid[best]).unsqueeze(1), spec)
    return Fitted(module, spec, history, best, {"lambda": grid[best], "validation_mse": errors[best]})


def _per_gene(task: Task, eigen: Eigen, spec: Spec, hooks: Hooks) -> Fitted:
    choice: Choice = choose_penalties(task, eigen)
    module = linear(eigen, eigen.d_L.unsqueeze(1) + choice.lambda_T, spec)
    _report(history := choice.history, hooks)
    chosen = choice.chosen | {"validation_mse": held_back_mse(module, task)}
    return Fitted(module, spec, history, choice.most_frequent, chosen)


def fit_ols(task: Task, settings: OlsPredictor, hooks: Hooks) -> Fitted:
    """Minimise sum |y - x B - b|^2; of all minima the B of smallest norm.

    Axes of the panel with less than 1e-7 of the variance of the largest, which float32 cannot tell from none, are
    left out.
    """
    eigen = open_eigen(task)
    is_real_L = eigen.d_L > 1e-7 * eigen.d_L.max()
    spec = Spec("linear", task.n_landmarks, task.n_targets)
    module = linear(eigen, torch.where(is_real_L, eigen.d_L, torch.inf).unsqueeze(1), spec)
    chosen = {"n_axes": float(is_real_L.sum()), "validation_mse": held_back_mse(module, task)}
    _report(history := [Step(0, {"validation_mse": chosen["validation_mse"]})], hooks)
    return Fitted(module, spec, history, 0, chosen)


def linear(eigen: Eigen, divisor: Tensor, spec: Spec) -> nn.Module:
    """Module y = x B + b with B = V (C / divisor), the divisor of shape (L, 1) or (L, T)."""
    B_LT = eigen.V_LL @ (eigen.C_LT / divisor)
    module = build(spec)
    bias_T = eigen.mean_T - eigen.mean_L @ B_LT
    module.load_state_dict({"weight": B_LT.T.float().contiguous(), "bias": bias_T.float()})
    return module.eval()


def ridge_error(eigen: Eigen, held_back: HeldBack, lambda_: float) -> float:
    """Held-back MSE of ridge with one lambda, from sums over the held-back cells."""
    a_L = 1 / (eigen.d_L + lambda_)
    gain = 2 * (a_L * held_back.ZR_LL.diagonal()).sum() - a_L @ (held_back.ZZ_LL * held_back.CC_LL) @ a_L
    return (held_back.total - float(gain)) / held_back.n_values


def _report(history: list[Step], hooks: Hooks) -> None:
    for step in history:
        hooks.on_epoch(step.metrics, step.step)
