"""Dropout by a random byte a value, and a ReLU layer with it, in as few passes over memory as they need."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ByteDropout(nn.Module):
    """Dropout whose masks take a byte a value, not two words: on a CPU most of a step went into them.

    Parameters
    ----------
    p : float
        Part that is dropped, rounded to 1 / 256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.n_dropped = min(round(256 * p), 255)

    @property
    def factor(self) -> float:
        """What the values that stay are multiplied by."""
        return 256 / (256 - self.n_dropped)

    def noise(self, x: Tensor) -> Tensor | None:
        """Return a random byte for each value in training, else None; a value stays where it is `n_dropped` or more."""
        if not self.training or not self.n_dropped:
            return None
        words = torch.randint(-(2**63), 2**63 - 1, ((x.numel() + 7) // 8,), device=x.device)
        return words.view(torch.uint8)[: x.numel()].view(x.shape)

    def forward(self, x: Tensor, *copies: int) -> Tensor:
        """Return values of which a part is zero and the others are larger, in training; else the same.

        With `copies`, the shape is (*copies, *x.shape), and each copy has its own zeros.
        """
        wide = x.expand(*copies, *x.shape)
        noise = self.noise(wide)
        return wide if noise is None else _zero((x * self.factor).expand_as(wide), noise, self.n_dropped)


def _zero(x: Tensor, noise: Tensor, n_dropped: int) -> Tensor:
    """Return x, and zero where the noise is below n_dropped: one pass, without a mask in between."""
    return cast(Tensor, torch.ops.aten.threshold_backward(x, noise, n_dropped - 1))


def relu_layer(x_EBI: Tensor, W_EIO: Tensor, c_EO: Tensor, dropout: ByteDropout) -> Tensor:
    """Return dropout(relu(x W + c)) of every member, shape (E, B, O); c has the shape (E, 1, O)."""
    noise_EBO = dropout.noise(x_EBI.new_empty(()).expand(*x_EBI.shape[:2], W_EIO.shape[2]))
    if noise_EBO is None:
        return torch.relu(torch.baddbmm(c_EO, x_EBI, W_EIO))
    return cast(Tensor, _ReluLayer.apply(x_EBI, W_EIO, c_EO, noise_EBO, dropout))  # type: ignore[no-untyped-call]


class _ReluLayer(torch.autograd.Function):
    """f relu(x W + c) = relu(f x W + f c), zero where the noise says so; what is zero passes no gradient.

    So no mask is kept: the factor f is a part of the product, and the output tells what is zero.
    """

    @staticmethod
    def forward(
        ctx: Any, x_EBI: Tensor, W_EIO: Tensor, c_EO: Tensor, noise_EBO: Tensor, dropout: ByteDropout
    ) -> Tensor:
        """Return the layer's values."""
        f, threshold = dropout.factor, dropout.n_dropped - 1
        h_EBO = torch.baddbmm(c_EO, x_EBI, W_EIO, beta=f, alpha=f).relu_()
        torch.ops.aten.threshold_backward.grad_input(h_EBO, noise_EBO, threshold, grad_input=h_EBO)
        ctx.save_for_backward(x_EBI, W_EIO, h_EBO)
        ctx.factor = f
        return h_EBO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, W and c."""
        x_EBI, W_EIO, h_EBO = ctx.saved_tensors
        g_EBO = torch.ops.aten.threshold_backward(slopes[0], h_EBO, 0)
        x = _times(g_EBO, W_EIO.mT, ctx.factor) if ctx.needs_input_grad[0] else None
        W = _times(x_EBI.mT, g_EBO, ctx.factor) if ctx.needs_input_grad[1] else None
        c = g_EBO.sum(1, keepdim=True).mul_(ctx.factor) if ctx.needs_input_grad[2] else None
        return x, W, c, None, None


def _times(a: Tensor, b: Tensor, factor: float) -> Tensor:
    """Return factor * a b of every member, without a pass for the factor."""
    return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=factor)
