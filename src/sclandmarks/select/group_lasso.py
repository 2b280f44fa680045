"""Ours: group lasso on the first layer by exact proximal steps, along a warm-started path in lambda.

The network maps all genes to all genes: first layer W (one group of `width` weights a gene), head fixed at the
leading principal axes of the targets. With the head fixed the problem is convex, and each place of the path carries
its duality gap, see `lasso_solver`.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Step
from sclandmarks.moments import gather
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select import prox
from sclandmarks.select.base import Selected, SelectionTask
from sclandmarks.select.lasso_path import PathRecord, adaptive_scale
from sclandmarks.select.lasso_solver import Layout, Place, Problem, largest, lay_out, ratios, solve, start

log = logging.getLogger(__name__)


class Walked(NamedTuple):
    """The end of a path, every place's figures, and the genes that were in at each."""

    place: Place
    history: list[Step]
    record: PathRecord


def select_group_lasso(task: SelectionTask, settings: GroupLassoPanel, hooks: Hooks) -> Selected:
    """Walk down the path until enough genes are in, then rank them by group norm.

    An adaptive second path starts from the norms of a first one that goes on to twice as many genes.
    """
    layout = lay_out(task, settings, settings.seed)
    scale_G = layout.scale_G
    if settings.adaptive:
        n_first = min(2 * task.n_landmarks, task.genes.height)
        first = _walk(layout.problem(), settings, n_first, Hooks())
        scale_G = scale_G * adaptive_scale(_sizes(first.place, task.genes.height))
    problem = layout.problem(scale_G)
    walked = _walk(problem, settings, task.n_landmarks, hooks)
    _warn(task, settings, walked.history)
    size_G = _sizes(walked.place, task.genes.height)
    panel = walked.record.rank(task, size_G, prox.norms(walked.place.gradient_GH))
    last = walked.history[-1].metrics
    facts = {name: last[name] for name in ("gap", "n_active", "lambda_ratio")}
    if settings.refit:
        facts |= _refit(task, layout, walked.place, scale_G)
    return Selected(panel, walked.history, facts, walked.record.table(task.genes))


def _sizes(place: Place, n_genes: int) -> Tensor:
    size_G = torch.zeros(n_genes, device=place.W_AH.device)
    size_G[place.active] = prox.norms(place.W_AH)
    return size_G


def _walk(problem: Problem, settings: GroupLassoPanel, n_genes: int, hooks: Hooks) -> Walked:
    """Down the path until `n_genes` genes are in."""
    place, strength = start(problem), largest(problem.C_GH)
    walked = Walked(place, [], PathRecord(len(problem.C_GH)))
    for step, ratio in enumerate(ratios(settings)):
        place = solve(problem, ratio * strength, place, settings.max_steps, settings.tolerance)
        walked.record.note(step, ratio, _sizes(place, len(problem.C_GH)))
        walked.history.append(_step(step, ratio, place, problem.constant))
        hooks.on_epoch(walked.history[-1].metrics, step)
        if len(place.active) >= n_genes and settings.lambda_ratio is None:
            break
    return walked._replace(place=place)


def _step(step: int, ratio: float, place: Place, constant: float) -> Step:
    figures = {"lambda_ratio": ratio, "n_active": float(len(place.active)), "gap": place.gap / constant}
    return Step(step, figures | {"iterations": float(place.n_iterations)})


def _warn(task: SelectionTask, settings: GroupLassoPanel, history: list[Step]) -> None:
    worst, n_active = max(step.metrics["gap"] for step in history), history[-1].metrics["n_active"]
    if worst > settings.tolerance:
        log.warning("relative duality gap %.2g above tolerance: raise the panel's max_steps in params.yaml", worst)
    if n_active < task.n_landmarks:
        log.warning(
            "the path ended with %d of %d genes: the others are those nearest to entering", n_active, task.n_landmarks
        )


def _refit(task: SelectionTask, layout: Layout, place: Place, scale_G: Tensor) -> dict[str, float]:
    """Held-back error of the weights on the path, and of least squares on the same genes.

    Both as parts of the variance along the axes, of the held-back cells around their own mean.
    """
    genes = place.active
    S_AA, C_AH = (matrix[genes].double() for matrix in (layout.S_GG[:, genes], layout.S_GG @ layout.axes_GH))
    free_AH = torch.linalg.lstsq(S_AA, C_AH, driver="gelsd").solution if len(genes) else C_AH
    every = torch.arange(task.genes.height)
    held = gather(task.validation.in_order(), every, task.device, torch.float32)
    T_GG = held.S_LG.to(task.device).div_(held.n_cells)
    K_GH = T_GG @ layout.axes_GH
    total = float((K_GH * layout.axes_GH).sum())
    figures = {}
    for name, W_AH in {"path": place.W_AH * scale_G[genes, None], "refit": free_AH.to(T_GG)}.items():
        fitted = (W_AH * (T_GG[genes][:, genes] @ W_AH)).sum() - 2 * (W_AH * K_GH[genes]).sum()
        figures[f"{name}_validation_error"] = (total + float(fitted)) / total
    return figures
