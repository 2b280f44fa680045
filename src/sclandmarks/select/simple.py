"""The reference panel and the controls."""

from __future__ import annotations

import numpy as np
import torch

from sclandmarks.errors import PanelError
from sclandmarks.genes import l1000_landmarks, measured_landmarks
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import gene_positions, to_torch
from sclandmarks.params import L1000Panel, RandomPanel, TopVariancePanel
from sclandmarks.select.base import Selected, SelectionTask, rank_genes


def select_l1000(task: SelectionTask, settings: L1000Panel, hooks: Hooks) -> Selected:
    """The L1000 landmarks that are measured, whatever `n_landmarks` says; how many are missing is a fact.

    Raises
    ------
    PanelError
        If none is measured.
    """
    found = measured_landmarks(task.genes)
    if not found:
        raise PanelError(
            "human genes by symbol or Ensembl id",
            f"none of L1000's 978 landmarks among {task.genes['symbol'][:3].to_list()} and so on",
            "Check the organism and the gene names of the data set, or leave the l1000 panel out.",
        )
    order = gene_positions(task.genes, found)
    panel = rank_genes(task.genes, order.tolist(), [None] * len(order), ["landmark of L1000"] * len(order))
    missing = l1000_landmarks().height - len(found)
    return Selected(panel, facts={"n_measured": float(len(found)), "n_missing": float(missing)})


def select_random(task: SelectionTask, settings: RandomPanel, hooks: Hooks) -> Selected:
    """Genes drawn uniformly without replacement."""
    order = np.random.default_rng(settings.seed).permutation(task.genes.height)[: task.n_landmarks]
    reason = f"drawn at random, seed {settings.seed}"
    return Selected(rank_genes(task.genes, order.tolist(), [None] * len(order), [reason] * len(order)))


def select_top_variance(task: SelectionTask, settings: TopVariancePanel, hooks: Hooks) -> Selected:
    """The genes of largest variance over training cells."""
    variance = gene_variances(task).numpy()
    order = np.argsort(-variance, kind="stable")[: task.n_landmarks]
    scores = variance[order].tolist()
    reasons = [f"variance {score:.4g}" for score in scores]
    return Selected(rank_genes(task.genes, order.tolist(), scores, reasons))


def gene_variances(task: SelectionTask) -> torch.Tensor:
    """Variance of every gene over the training cells, shape (n_genes,), float64."""
    total = torch.zeros(task.genes.height, dtype=torch.float64, device=task.device)
    squares = torch.zeros_like(total)
    for block in task.train.in_order():
        D_BG = to_torch(block, task.device).double()
        total += D_BG.sum(0)
        squares += D_BG.square().sum(0)
    mean = total / task.train.n_cells
    return (squares / task.train.n_cells - mean.square()).clamp(min=0).cpu()
