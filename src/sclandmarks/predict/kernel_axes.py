"""How alike two cells are: by all landmarks, and by the principal axes on which the panel shows more than noise."""

from __future__ import annotations

import torch
from torch import Tensor

from sclandmarks.learn.task import Task
from sclandmarks.params import KernelParams
from sclandmarks.predict.modules import Similar, Spec, log_least
from sclandmarks.predict.scaling import panel_scale

POWER = 0.5  # landmarks are divided by the root of their deviation
DEPTH = 0.2  # weight of the depth: its deviation, in root mean square norms of a cell's scores


def open_similar(task: Task, x_KL: Tensor, settings: KernelParams) -> Similar:
    """Scale the landmarks, find their axes, and set the width of both kernels.

    Parameters
    ----------
    task : Task
        Scale and axes are those of all its training cells.
    x_KL : torch.Tensor, shape (n_kept, n_landmarks)
        Cells kept.
    settings : KernelParams
        Number of axes, and bandwidth in typical distances of two cells.
    """
    center_L, scale_L = panel_scale(task, POWER)
    V_LA = clean_axes(scatter(task, center_L, scale_L), settings.axes)
    similar = Similar(Spec("kernel", task.n_landmarks, task.n_targets, width=len(x_KL), axes=V_LA.shape[1]))
    similar.center, similar.scale, similar.V_LA = center_L, scale_L, V_LA
    similar.depth = _depth(similar, x_KL)
    similar.Z_KL, similar.U_KA = (x_KL - center_L) * scale_L, similar.on_axes(x_KL)
    similar.gamma, similar.gamma_axes = (gamma_of(each, settings.bandwidth) for each in (similar.Z_KL, similar.U_KA))
    return similar


def scatter(task: Task, center_L: Tensor, scale_L: Tensor) -> Tensor:
    """Sum of z z' over the training cells, z = (x - center) scale, shape (n_landmarks, n_landmarks), float64."""
    S_LL = torch.zeros(task.n_landmarks, task.n_landmarks, dtype=torch.float64)
    for x_BL, _ in task.pairs(task.train.in_order()):
        z_BL = (x_BL.cpu() - center_L) * scale_L
        S_LL += z_BL.T @ z_BL
    return S_LL


def clean_axes(S_LL: Tensor, n_axes: int) -> Tensor:
    """Leading principal axes, each times the part of its variance that is above the noise, shape (n_landmarks, n_axes).

    The variance of noise is taken for that of the first axis left out, so that a score is multiplied by 1 - s / s_a,
    as its posterior mean would be. Where no axis is left out, nothing is shrunk.
    """
    e_L, V_LL = torch.linalg.eigh(S_LL)
    n_axes = min(n_axes, len(e_L))
    noise = e_L[-n_axes - 1] if n_axes < len(e_L) else e_L.new_zeros(())
    part_A = 1 - noise.clamp(min=0) / e_L[-n_axes:].clamp(min=1e-12)
    axes_LA: Tensor = (V_LL[:, -n_axes:] * part_A.clamp(min=0)).float()
    return axes_LA


def _depth(similar: Similar, x_KL: Tensor) -> Tensor:
    """Median, 1 / deviation (from the quartiles; 0 where they agree) and weight of `log_least`."""
    low, median, high = torch.quantile(log_least(x_KL), torch.tensor([0.25, 0.5, 0.75])).tolist()
    norm = float(similar.on_axes(x_KL)[:, :-1].square().sum(1).mean()) ** 0.5
    return torch.tensor([median, 1.35 / (high - low) if high - low > 1e-3 else 0.0, DEPTH * norm])


def gamma_of(z_KA: Tensor, bandwidth: float) -> Tensor:
    """Width of a kernel on what it compares of the cells kept: 1 / (bandwidth^2 s), s the typical squared distance."""
    typical = 2 * float(z_KA.square().sum(1).median())
    return torch.tensor(1 / (bandwidth**2 * max(typical, 1e-12)))
