"""Moments of training and held-back cells in the eigenbasis of the inputs: all that ridge and its cuts need."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.task import Task
from sclandmarks.moments import Moments, gather

Features = Callable[[Tensor], Tensor]


class Eigen(NamedTuple):
    """Training moments in the eigenbasis of the inputs: S = V diag(d) V', C = V' S_xy."""

    d_L: Tensor
    V_LL: Tensor
    C_LT: Tensor
    mean_L: Tensor
    mean_T: Tensor

    @property
    def scale(self) -> float:
        """Mean eigenvalue, or 1 when all are zero."""
        return float(self.d_L.mean()) or 1.0


class HeldBack(NamedTuple):
    """Sums over held-back cells, inputs Z and targets R centred by the training means, Z in the eigenbasis.

    Parameters
    ----------
    n_values : int
        Cells x targets.
    total : float
        Sum of R^2: the squared error of the mean.
    ZZ_LL, ZR_LL, CC_LL : torch.Tensor, shape (n_inputs, n_inputs), float64
        Z'Z, Z'R C' and C C'. The squared error of any B = A C is total - 2 tr(A' Z'R C') + tr(A' Z'Z A C C').
    """

    n_values: int
    total: float
    ZZ_LL: Tensor
    ZR_LL: Tensor
    CC_LL: Tensor


def eigen_of(S_LL: Tensor, S_LT: Tensor, mean_L: Tensor, mean_T: Tensor) -> Eigen:
    """Turn centred moments of inputs and targets into the eigenbasis of the inputs."""
    d_L, V_LL = torch.linalg.eigh(S_LL)
    return Eigen(d_L.clamp(min=0), V_LL, V_LL.T @ S_LT, mean_L, mean_T)


def open_eigen(task: Task) -> Eigen:
    """Gather the moments of the panel and its targets over the training cells, in one pass."""
    moments: Moments = gather(task.train.in_order(), task.inputs, task.device)
    S_LL, S_LT = moments.S_LG[:, task.inputs], moments.S_LG[:, task.outputs]
    return eigen_of(S_LL, S_LT, moments.mean_G[task.inputs], moments.mean_G[task.outputs])


@torch.no_grad()
def open_feature_eigen(task: Task, features: Features, n_features: int) -> Eigen:
    """Gather the moments of features of the panel and the targets over the training cells, in one pass.

    Products of features and targets are kept in float32: they are n_features x n_targets numbers.
    """
    S_FF, sum_F = torch.zeros(n_features, n_features, dtype=torch.float64), torch.zeros(n_features).double()
    S_FT, sum_T = torch.zeros(n_features, task.n_targets), torch.zeros(task.n_targets).double()
    for x_BL, y_BT in task.pairs(task.train.in_order()):
        F_BF, y_BT = features(x_BL.cpu()), y_BT.cpu()
        S_FF += (F_BF.double().T @ F_BF.double()).double()
        S_FT += F_BF.T @ y_BT
        sum_F += F_BF.sum(0, dtype=torch.float64)
        sum_T += y_BT.sum(0, dtype=torch.float64)
    mean_F, mean_T = sum_F / task.train.n_cells, sum_T / task.train.n_cells
    S_FF -= torch.outer(sum_F, mean_F)
    S_FT -= torch.outer(sum_F, mean_T).float()
    d_F, V_FF = torch.linalg.eigh(S_FF)
    return Eigen(d_F.clamp(min=0), V_FF, V_FF.float().T @ S_FT, mean_F, mean_T)


def as_it_is(x_BL: Tensor) -> Tensor:
    """The panel's values themselves as features."""
    return x_BL


@torch.no_grad()
def hold_back(task: Task, eigen: Eigen, features: Features = as_it_is, head_TK: Tensor | None = None) -> HeldBack:
    """Sum over the held-back cells, in one pass; the work per penalty no longer grows with cells or targets.

    Parameters
    ----------
    task : Task
    eigen : Eigen
    features : callable
        Panel values to the inputs of `eigen`, shape (B, n_inputs): themselves unless given.
    head_TK : torch.Tensor, shape (n_targets, n_codes), optional
        Orthonormal columns: `eigen` has not the targets but their products with these, of mean 0.
    """
    n_inputs, total = len(eigen.d_L), 0.0
    ZZ_LL, ZR_LL = (torch.zeros(n_inputs, n_inputs, dtype=torch.float64) for _ in range(2))
    C_LT = eigen.C_LT.double()
    for x_BL, y_BT in task.pairs(task.validation.in_order()):
        Z_BL = (features(x_BL.cpu()).double() - eigen.mean_L) @ eigen.V_LL
        R_BT = y_BT.cpu().double() - eigen.mean_T
        total += float(R_BT.square().sum())
        ZZ_LL += Z_BL.T @ Z_BL
        ZR_LL += Z_BL.T @ ((R_BT if head_TK is None else R_BT @ head_TK.double()) @ C_LT.T)
    return HeldBack(task.validation.n_cells * task.n_targets, total, ZZ_LL, ZR_LL, C_LT @ C_LT.T)
