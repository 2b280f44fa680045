"""Stability selection: a selector on resampled training cells, genes ranked by how often they are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.learn.task import Hooks, Step
from sclandmarks.matrix import Batches, IntArray, MemoryBatches, gene_positions
from sclandmarks.params import EnsemblePanel
from sclandmarks.select.base import Selected, SelectionTask, nested_task, rank_genes

BATCH = 256


def select_ensemble(task: SelectionTask, settings: EnsemblePanel, hooks: Hooks) -> Selected:
    """Choose from `n_resamples` samples of the training cells, drawn without replacement.

    Genes are ranked by the frequency with which `base` chooses them, of equals by their mean rank where chosen. A base
    with an `n_landmarks` of its own chooses so many from each sample. The training cells are held in memory, sparse.
    The fact `stability` is that of Nogueira et al.: 1 where all samples give the same genes, 0 where they agree as by
    chance.

    References
    ----------
    Meinshausen and Bühlmann, JRSS B 2010, doi:10.1111/j.1467-9868.2010.00740.x; Nogueira, Sechidis and Brown, JMLR
    18:174, 2018.
    """
    from sclandmarks.select import SELECTORS

    rng = np.random.default_rng(settings.seed)
    size = max(2, round(settings.fraction * task.train.n_cells))
    base = settings.base
    inner = nested_task(task, base)
    times_G, ranks_G = np.zeros(task.genes.height), np.zeros(task.genes.height)
    n_chosen: list[int] = []
    for number in range(settings.n_resamples):
        cells = np.sort(rng.choice(task.train.n_cells, min(size, task.train.n_cells), replace=False))
        panel = SELECTORS[base.selector](resampled(inner, cells, number), base, Hooks()).panel
        order = gene_positions(task.genes, panel["gene_id"].to_list())
        times_G[order] += 1
        ranks_G[order] += np.arange(1, len(order) + 1)
        n_chosen.append(len(order))
        hooks.on_epoch({"n_ever": float((times_G > 0).sum())}, number + 1)
    facts = {"stability": stability(times_G, n_chosen), "n_always": float((times_G == len(n_chosen)).sum())}
    return _rank(task, times_G, ranks_G, settings.n_resamples, facts)


def resampled(task: SelectionTask, cells: IntArray, seed: int) -> SelectionTask:
    """The task with some of its training cells, at these positions, rising."""
    counts = MemoryBatches(_some(task.counts, cells), BATCH, seed) if task.counts else None
    table = task.cells[cells] if task.cells is not None else None
    return replace(task, train=MemoryBatches(_some(task.train, cells), BATCH, seed), counts=counts, cells=table)


def _some(batches: Batches, cells: IntArray) -> sparse.csr_matrix:
    start, parts = 0, []
    for block in batches.in_order():
        first, last = np.searchsorted(cells, [start, start + block.shape[0]])
        parts.append(block[cells[first:last] - start])
        start += block.shape[0]
    return sparse.vstack(parts, format="csr")


def stability(times_G: NDArray[np.float64], n_chosen: Sequence[int]) -> float:
    """Stability of Nogueira et al. from how often each gene was chosen, and how many were each time."""
    n_times, share = len(n_chosen), float(np.mean(n_chosen)) / len(times_G)
    if n_times < 2 or share in (0.0, 1.0):
        return 1.0
    often_G = times_G / n_times
    spread = float((often_G * (1 - often_G)).mean()) * n_times / (n_times - 1)
    return 1 - spread / (share * (1 - share))


def _rank(
    task: SelectionTask,
    times_G: NDArray[np.float64],
    ranks_G: NDArray[np.float64],
    n_times: int,
    facts: dict[str, float],
) -> Selected:
    mean_G = np.where(times_G > 0, ranks_G / np.maximum(times_G, 1), np.inf)
    order = np.lexsort((mean_G, -times_G))[: task.n_landmarks].tolist()
    reasons = [
        f"chosen in {times_G[gene]:.0f} of {n_times} samples of the cells, mean rank {mean_G[gene]:.1f}"
        if times_G[gene]
        else f"chosen in none of {n_times} samples of the cells, fills up"
        for gene in order
    ]
    frequency = (times_G[order] / n_times).tolist()
    history = [Step(rank, {"frequency": one}) for rank, one in enumerate(frequency, 1)]
    return Selected(rank_genes(task.genes, order, frequency, reasons), history, facts)
