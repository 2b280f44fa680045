"""Greedy column subset selection: the genes that, one after another, explain most of the variance of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Step
from sclandmarks.moments import gather
from sclandmarks.params import GreedyPanel, GreedySearch
from sclandmarks.select.base import Selected, SelectionTask, rank_genes
from sclandmarks.select.constraints import Constraints, cell_weights, constrain
from sclandmarks.select.denoised import denoised_state
from sclandmarks.select.factors import Blended
from sclandmarks.select.forward import Entry, State, Swap, choose, exchange
from sclandmarks.select.residual import CellDeflation, Deflation, GramDeflation, Residual, centred


def select_greedy(task: SelectionTask, settings: GreedyPanel, hooks: Hooks) -> Selected:
    """Choose forward, then exchange; ranks are the order of entry, scores the gain of each.

    A gain is a part of the total variance. Genes to keep enter first. After exchanges the genes are put in order by
    choosing forward among them. The ridge term lambda is a constant, so that the held-back cells choose nothing.

    Raises
    ------
    PanelError
        If the wishes cannot be fulfilled, see `constraints.constrain`.
    """
    return search(task, settings, [], {}, hooks)


def search(
    task: SelectionTask, settings: GreedySearch, start: Sequence[int], why: Mapping[int, str], hooks: Hooks
) -> Selected:
    """Choose from the kept genes, then from those at positions `start`, then from all; then exchange.

    `why` says of genes of the start in words where they come from.
    """
    wishes = constrain(task, settings)
    state = open_state(task, settings, wishes)
    keep_G, start_G = _mask(task, wishes.keep), _mask(task, start) & wishes.allowed_G
    groups = [group.to(task.device) for group in (keep_G, start_G, wishes.allowed_G)]
    entries = choose(state, groups, task.n_landmarks, hooks)
    free = [entry.gene for entry in entries if not keep_G[entry.gene]]
    swaps, settled = exchange(state, free, groups[2], settings.sweeps, settings.max_swaps)
    if swaps:
        final_G = state.chosen_G.clone()
        state.reset()
        entries = choose(state, [groups[0], final_G], task.n_landmarks, Hooks())
    said = dict(why) | {swap.into: f"in place of {_symbol(task, swap)}" for swap in swaps}
    said |= dict.fromkeys(wishes.keep, "kept as wished")
    facts = {"explained": entries[-1].explained, "n_swaps": float(len(swaps)), "settled": float(settled)}
    return _selected(task, entries, said, facts)


def _symbol(task: SelectionTask, swap: Swap) -> str:
    return f"{task.genes['symbol'][swap.out]}, worth {swap.worth:.2g} of the total variance"


def _mask(task: SelectionTask, places: Sequence[int]) -> Tensor:
    mask_G = torch.zeros(task.genes.height, dtype=torch.bool)
    mask_G[list(places)] = True
    return mask_G


def _selected(
    task: SelectionTask, entries: Sequence[Entry], said: Mapping[int, str], facts: dict[str, float]
) -> Selected:
    reasons = [
        f"{said.get(entry.gene, 'added')}: explains {entry.gain:.3g} of the total variance beyond those before"
        for entry in entries
    ]
    panel = rank_genes(task.genes, [entry.gene for entry in entries], [entry.gain for entry in entries], reasons)
    history = [Step(i, {"explained": one.explained, "gain": one.gain}) for i, one in enumerate(entries, 1)]
    return Selected(panel, history, facts)


def open_state(task: SelectionTask, settings: GreedySearch, wishes: Constraints) -> State:
    """Start with no gene chosen; lambda is `settings.ridge` times the mean variance of the genes."""
    weight_C = cell_weights(task, settings)
    deflation = open_deflation(task, wishes.weight_G, weight_C)
    ridge = max(settings.ridge * float(deflation.variance_G.mean()), 1e-30)
    if settings.denoised:
        return denoised_state(task, deflation, ridge, wishes.weight_G, settings, weight_C)
    if settings.factor_share:
        return Blended(deflation, ridge, settings.n_factors, settings.factor_share)
    return Residual(deflation, ridge)


def open_deflation(task: SelectionTask, weight_G: Tensor | None = None, weight_C: Tensor | None = None) -> Deflation:
    """Hold the training cells where they are fewer than the genes, else the covariance, gathered in one pass."""
    n_genes, blocks = task.genes.height, task.train.in_order()
    weight_G = torch.ones(n_genes).double() if weight_G is None else weight_G
    weight_G = weight_G.to(task.device)
    if task.train.n_cells < n_genes:
        return CellDeflation(centred(blocks, task.train.n_cells, n_genes, task.device, weight_C), weight_G)
    moments = gather(blocks, torch.arange(n_genes), task.device, weight_C=weight_C)
    return GramDeflation(moments.S_LG.to(task.device).div_(moments.n_cells), weight_G)
