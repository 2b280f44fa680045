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

from sclandmarks.errors import DataError
from sclandmarks.learn.task import Hooks, Step
from sclandmarks.moments import gather
from sclandmarks.params import GroupLassoPanel
from sclandmarks.select.base import Selected, SelectionTask
from sclandmarks.select.gene_groups import GeneGroups, find_groups
from sclandmarks.select.lasso_path import PathRecord, adaptive_scale, nearness
from sclandmarks.select.lasso_solver import Layout, Place, Problem, lay_out, ratios, solve, start

log = logging.getLogger(__name__)


class Walked(NamedTuple):
    """The end of a path, norms there, every place's figures, and the genes that were in at each."""

    place: Place
    size_R: Tensor
    history: list[Step]
    record: PathRecord


def select_group_lasso(task: SelectionTask, settings: GroupLassoPanel, hooks: Hooks) -> Selected:
    """Walk down the path until enough genes are in, then rank them by group norm.

    An adaptive second path starts from the norms of a first one that goes on to twice as many genes.

    Raises
    ------
    PanelError
        If a group names no measured gene, or more genes than the panel holds, or no gene varies.
    DataError
        If `refit` finds no held-back cells, or such that do not vary.
    """
    groups = find_groups(task, settings)
    layout = lay_out(task, settings, settings.seed)
    scale_G, first = layout.scale_G, None
    if settings.adaptive:
        n_first = min(2 * task.n_landmarks, task.genes.height)
        first = _walk(task, layout.problem(scale_G, groups), settings, n_first, groups, Hooks())
        scale_G = scale_G * adaptive_scale(_per_gene(task, first.size_R, groups))
    problem = layout.problem(scale_G, groups)
    walked = _walk(task, problem, settings, task.n_landmarks, groups, hooks)
    _warn(task, settings, walked.history)
    near_R = problem.norms(walked.place.gradient_GH)
    if first is not None:
        scale_R = scale_G if groups is None else scale_G[groups.gene_R.to(scale_G.device)]
        near_R = nearness(near_R, scale_R, problem.norms(first.place.gradient_GH))
    panel = walked.record.rank(task, walked.size_R, near_R, groups)
    last = walked.history[-1].metrics
    facts = {name: last[name] for name in ("gap", "n_active", "lambda_ratio")}
    if settings.refit:
        facts |= _refit(task, layout, walked.place, scale_G, groups)
    return Selected(panel, walked.history, facts, walked.record.table(task.genes))


def _per_gene(task: SelectionTask, size_R: Tensor, groups: GeneGroups | None) -> Tensor:
    return size_R if groups is None else groups.per_gene(size_R, task.genes.height)


def _sizes(problem: Problem, place: Place) -> Tensor:
    """Norm of every row, of its group where there are groups."""
    size_R = torch.zeros(len(problem.C_GH), device=place.W_AH.device)
    size_R[place.active] = problem.norms(place.W_AH, place.active)
    return size_R


def _walk(
    task: SelectionTask,
    problem: Problem,
    settings: GroupLassoPanel,
    n_genes: int,
    groups: GeneGroups | None,
    hooks: Hooks,
) -> Walked:
    """Down the path until `n_genes` genes are in."""
    place, strength = start(problem), problem.largest()
    walked = Walked(place, _sizes(problem, place), [], PathRecord(task.genes.height))
    for step, ratio in enumerate(ratios(settings)):
        place = solve(problem, ratio * strength, place, settings.max_steps, settings.tolerance)
        size_R = _sizes(problem, place)
        size_G = _per_gene(task, size_R, groups)
        walked.record.note(step, ratio, size_G)
        walked.history.append(_step(step, ratio, place, problem.constant, int((size_G > 0).sum())))
        hooks.on_epoch(walked.history[-1].metrics, step)
        walked = walked._replace(place=place, size_R=size_R)
        if walked.history[-1].metrics["n_active"] >= n_genes and settings.lambda_ratio is None:
            break
    return walked


def _step(step: int, ratio: float, place: Place, constant: float, n_active: int) -> Step:
    figures = {"lambda_ratio": ratio, "n_active": float(n_active), "gap": place.gap / constant}
    return Step(step, figures | {"iterations": float(place.n_iterations)})


def _warn(task: SelectionTask, settings: GroupLassoPanel, history: list[Step]) -> None:
    worst, n_active = max(step.metrics["gap"] for step in history), history[-1].metrics["n_active"]
    if worst > settings.tolerance:
        log.warning("relative duality gap %.2g above tolerance: raise the panel's max_steps in params.yaml", worst)
    if n_active < task.n_landmarks:
        log.warning(
            "the path ended with %d of %d genes: the others are those nearest to entering", n_active, task.n_landmarks
        )


def _refit(
    task: SelectionTask, layout: Layout, place: Place, scale_G: Tensor, groups: GeneGroups | None
) -> dict[str, float]:
    """Held-back error of the weights on the path, and of least squares on the same genes.

    Both as parts of the variance along the axes, of the held-back cells around their own mean.

    Raises
    ------
    DataError
        If there are no held-back cells, or they are all alike.
    """
    genes = place.active if groups is None else groups.gene_R.to(place.active.device)[place.active]
    S_AA, C_AH = (matrix[genes].double().cpu() for matrix in (layout.S_GG[:, genes], layout.S_GG @ layout.axes_GH))
    free_AH = torch.linalg.lstsq(S_AA, C_AH, driver="gelsd").solution if len(genes) else C_AH
    every = torch.arange(task.genes.height)
    held = gather(task.validation.in_order(), every, task.device, torch.float32)
    T_GG = held.S_LG.to(task.device).div_(held.n_cells)
    K_GH = T_GG @ layout.axes_GH
    total = float((K_GH * layout.axes_GH).sum())
    if total <= 0:
        raise DataError(
            "held-back cells that vary", f"{held.n_cells} that do not", "Set refit: false, or mend the split."
        )
    figures = {}
    for name, W_AH in {"path": place.W_AH * scale_G[genes, None], "refit": free_AH.to(T_GG)}.items():
        fitted = (W_AH * (T_GG[genes][:, genes] @ W_AH)).sum() - 2 * (W_AH * K_GH[genes]).sum()
        figures[f"{name}_validation_error"] = (total + float(fitted)) / total
    return figures
