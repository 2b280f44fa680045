"""How alike two cells are by what the targets depend on: the kernel adapted to the gradients of a first fit.

The mean over cells of J J', J the gradients of the predictions at a cell, tells along which axes of the panel they
change: its diagonal landmark by landmark, its eigenvectors for all together. Distances are then measured where
predictions change, as in recursive feature machines (Radhakrishnan et al. 2024, doi:10.1126/science.adi5639).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sclandmarks.params import KernelParams
from sclandmarks.predict.kernel_axes import gamma_of
from sclandmarks.predict.modules import Kernel, Similar, Spec, alike

MAX_CELLS = 1000  # cells whose gradients are looked at
POWER = 0.35  # axes are stretched by this power of their eigenvalue
NARROWER = 0.35  # the kernel on these axes is as wide as this part of the bandwidth


@torch.no_grad()
def adapted(kernel: Kernel, x_KL: Tensor, settings: KernelParams) -> Similar:
    """Weigh landmarks by the root mean square of their gradients, and add a kernel on the axes of all gradients.

    Parameters
    ----------
    kernel : Kernel
        A fit whose kernel is not adapted.
    x_KL : torch.Tensor, shape (n_kept, n_landmarks)
        Its cells kept.
    settings : KernelParams
        Bandwidth; as many axes as the fit has are taken.
    """
    n_landmarks, n_axes = kernel.V_LA.shape
    similar = Similar(Spec("kernel", n_landmarks, len(kernel.bias), width=len(x_KL), axes=n_axes, adaptive=True))
    own = {name: value for name, value in kernel.named_buffers() if name != "floor"}
    similar.load_state_dict(own, strict=False)
    M_LL = dependence(kernel, x_KL)
    similar.weight = (M_LL.diagonal() / M_LL.diagonal().max().clamp(min=1e-30)).sqrt().float()
    similar.T_LA = stretched_axes(M_LL, n_axes)
    similar.t = _norm(similar.scaled(x_KL) @ similar.T_LA) / _norm(similar.U_KA[:, :-1])
    similar.Z_KL, similar.H_KA = similar.weighed(x_KL), similar.on_learned(x_KL)
    similar.gamma = gamma_of(similar.Z_KL, settings.bandwidth)
    similar.gamma_learned = gamma_of(similar.H_KA, NARROWER * settings.bandwidth)
    return similar


def dependence(kernel: Kernel, x_KL: Tensor) -> Tensor:
    """Sum over cells and codes of g g', g the gradient of a code in the scaled landmarks z, shape (L, L), float64.

    The depth is held fixed. Looked at are the cells kept, or `MAX_CELLS` spread evenly over them. Codes stand for
    predictions: the head's rows are orthonormal.
    """
    x_BL = x_KL[torch.linspace(0, len(x_KL) - 1, min(len(x_KL), MAX_CELLS)).long()]
    z_BL, u_BA = kernel.scaled(x_BL), kernel.on_axes(x_BL)
    first_BK, second_BK = alike(z_BL, kernel.Z_KL, kernel.gamma), alike(u_BA, kernel.U_KA, kernel.gamma_axes)
    M_LL = torch.zeros(z_BL.shape[1], z_BL.shape[1], dtype=torch.float64)
    for a_K in kernel.A_KR.T:
        g_BL = kernel.gamma * _pull(first_BK * a_K, z_BL, kernel.Z_KL)
        g_BL += kernel.gamma_axes * _pull(second_BK * a_K, u_BA, kernel.U_KA)[:, :-1] @ kernel.V_LA.T
        M_LL += g_BL.T @ g_BL
    return M_LL


def _pull(weight_BK: Tensor, z_BA: Tensor, Z_KA: Tensor) -> Tensor:
    """Sum over the cells kept of weight (Z - z): half the gradient of a kernel over its gamma, shape (B, A)."""
    return weight_BK @ Z_KA - weight_BK.sum(1, keepdim=True) * z_BA


def stretched_axes(M_LL: Tensor, n_axes: int) -> Tensor:
    """Leading eigenvectors, each times its eigenvalue over the largest to the power `POWER`, shape (L, n_axes)."""
    e_L, Q_LL = torch.linalg.eigh(M_LL)
    part_A = e_L[-n_axes:].clamp(min=0) / e_L[-1].clamp(min=1e-30)
    axes_LA: Tensor = (Q_LL[:, -n_axes:] * part_A.pow(POWER)).float()
    return axes_LA


def _norm(z_KA: Tensor) -> Tensor:
    """Root mean square norm of the rows; never 0."""
    return z_KA.square().sum(1).mean().sqrt().clamp(min=1e-12)
