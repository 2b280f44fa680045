"""The torch modules of all predictors, built from a small spec so that weights alone need be stored."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, cast

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from sclandmarks.learn.layers import above_zero, paper_layers, seeded
from sclandmarks.params import Dropout
from sclandmarks.params.base import Count, Positive
from sclandmarks.predict.dropout import ByteDropout, relu_layer

Kind = Literal["constant", "linear", "low_rank", "nearest", "kernel", "paper_network", "d_gex", "network"]

FLOOR, LOWEST = 0.1, 1e-4  # where predictions bend above zero: part of the gene's mean, and least
Flag = Annotated[bool, Field(strict=True)]
SHAPES = 3  # raised when a module of the same spec gets other weights


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
    axes : int
        Principal axes of the panel that a `kernel` compares cells on; 0 for all others.
    dropout, input_dropout : float
        Of hidden units, and of inputs.
    members : int
        Networks whose mean is taken.
    panel_total : bool
        The panel's values are first normalised by their own total.
    positive : bool
        Whether predictions of `kernel` or `network` are bent above zero.
    adaptive : bool
        Whether a `kernel` weighs landmarks by what the targets depend on.
    version : int
        `SHAPES` of the code that built the module.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")  # where it is read back from a file

    kind: Kind
    n_landmarks: Positive
    n_targets: Positive
    width: Count = 0
    depth: Count = 0
    rank: Count = 0
    axes: Count = 0
    dropout: Dropout = 0.0
    input_dropout: Dropout = 0.0
    members: Count = 0
    panel_total: Flag = False
    positive: Flag = False
    adaptive: Flag = False
    version: Positive = SHAPES


def floors(mean_T: Tensor) -> Tensor:
    """Where predictions of genes with these means bend above zero."""
    return (FLOOR * mean_T).clamp(min=LOWEST)


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


def log_least(x_BL: Tensor) -> Tensor:
    """Logarithm of a cell's least positive value, shape (B, 1).

    This value mostly comes from one read: it is the larger, the fewer reads the cell has in all. A cell without any
    positive value counts as one of few reads.
    """
    return torch.where(x_BL > 0, x_BL, 1e3).amin(1, keepdim=True).log()


class Similar(nn.Module):
    """Mean of Gaussian kernels to the cells kept: of the scaled landmarks, and of what they show above noise.

    With z = (x - center) scale the first is exp(-gamma |z - Z|^2). The second compares (z V, d) in place of z: V holds
    principal axes, each times the part of its variance that is no noise, and d tells the depth of a cell.

    With `spec.adaptive` the first compares z weight, and there is a third: it compares (z T, t d), where T holds the
    axes on which the targets depend, and t weighs the depth among them.
    """

    LIMIT = 3.0

    center: Tensor
    scale: Tensor
    gamma: Tensor
    Z_KL: Tensor
    V_LA: Tensor
    depth: Tensor
    gamma_axes: Tensor
    U_KA: Tensor
    weight: Tensor | None
    T_LA: Tensor
    t: Tensor
    gamma_learned: Tensor
    H_KA: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(spec.n_landmarks))
        self.register_buffer("scale", torch.ones(spec.n_landmarks))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("Z_KL", torch.zeros(spec.width, spec.n_landmarks))
        self.register_buffer("V_LA", torch.zeros(spec.n_landmarks, spec.axes))
        self.register_buffer("depth", torch.tensor([0.0, 1.0, 1.0]))
        self.register_buffer("gamma_axes", torch.ones(()))
        self.register_buffer("U_KA", torch.zeros(spec.width, spec.axes + 1))
        self.register_buffer("weight", torch.ones(spec.n_landmarks) if spec.adaptive else None)
        if spec.adaptive:
            self.register_buffer("T_LA", torch.zeros(spec.n_landmarks, spec.axes))
            self.register_buffer("t", torch.ones(()))
            self.register_buffer("gamma_learned", torch.ones(()))
            self.register_buffer("H_KA", torch.zeros(spec.width, spec.axes + 1))

    def scaled(self, x_BL: Tensor) -> Tensor:
        """Return z, shape (B, n_landmarks)."""
        return (x_BL - self.center) * self.scale

    def weighed(self, x_BL: Tensor) -> Tensor:
        """Return what the first kernel compares, shape (B, n_landmarks)."""
        z_BL = self.scaled(x_BL)
        return z_BL if self.weight is None else z_BL * self.weight

    def deep(self, x_BL: Tensor) -> Tensor:
        """Depth: `log_least`, centred, scaled, limited to +-`LIMIT` and times its weight (`depth`), shape (B, 1)."""
        return ((log_least(x_BL) - self.depth[0]) * self.depth[1]).clamp(-self.LIMIT, self.LIMIT) * self.depth[2]

    def on_axes(self, x_BL: Tensor) -> Tensor:
        """Scores on the axes, and the depth, shape (B, n_axes + 1)."""
        return torch.cat([self.scaled(x_BL) @ self.V_LA, self.deep(x_BL)], 1)

    def on_learned(self, x_BL: Tensor) -> Tensor:
        """Scores on the axes that the targets depend on, and the depth, shape (B, n_axes + 1)."""
        return torch.cat([self.scaled(x_BL) @ self.T_LA, self.deep(x_BL) * self.t], 1)

    def alike(self, x_BL: Tensor) -> Tensor:
        """Return how alike cells are to the cells kept, between 0 and 1, shape (B, n_kept)."""
        by_axes_BK = alike(self.on_axes(x_BL), self.U_KA, self.gamma_axes)
        two_BK = alike(self.weighed(x_BL), self.Z_KL, self.gamma) + by_axes_BK
        if self.weight is None:
            return two_BK / 2
        return (two_BK + alike(self.on_learned(x_BL), self.H_KA, self.gamma_learned)) / 3


class Kernel(Similar):
    """y = (k(x) A - o) B + b: k how alike a cell is to those kept, A (cells x rank), B (rank x n_targets).

    With `spec.positive`, predictions are `above_zero(y, floor)`.
    """

    floor: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("floor", torch.ones(spec.n_targets) if spec.positive else None)
        self.A_KR = nn.Parameter(torch.zeros(spec.width, spec.rank))
        self.offset = nn.Parameter(torch.zeros(spec.rank))
        self.B_RT = nn.Parameter(torch.zeros(spec.rank, spec.n_targets))
        self.bias = nn.Parameter(torch.zeros(spec.n_targets))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        y_BT = (self.alike(x_BL) @ self.A_KR - self.offset) @ self.B_RT + self.bias
        return y_BT if self.floor is None else above_zero(y_BT, self.floor)


class Blocks(nn.Module):
    """Members side by side: h + dropout(relu(h W + c)), a residual block of each."""

    def __init__(self, members: int, width: int, dropout: float) -> None:
        super().__init__()
        self.W_EHH = nn.Parameter(torch.randn(members, width, width) / width**0.5)
        self.c_EH = nn.Parameter(torch.zeros(members, 1, width))
        self.dropout = ByteDropout(dropout)

    def forward(self, h_EBH: Tensor) -> Tensor:
        """Return hidden values of the same shape."""
        return h_EBH + relu_layer(h_EBH, self.W_EHH, self.c_EH, self.dropout)


class Network(nn.Module):
    """y = ((x - m) A + mean_e g_e(z)) B + b: a low-rank linear path, and the mean of members that add what bends.

    z = (x - m) s is the scaled panel; member e is a ReLU layer and residual blocks on z, with as many outputs as the
    linear path. A member's last layer is zero at first: the module then is the linear path. With `spec.positive`,
    predictions are `above_zero(y, floor)`.
    """

    center: Tensor
    scale: Tensor
    unit: Tensor
    floor: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        members, width, rank = spec.members, spec.width, spec.rank
        self.register_buffer("center", torch.zeros(spec.n_landmarks))
        self.register_buffer("scale", torch.ones(spec.n_landmarks))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("floor", torch.ones(spec.n_targets) if spec.positive else None)
        self.A_LR = nn.Parameter(torch.zeros(spec.n_landmarks, rank))
        self.B_RT = nn.Parameter(torch.zeros(rank, spec.n_targets))
        self.bias = nn.Parameter(torch.zeros(spec.n_targets))
        self.first_ELH = nn.Parameter(torch.randn(members, spec.n_landmarks, width) / spec.n_landmarks**0.5)
        self.c_EH = nn.Parameter(2 * torch.rand(members, 1, width) - 1)
        self.input_dropout, self.dropout = ByteDropout(spec.input_dropout), ByteDropout(spec.dropout)
        self.blocks = nn.Sequential(*[Blocks(members, width, spec.dropout) for _ in range(spec.depth)])
        self.last_EHR = nn.Parameter(torch.zeros(members, width, rank))

    def codes(self, x_BL: Tensor) -> Tensor:
        """What each member puts before the head, shape (members, B, rank)."""
        deviation_BL = x_BL - self.center
        z_EBL = self.input_dropout(deviation_BL * self.scale, len(self.first_ELH))
        h_EBH = relu_layer(z_EBL, self.first_ELH, self.c_EH, self.dropout)
        return deviation_BL @ self.A_LR + self.unit * torch.bmm(self.blocks(h_EBH), self.last_EHR)

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        y_BT = self.codes(x_BL).mean(0) @ self.B_RT + self.bias
        return y_BT if self.floor is None else above_zero(y_BT, self.floor)


class DGex(nn.Module):
    """y = g(z) s + b: z and g(z) are genes of mean 0 and deviation 1; g has tanh layers, dropout, and a linear output.

    Weights start uniform in +-sqrt(6 / (n_in + n_out)), those of the output in +-`NEAR_ZERO`, and biases at 0, as in
    the authors' code.
    """

    NEAR_ZERO = 1e-4

    center: Tensor
    scale: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(spec.n_landmarks))
        self.register_buffer("scale", torch.ones(spec.n_landmarks))
        self.register_buffer("mean", torch.zeros(spec.n_targets))
        self.register_buffer("deviation", torch.ones(spec.n_targets))
        layers: list[nn.Module] = []
        for before, after in pairwise([spec.n_landmarks] + [spec.width] * spec.depth):
            layers += [_uniform(before, after, (6 / (before + after)) ** 0.5), nn.Tanh(), nn.Dropout(spec.dropout)]
        self.layers = nn.Sequential(*layers, _uniform(spec.width, spec.n_targets, self.NEAR_ZERO))

    def standardised(self, x_BL: Tensor) -> Tensor:
        """Return predictions on the scale of mean 0 and deviation 1, shape (B, n_targets)."""
        return cast(Tensor, self.layers((x_BL - self.center) * self.scale))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        return self.standardised(x_BL) * self.deviation + self.mean


def _uniform(before: int, after: int, limit: float) -> nn.Linear:
    layer = nn.Linear(before, after)
    nn.init.uniform_(layer.weight, -limit, limit)
    nn.init.zeros_(layer.bias)
    return layer


class OwnTotal(nn.Module):
    """x' = log(1 + s r / sum(r)), with rates r = base^x - 1 of the panel and s their typical sum.

    The sum is what makes values depend on all reads of a cell: x' is the same for x = log(1 + a r) with any a > 0, the
    panel's raw counts among them. A cell without reads of the panel stays zero. Sums are taken in float64.

    Parameters
    ----------
    ln_base : float
        Natural logarithm of the base of the values.
    typical : float
        Sum of the panel's rates in a typical cell.
    """

    ln_base: Tensor
    typical: Tensor

    def __init__(self, ln_base: float = 1.0, typical: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("ln_base", torch.tensor(ln_base, dtype=torch.float64))
        self.register_buffer("typical", torch.tensor(typical, dtype=torch.float64))

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return the panel's values, normalised by their own total, of the same shape."""
        rate_BL = torch.expm1(x_BL.double() * self.ln_base)
        total_B1 = rate_BL.sum(1, keepdim=True)
        share_BL = rate_BL / torch.where(total_B1 > 0, total_B1, 1.0)
        return (torch.log1p(self.typical * share_BL) / self.ln_base).to(x_BL.dtype)


class ByOwnTotal(nn.Module):
    """A module on a panel that is first normalised by its own total."""

    def __init__(self, total: OwnTotal, module: nn.Module) -> None:
        super().__init__()
        self.total, self.module = total, module

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return predictions, shape (B, n_targets)."""
        return cast(Tensor, self.module(self.total(x_BL)))


def build(spec: Spec, seed: int = 0) -> nn.Module:
    """Build the module of a spec, with seeded weights to be set or trained; torch's own stream is left alone."""
    module = seeded(lambda: _build(spec), seed)
    return ByOwnTotal(OwnTotal(), module) if spec.panel_total else module


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
    if spec.kind == "d_gex":
        return DGex(spec)
    return Network(spec)
