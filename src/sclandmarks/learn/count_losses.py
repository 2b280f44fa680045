"""Losses on counts: negative log-likelihoods without what does not depend on the prediction, as means."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sclandmarks.learn.blocked import BLOCK_VALUES
from sclandmarks.learn.count_link import Link
from sclandmarks.learn.layers import above_zero


def poisson(mean_BT: Tensor, n_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood m - n ln m of counts of mean m > 0, and its derivative by m."""
    return mean_BT - n_BT * mean_BT.log(), 1 - n_BT / mean_BT


def negative_binomial(mean_BT: Tensor, n_BT: Tensor, theta_T: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of counts of mean m > 0 and variance m + m^2 / theta, and its derivative by m.

    It is theta ln(1 + m / theta) + n ln(1 / theta + 1 / m): less terms of n and theta alone that vanish at n = 0.
    """
    share_BT = mean_BT / theta_T
    loss_BT = theta_T * share_BT.log1p() + n_BT * (share_BT.log1p() - mean_BT.log())
    return loss_BT, (mean_BT - n_BT) / (mean_BT * (share_BT + 1))


class CountLoss(torch.autograd.Function):
    """Mean loss of counts whose values have the means `above_zero(u)`; the gradient is found on the way forward.

    A block of targets at a time: what it takes stays in a core's cache, 2.3 times as fast. On a GPU all is one.
    """

    @staticmethod
    def forward(
        ctx: Any, u_EBT: Tensor, floor_T: Tensor, n_BT: Tensor, depth_B1: Tensor, link: Link, row_T: Tensor
    ) -> Tensor:
        """Return the mean over members, cells and targets."""
        by_u_EBT, total, n_targets = torch.empty_like(u_EBT), u_EBT.new_zeros(()), len(row_T)
        width = n_targets if u_EBT.is_cuda else max(BLOCK_VALUES * n_targets // max(u_EBT.numel(), 1), 16)
        for first in range(0, n_targets, width):
            block = slice(first, first + width)
            n_BK, floor_K, row_K = n_BT[:, block], floor_T[block], row_T[block]
            loss_EBK, by_u_EBK = _block(u_EBT[..., block], floor_K, n_BK, depth_B1, link, row_K)
            total += loss_EBK.sum()
            by_u_EBT[..., block] = by_u_EBK
        ctx.save_for_backward(by_u_EBT.div_(u_EBT.numel()))
        return total / u_EBT.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient by u."""
        (by_u_EBT,) = ctx.saved_tensors
        return grads[0] * by_u_EBT, None, None, None, None, None


def _block(
    u_EBK: Tensor, floor_K: Tensor, n_BK: Tensor, depth_B1: Tensor, link: Link, row_K: Tensor
) -> tuple[Tensor, Tensor]:
    """Losses of some targets, and their derivatives by u."""
    value_EBK = above_zero(u_EBK, floor_K)
    rate_EBK, slope_EBK = link.rates(value_EBK, row_K)
    loss_EBK, by_mean_EBK = _of_rates(rate_EBK.mul_(depth_B1), n_BK, link, row_K)
    bend_EBK = value_EBK.div_(torch.sqrt(u_EBK * u_EBK + floor_K * floor_K))
    return loss_EBK, by_mean_EBK.mul_(slope_EBK).mul_(bend_EBK).mul_(depth_B1)


def _of_rates(mean_EBT: Tensor, n_BT: Tensor, link: Link, row_T: Tensor) -> tuple[Tensor, Tensor]:
    if bool(link.theta_K.isinf().all()):
        return poisson(mean_EBT, n_BT)
    return negative_binomial(mean_EBT, n_BT, link.theta_K[row_T])


def count_loss(u_EBT: Tensor, floor_T: Tensor, n_BT: Tensor, depth_B1: Tensor, link: Link, row_T: Tensor) -> Tensor:
    """Mean negative log-likelihood of the counts of some cells, without what does not depend on u.

    Parameters
    ----------
    u_EBT : torch.Tensor, shape (members, B, n_targets)
        What is bent above zero to be means of values, see `count_link`.
    floor_T : torch.Tensor, shape (n_targets,)
        Where it bends.
    n_BT, depth_B1 : torch.Tensor
        Reads, and the cells' reads over `scale`.
    link : Link
        Of one infinite size: Poisson; else negative binomial.
    row_T : torch.Tensor of int64, shape (n_targets,)
        Each gene's place among the sizes of the link.
    """
    return cast(Tensor, CountLoss.apply(u_EBT, floor_T, n_BT, depth_B1, link, row_T))  # type: ignore[no-untyped-call]


def likelihood(u_BT: Tensor, n_BT: Tensor, depth_B1: Tensor, link: Link, row: int) -> Tensor:
    """Log-likelihood of each gene's counts at one size, but for what depends on n alone, shape (n_targets,).

    Parameters
    ----------
    u_BT : torch.Tensor, shape (B, n_targets)
        Means of values, above zero.
    n_BT, depth_B1, link
        As of `count_loss`, the size not infinite.
    row : int
        Place among the sizes.
    """
    theta_T = link.theta_K[row].expand(u_BT.shape[1])
    rate_BT, _ = link.rates(u_BT, torch.full_like(theta_T, row, dtype=torch.int64))
    loss_BT, _ = negative_binomial(rate_BT.mul_(depth_B1), n_BT, theta_T)
    return (torch.lgamma(n_BT + theta_T) - torch.lgamma(theta_T) - n_BT * theta_T.log() - loss_BT).sum(0)
