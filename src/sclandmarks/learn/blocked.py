"""Losses on what a linear head makes of codes, with their gradients, a block of targets at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sclandmarks.learn.losses import LossName

Slope = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

BLOCK_VALUES = 2**17  # of predictions: what a block and its gradient take stays in a core's cache


def mse_slope(p_EBK: Tensor, t_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of (p - t)^2, and half its gradient; p is overwritten."""
    left_EBK = p_EBK.sub_(t_BK)
    return torch.dot(left_EBK.view(-1), left_EBK.view(-1)), left_EBK


def weighted_mse_slope(p_EBK: Tensor, t_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of (t + 1)(p - t)^2, and half its gradient; p is overwritten."""
    left_EBK = p_EBK.sub_(t_BK)
    half_EBK = torch.addcmul(left_EBK, left_EBK, t_BK)
    return torch.dot(half_EBK.view(-1), left_EBK.view(-1)), half_EBK


SLOPES: dict[LossName, Slope] = {"mse": mse_slope, "weighted_mse": weighted_mse_slope}


def head_loss(codes_EBR: Tensor, B_RT: Tensor, bias: Tensor, t_BT: Tensor, slope: Slope) -> Tensor:
    """Return the mean loss of the predictions codes B + bias of all members.

    Predictions of all targets at once are some ten times the cache: a pass over them takes as long as the products.
    Here a block's predictions, loss and gradients are taken in one go, and never stored. On a GPU all is one block.

    Parameters
    ----------
    codes_EBR : torch.Tensor, shape (members, B, rank)
    B_RT : torch.Tensor, shape (rank, n_targets)
    bias : torch.Tensor, shape (n_targets,)
    t_BT : torch.Tensor, shape (B, n_targets)
    slope : callable
        Of `SLOPES`: from predictions and targets of a block to the sum of their losses and half its gradient.
    """
    return cast(Tensor, _HeadLoss.apply(codes_EBR, B_RT, bias, t_BT, slope))  # type: ignore[no-untyped-call]


class _HeadLoss(torch.autograd.Function):
    """Mean loss; gradients are found on the way there. The bias is the head's last row, and codes end in a one."""

    @staticmethod
    def forward(ctx: Any, codes_EBR: Tensor, B_RT: Tensor, bias: Tensor, t_BT: Tensor, slope: Slope) -> Tensor:
        """Return the mean over members, cells and targets."""
        n_members, n_cells, rank = codes_EBR.shape
        codes_NK = torch.nn.functional.pad(codes_EBR.reshape(-1, rank), (0, 1), value=1.0)
        head_KT = torch.cat((B_RT, bias[None]))
        total, codes_slope_NK, head_slope_KT = (
            codes_NK.new_zeros(()),
            torch.zeros_like(codes_NK),
            torch.empty_like(head_KT),
        )
        n_targets = t_BT.shape[1]
        width = n_targets if t_BT.is_cuda else max(BLOCK_VALUES // len(codes_NK), 16)
        for first in range(0, n_targets, width):
            block = slice(first, first + width)
            p_NK = codes_NK @ head_KT[:, block]
            value, half_EBK = slope(p_NK.view(n_members, n_cells, -1), t_BT[:, block])
            total += value
            codes_slope_NK.addmm_(half_EBK.view_as(p_NK), head_KT[:, block].T)
            torch.mm(codes_NK.T, half_EBK.view_as(p_NK), out=head_slope_KT[:, block])
        n_values = len(codes_NK) * n_targets
        ctx.save_for_backward(codes_slope_NK[:, :rank].view_as(codes_EBR), head_slope_KT)
        ctx.unit = 2 / n_values
        return total / n_values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of codes, head and bias."""
        codes_slope_EBR, head_slope_KT = ctx.saved_tensors
        unit = slopes[0] * ctx.unit
        head_KT = head_slope_KT * unit
        return codes_slope_EBR * unit, head_KT[:-1], head_KT[-1], None, None
