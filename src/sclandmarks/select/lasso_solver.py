"""The convex group lasso from second moments: one strength, warm-started, with its duality gap.

    min_W  1/(2 n) |Y V - X W|^2 + strength sum_g |W_g|

W is the first layer (one group of `width` weights a gene), V the head, fixed at the leading principal axes of the
targets. One pass over the cells gathers all that is needed, whatever their number.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.layers import cuda_devices
from sclandmarks.moments import gather
from sclandmarks.params import LassoPath
from sclandmarks.select import prox
from sclandmarks.select.base import SelectionTask, no_variance
from sclandmarks.select.gene_groups import GeneGroups

SMALLEST = 1e-5  # of lambda_max: where a path ends at the latest
MAX_PLACES = 2000
BEYOND = 1 + 1e-6  # rounding in float32


class Problem(NamedTuple):
    """The smooth part 1/2 tr(W' S W) - tr(W' C) + constant / 2, all divided by the number of cells.

    `group_G` numbers the group of every gene (row), from 0; without it each is its own.
    """

    S_GG: Tensor
    C_GH: Tensor
    constant: float
    group_G: Tensor | None = None

    def norms(self, W_AH: Tensor, members: Tensor | None = None) -> Tensor:
        """Norm of the group of each row, divided by the root of its size; `members` are the rows, whole groups."""
        if self.group_G is None:
            return prox.norms(W_AH)
        group_A = self.group_G if members is None else self.group_G[members]
        square_R = torch.zeros(int(self.group_G.max()) + 1).to(W_AH).index_add(0, group_A, W_AH.square().sum(1))
        return (square_R / torch.bincount(self.group_G).to(W_AH)).sqrt()[group_A]

    def largest(self) -> float:
        """Smallest strength that keeps every group out, see `largest`."""
        return _beyond(self.norms(self.C_GH))

    def gradient(self, W_AH: Tensor, active: Tensor) -> Tensor:
        """Gradient at weights that are zero outside `active`, shape (n_genes, width)."""
        return self.S_GG[:, active] @ W_AH - self.C_GH


class Place(NamedTuple):
    """A solution on the path: weights of the active genes, full gradient, certificate."""

    active: Tensor
    W_AH: Tensor
    gradient_GH: Tensor
    gap: float
    n_iterations: int


class Layout(NamedTuple):
    """What is fixed before a path: covariance, means, the scale of every gene, the head."""

    S_GG: Tensor
    mean_G: Tensor
    scale_G: Tensor
    axes_GH: Tensor

    def problem(self, scale_G: Tensor | None = None, groups: GeneGroups | None = None) -> Problem:
        """The problem of genes scaled by `scale_G`, by default by the layout's own; rows as the groups say."""
        scale_G = self.scale_G if scale_G is None else scale_G
        C_GH = self.S_GG @ self.axes_GH
        constant = float((self.axes_GH * C_GH).sum(dtype=torch.float64))
        plain = bool((scale_G == 1).all())
        S_GG = self.S_GG if plain else self.S_GG * scale_G * scale_G.unsqueeze(1)
        C_GH = C_GH * scale_G.unsqueeze(1)
        if groups is None:
            return Problem(S_GG, C_GH, constant)
        gene_R, group_R = (part.to(S_GG.device) for part in groups)
        return Problem(S_GG[gene_R][:, gene_R], C_GH[gene_R], constant, group_R)


def lay_out(task: SelectionTask, settings: LassoPath, seed: int) -> Layout:
    """Gather the moments of the training cells and fix the head; genes have unit variance where `standardise`."""
    every = torch.arange(task.genes.height)
    moments = gather(task.train.in_order(), every, task.device, torch.float32)
    S_GG, mean_G = moments.S_LG.to(task.device).div_(moments.n_cells), moments.mean_G.to(task.device)
    axes_GH = _principal_axes(S_GG, min(settings.width, task.genes.height), seed)
    variance_G = S_GG.diagonal()
    scale_G = torch.ones_like(variance_G)
    if settings.standardise:
        scale_G = torch.where(variance_G > 0, variance_G.clamp(min=1e-12).rsqrt(), 0)
    return Layout(S_GG, mean_G, scale_G, axes_GH)


def _principal_axes(S_GG: Tensor, width: int, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=cuda_devices(S_GG.device)):
        torch.manual_seed(seed)
        U_GH, _, _ = torch.svd_lowrank(S_GG, q=min(width + 10, len(S_GG)), niter=4)
    return U_GH[:, :width]


def largest(gradient_GH: Tensor) -> float:
    """Smallest strength that keeps every single gene out, from the gradient at W = 0.

    Raises
    ------
    PanelError
        If no gene varies over the training cells.
    """
    return _beyond(prox.norms(gradient_GH))


def _beyond(size_R: Tensor) -> float:
    if not (largest := float(size_R.max())):
        raise no_variance()
    return largest * BEYOND


def ratios(settings: LassoPath) -> list[float]:
    """Places of the path as parts of the largest strength, from 1 downwards to `lambda_ratio` if there is one."""
    end = settings.lambda_ratio or SMALLEST
    n = min(MAX_PLACES, math.ceil(math.log(end) / math.log(settings.path_ratio) - 1e-9))
    return [settings.path_ratio**i for i in range(n)] + [end] * (settings.lambda_ratio is not None)


def start(problem: Problem) -> Place:
    """Return the solution at the top of the path: no gene."""
    none = torch.zeros(0, dtype=torch.int64, device=problem.S_GG.device)
    return Place(none, problem.C_GH[:0], -problem.C_GH, 0.0, 0)


def solve(problem: Problem, strength: float, warm: Place, max_steps: int, tolerance: float) -> Place:
    """Solve at one strength from the solution at a larger one.

    Genes whose gradient could reach the penalty (sequential strong rule) form a working set; accelerated proximal
    gradient on it, then every gene's optimality is checked and violators join, until the duality gap is below
    `tolerance` times the variance to be explained.

    References
    ----------
    Tibshirani et al., JRSS B 2012, doi:10.1111/j.1467-9868.2011.01004.x (strong rules); Beck and Teboulle, SIAM J.
    Imaging Sci. 2009, doi:10.1137/080716542 (FISTA).
    """
    W_GH = torch.zeros_like(problem.C_GH)
    W_GH[warm.active] = warm.W_AH
    sizes = problem.norms(warm.gradient_GH)
    working = (sizes >= 2 * strength - float(sizes.max())) & (sizes >= 0.5 * strength) | (problem.norms(W_GH) > 0)
    total = 0
    while True:
        members = torch.nonzero(working).squeeze(1)
        W_AH, used = _fista(problem, strength, W_GH[members], members, max_steps, tolerance)
        total += used
        kept = problem.norms(W_AH, members) > 0
        active, W_AH = members[kept], W_AH[kept]
        gradient_GH = problem.gradient(W_AH, active)
        gap = duality_gap(problem, strength, W_AH, active, gradient_GH)
        W_GH.zero_()
        W_GH[active] = W_AH
        violators = ~working & (problem.norms(gradient_GH) > strength * (1 + 1e-4))
        if gap <= tolerance * problem.constant or (not violators.any() and total >= 5 * max_steps):
            return Place(active, W_AH, gradient_GH, gap, total)
        working |= violators


def _fista(
    problem: Problem, strength: float, W_AH: Tensor, members: Tensor, max_steps: int, tolerance: float
) -> tuple[Tensor, int]:
    """Accelerated proximal gradient on a working set, restarted where momentum points uphill."""
    S_AA, C_AH = problem.S_GG[members][:, members], problem.C_GH[members]
    rate = 1 / _largest_eigenvalue(S_AA)
    V_AH, momentum = W_AH, 1.0
    for step in range(1, max_steps + 1):
        moved_AH = V_AH - rate * (S_AA @ V_AH - C_AH)
        new_AH = prox.prox(moved_AH, rate * strength, problem.norms(moved_AH, members))
        change_AH = new_AH - W_AH
        if float(((V_AH - new_AH) * change_AH).sum()) > 0:
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        V_AH = new_AH + (momentum - 1) / following * change_AH
        W_AH, momentum = new_AH, following
        if step % 10 == 0 and float(change_AH.norm()) <= 1e-2 * tolerance * float(W_AH.norm()):
            return W_AH, step
    return W_AH, max_steps


def _largest_eigenvalue(S_AA: Tensor) -> float:
    v_A = torch.ones(len(S_AA), device=S_AA.device) / math.sqrt(max(len(S_AA), 1))
    for _ in range(30):
        u_A = S_AA @ v_A
        v_A = u_A / u_A.norm().clamp(min=1e-30)
    return 1.02 * float(v_A @ (S_AA @ v_A)) + 1e-12


def duality_gap(problem: Problem, strength: float, W_AH: Tensor, active: Tensor, gradient_GH: Tensor) -> float:
    """Primal minus dual objective, not negative up to rounding; zero at the optimum.

    The dual point is the residual, scaled to be feasible: |X_g' residual| / n <= strength for every gene.
    """
    inner = float((W_AH * problem.C_GH[active]).sum(dtype=torch.float64))
    fitted = float((W_AH * (gradient_GH[active] + problem.C_GH[active])).sum(dtype=torch.float64))
    residual = problem.constant - 2 * inner + fitted
    primal = residual / 2 + strength * float(problem.norms(W_AH, active).sum(dtype=torch.float64))
    scale = min(1.0, strength / max(float(problem.norms(gradient_GH).max()), 1e-30))
    dual = scale * (problem.constant - inner) - scale**2 * residual / 2
    return primal - dual
