"""The torch modules of all predictors, built from a small spec so that weights alone need be stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from sclandmarks.learn.layers import paper_layers, seeded

Kind = Literal["constant", "linear", "low_rank", "nearest", "kernel", "paper_network", "network"]


@dataclass(frozen=True)
class Spec:
    """Shape of a module.

    Parameters
    ----------
    kind : str
    n_landmarks, n_targets : int
    width, depth, rank : int
        Hidden units a layer, hidden layers or blocks, rank of a low-rank map; 0 where there is none. Of `nearest`,
        width is the number of cells kept and rank that of neighbours; of `kernel`, width is the number of cells kept.
    dropout : float
    """

    kind: Kind
    n_landmarks: int
    n_targets: int
    width: int = 0
    depth: int = 0
    rank: int = 0
    dropout: float = 0.0


class Constant(nn.Module):
    """y = b for every cell."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(spec.n_targets))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return the constants for each cell, shape (B, n_targets)."""
        return x_BL[:, :1] * 0 + self.bias


class LowRank(nn.Module):
    """y = (x - m) A B + b, with A (n_landmarks x rank) and B (rank x n_targets)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.center = nn.Parameter(torch.zeros(spec.n_landmarks))
        self.A_LR = nn.Parameter(torch.zeros(spec.n_landmarks, spec.rank))
        self.B_RT = nn.Parameter(torch.zeros(spec.rank, spec.n_targets))
        self.bias = nn.Parameter(torch.zeros(spec.n_targets))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        return (x_BL - self.center) @ self.A_LR @ self.B_RT + self.bias


def nearest(x_BL: Tensor, X_KL: Tensor, n_neighbours: int) -> Tensor:
    """Places of the nearest rows of X for every row of x, the nearest first, shape (B, n_neighbours).

    |x - X|^2 is ordered as |X|^2 - 2 x.X; unlike torch.cdist, this is the same computation for any number of rows, so
    that it can be exported.
    """
    return (X_KL.square().sum(1) - 2 * x_BL @ X_KL.T).topk(n_neighbours, largest=False).indices


class Nearest(nn.Module):
    """Mean targets of the `rank` kept cells that are nearest in the panel's values."""

    X_KL: Tensor
    Y_KT: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.n_neighbours = spec.rank
        self.register_buffer("X_KL", torch.zeros(spec.width, spec.n_landmarks))
        self.register_buffer("Y_KT", torch.zeros(spec.width, spec.n_targets))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        near_BK = nearest(x_BL, self.X_KL, self.n_neighbours)
        weights_BK = torch.zeros(x_BL.shape[0], self.X_KL.shape[0], device=x_BL.device)
        return weights_BK.scatter(1, near_BK, 1 / self.n_neighbours) @ self.Y_KT


def alike(z_BL: Tensor, Z_KL: Tensor, gamma: Tensor) -> Tensor:
    """Gaussian kernel exp(-gamma |z - Z|^2) of every row of z with every row of Z, shape (B, K)."""
    far_BK = z_BL.square().sum(1, keepdim=True) - 2 * z_BL @ Z_KL.T + Z_KL.square().sum(1)
    return torch.exp(-gamma * far_BK.clamp(min=0))


class Kernel(nn.Module):
    """y = (k(x) A - o) B + b: k the Gaussian kernel to the cells kept, A (cells x rank), B (rank x n_targets)."""

    center: Tensor
    scale: Tensor
    gamma: Tensor
    Z_KL: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(spec.n_landmarks))
        self.register_buffer("scale", torch.ones(spec.n_landmarks))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("Z_KL", torch.zeros(spec.width, spec.n_landmarks))
        self.A_KR = nn.Parameter(torch.zeros(spec.width, spec.rank))
        self.offset = nn.Parameter(torch.zeros(spec.rank))
        self.B_RT = nn.Parameter(torch.zeros(spec.rank, spec.n_targets))
        self.bias = nn.Parameter(torch.zeros(spec.n_targets))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        alike_BK = alike((x_BL - self.center) * self.scale, self.Z_KL, self.gamma)
        return (alike_BK @ self.A_KR - self.offset) @ self.B_RT + self.bias


class Block(nn.Module):
    """x + dropout(relu(W x + b)): a residual block."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BH: Tensor) -> Tensor:
        """Return hidden values of the same shape."""
        return cast(Tensor, x_BH + self.dropout(torch.relu(self.linear(x_BH))))


class Network(nn.Module):
    """Standardised input, one ReLU layer, residual blocks, linear output that starts at the training mean."""

    center: Tensor
    scale: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(spec.n_landmarks))
        self.register_buffer("scale", torch.ones(spec.n_landmarks))
        self.first = nn.Linear(spec.n_landmarks, spec.width)
        self.dropout = nn.Dropout(spec.dropout)
        self.blocks = nn.Sequential(*[Block(spec.width, spec.dropout) for _ in range(spec.depth)])
        self.last = nn.Linear(spec.width, spec.n_targets)

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        x_BL = (x_BL - self.center) * self.scale
        return cast(Tensor, self.last(self.blocks(self.dropout(torch.relu(self.first(x_BL))))))


def build(spec: Spec, seed: int = 0) -> nn.Module:
    """Build the module of a spec, with seeded weights to be set or trained; torch's own stream is left alone."""
    return seeded(lambda: _build(spec), seed)


def _build(spec: Spec) -> nn.Module:
    if spec.kind == "constant":
        return Constant(spec)
    if spec.kind == "linear":
        return nn.Linear(spec.n_landmarks, spec.n_targets)
    if spec.kind == "low_rank":
        return LowRank(spec)
    if spec.kind == "nearest":
        return Nearest(spec)
    if spec.kind == "kernel":
        return Kernel(spec)
    if spec.kind == "paper_network":
        return paper_layers(spec.n_landmarks, spec.n_targets, spec.width, spec.depth, spec.dropout)
    return Network(spec)
