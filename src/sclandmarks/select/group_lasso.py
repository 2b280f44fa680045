"""Ours: group lasso on the first layer by exact proximal steps, along a warm-started path in lambda.

The network maps all genes to all genes: first layer W (one group of `width` weights a gene), head fixed at the
leading principal axes V of the targets. With the head fixed the problem is convex,

    min_W  1/(2 n) |Y V - X W|^2 + lambda sqrt(width) sum_g |W_g|,

and each place of the path carries its duality gap. It needs the genes' second moments alone: one pass over the
cells, whatever their number.
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.layers import cuda_devices
from sclandmarks.learn.task import Hooks, Step
from sclandmarks.moments import gather
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select import prox
from sclandmarks.select.base import Selected, SelectionTask, rank_genes

log = logging.getLogger(__name__)

SMALLEST = 1e-5  # of lambda_max: where a path ends at the latest
MAX_PLACES = 2000


class Problem(NamedTuple):
    """The smooth part 1/2 tr(W' S W) - tr(W' C) + constant / 2, all divided by the number of cells."""

    S_GG: Tensor
    C_GH: Tensor
    constant: float

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


def select_group_lasso(task: SelectionTask, settings: GroupLassoPanel, hooks: Hooks) -> Selected:
    """Walk down the path until enough genes are in, then rank them by group norm."""
    problem, _ = build_problem(task, settings)
    strengths = path(problem, settings.path_ratio)
    place = start(problem)
    entered = torch.full((task.genes.height,), math.nan, device=task.device)
    history: list[Step] = []
    for step, strength in enumerate(strengths):
        place = solve(problem, strength, place, settings.max_steps, settings.tolerance)
        ratio = strength / strengths[0]
        entered[place.active[torch.isnan(entered[place.active])]] = ratio
        history.append(_step(step, ratio, place, problem.constant))
        hooks.on_epoch(history[-1].metrics, step)
        if len(place.active) >= task.n_landmarks:
            break
    _warn(task, settings, history)
    return _rank(task, place, entered, history)


def _warn(task: SelectionTask, settings: GroupLassoPanel, history: list[Step]) -> None:
    worst, n_active = max(step.metrics["gap"] for step in history), history[-1].metrics["n_active"]
    if worst > settings.tolerance:
        log.warning("relative duality gap %.2g above tolerance: raise the panel's max_steps in params.yaml", worst)
    if n_active < task.n_landmarks:
        log.warning(
            "the path ended with %d of %d genes: the others are those nearest to entering", n_active, task.n_landmarks
        )


def build_problem(task: SelectionTask, settings: GroupLassoPanel) -> tuple[Problem, Tensor]:
    """Gather the moments of the training cells and fix the head.

    Returns
    -------
    Problem
        With genes scaled to unit variance where `settings.standardise`.
    torch.Tensor, shape (n_genes,)
        The scale of every gene.
    """
    every = torch.arange(task.genes.height)
    moments = gather(task.train.in_order(), every, task.device, torch.float32)
    S_GG = moments.S_LG.to(task.device) / moments.n_cells
    axes_GH = _principal_axes(S_GG, min(settings.width, task.genes.height), settings.seed)
    C_GH = S_GG @ axes_GH
    constant = float((axes_GH * C_GH).sum(dtype=torch.float64))
    scale_G = torch.ones_like(S_GG.diagonal())
    if settings.standardise:
        variance_G, mean_G = S_GG.diagonal(), moments.mean_G.to(S_GG)
        varies_G = variance_G > 1e-5 * mean_G.square()  # below, float32 cannot tell it from zero
        scale_G = torch.where(varies_G, variance_G.clamp(min=1e-12).rsqrt(), 0)
        S_GG = S_GG.mul_(scale_G).mul_(scale_G.unsqueeze(1))
    return Problem(S_GG, C_GH * scale_G.unsqueeze(1), constant), scale_G


def _principal_axes(S_GG: Tensor, width: int, seed: int) -> Tensor:
    with torch.random.fork_rng(devices=cuda_devices(S_GG.device)):
        torch.manual_seed(seed)
        U_GH, _, _ = torch.svd_lowrank(S_GG, q=min(width + 10, len(S_GG)), niter=4)
    return U_GH[:, :width]


def path(problem: Problem, ratio: float) -> list[float]:
    """Penalty strengths (lambda sqrt(width)) from the smallest that keeps every gene out, downwards."""
    largest = float(prox.norms(problem.C_GH).max()) * (1 + 1e-6)  # beyond rounding in float32
    return [largest * ratio**i for i in range(min(MAX_PLACES, math.ceil(math.log(SMALLEST) / math.log(ratio))))]


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
    sizes = prox.norms(warm.gradient_GH)
    working = (sizes >= 2 * strength - float(sizes.max())) & (sizes >= 0.5 * strength) | (prox.norms(W_GH) > 0)
    total = 0
    while True:
        members = torch.nonzero(working).squeeze(1)
        W_AH, used = _fista(problem, strength, W_GH[members], members, max_steps, tolerance)
        total += used
        kept = prox.norms(W_AH) > 0
        active, W_AH = members[kept], W_AH[kept]
        gradient_GH = problem.gradient(W_AH, active)
        gap = duality_gap(problem, strength, W_AH, active, gradient_GH)
        W_GH.zero_()
        W_GH[active] = W_AH
        violators = ~working & (prox.norms(gradient_GH) > strength * (1 + 1e-4))
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
        new_AH = prox.prox(V_AH - rate * (S_AA @ V_AH - C_AH), rate * strength)
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
    primal = residual / 2 + prox.value(W_AH, strength)
    scale = min(1.0, strength / max(float(prox.norms(gradient_GH).max()), 1e-30))
    dual = scale * (problem.constant - inner) - scale**2 * residual / 2
    return primal - dual


def _step(step: int, ratio: float, place: Place, constant: float) -> Step:
    figures = {"lambda_ratio": ratio, "n_active": float(len(place.active)), "gap": place.gap / constant}
    return Step(step, figures | {"iterations": float(place.n_iterations)})


def _rank(task: SelectionTask, place: Place, entered: Tensor, history: list[Step]) -> Selected:
    """Active genes by group norm; should the path end early, the others follow by how near they are to entering."""
    size_G = torch.zeros(task.genes.height, device=place.W_AH.device)
    size_G[place.active] = prox.norms(place.W_AH)
    nearness_G = prox.norms(place.gradient_GH)
    key_G = torch.where(size_G > 0, size_G + nearness_G.max(), nearness_G)
    order = torch.argsort(key_G, descending=True, stable=True)[: task.n_landmarks].tolist()
    reasons = [_reason(float(entered[gene])) for gene in order]
    panel = rank_genes(task.genes, order, [float(size_G[gene]) for gene in order], reasons)
    last = history[-1].metrics
    return Selected(
        panel, history, {"gap": last["gap"], "n_active": last["n_active"], "lambda_ratio": last["lambda_ratio"]}
    )


def _reason(entered: float) -> str:
    if math.isnan(entered):
        return "not on the path yet, nearest to entering"
    return f"entered the path at lambda = {entered:.3g} lambda_max"
