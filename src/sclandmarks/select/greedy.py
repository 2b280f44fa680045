"""Greedy column subset selection: the genes that, one after another, explain most of the variance of the others."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from sclandmarks.learn.task import Hooks, Step
from sclandmarks.moments import gather
from sclandmarks.params import GreedyPanel
from sclandmarks.select.base import Selected, SelectionTask, rank_genes
from sclandmarks.select.residual import CellDeflation, Deflation, GramDeflation, Residual, centred

N_REPORTS = 100


class Entry(NamedTuple):
    """A chosen gene, what it added to the explained variance, and the explained fraction with it."""

    gene: int
    gain: float
    explained: float


def select_greedy(task: SelectionTask, settings: GreedyPanel, hooks: Hooks) -> Selected:
    """Choose forward; ranks are the order of entry, scores the gain of each as a part of the total variance.

    The ridge term lambda is `settings.ridge` times the mean variance of the genes: a constant, so that the held-back
    cells choose nothing.
    """
    deflation = open_deflation(task)
    total = float(deflation.variance_G.sum())
    residual = Residual(deflation, max(settings.ridge * total / task.genes.height, 1e-30))
    entries = choose(residual, task.n_landmarks, hooks)
    scores = [entry.gain / max(total, 1e-30) for entry in entries]
    reasons = [f"explains {score:.3g} of the total variance beyond those before" for score in scores]
    panel = rank_genes(task.genes, [entry.gene for entry in entries], scores, reasons)
    history = [
        Step(i + 1, {"explained": entry.explained, "gain": score})
        for i, (entry, score) in enumerate(zip(entries, scores, strict=True))
    ]
    return Selected(panel, history, {"explained": entries[-1].explained})


def open_deflation(task: SelectionTask) -> Deflation:
    """Hold the training cells where they are fewer than the genes, else the covariance, gathered in one pass."""
    n_genes, blocks = task.genes.height, task.train.in_order()
    weight_G = torch.ones(n_genes, dtype=torch.float64, device=task.device)
    if task.train.n_cells < n_genes:
        return CellDeflation(centred(blocks, task.train.n_cells, n_genes, task.device), weight_G)
    moments = gather(blocks, torch.arange(n_genes), task.device)
    return GramDeflation(moments.S_LG.to(task.device).div_(moments.n_cells), weight_G)


def choose(residual: Residual, n_landmarks: int, hooks: Hooks) -> list[Entry]:
    """Choose the gene of largest gain, again and again; of equals the first."""
    entries: list[Entry] = []
    every = math.ceil(n_landmarks / N_REPORTS)
    for step in range(1, n_landmarks + 1):
        gain, gene = residual.gains().masked_fill(residual.chosen_G, -1.0).max(0)
        residual.add(int(gene))
        entries.append(Entry(int(gene), float(gain), residual.explained_fraction()))
        if step % every == 0:
            hooks.on_epoch({"explained": entries[-1].explained, "gain": entries[-1].gain}, step)
    return entries
