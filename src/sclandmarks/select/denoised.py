"""Greedy selection for the reproducible part of the variance only.

Thin every count into two independent halves: x_a and x_b have the same expectation and independent noise, so their
covariance S_ab is free of it, the diagonal too. S itself is noise-free off the diagonal in expectation, and a gene's
own variance does not count anyway (`residual`). What noise does to the plain gains is that each of thousands of
targets is explained a little by chance. So the targets are here few: the leading axes V_t of S_ab, each counted by
the part of its variance th_t in the halves above a level n,

    gain_j = sum_t c_t B_tj^2 / (R_jj + lambda),  c_t = 1 - n / th_t,  B = V' R

n is the variance of the first axis left out, and at least the noise level that S_ab shows itself: minus its least
eigenvalue, as none is below zero but by noise. Axes far down are reproducible in the same cells, but hardly in
others: their directions are noise of the cells, not of the counts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.errors import PanelError
from sclandmarks.matrix import to_torch
from sclandmarks.params import GreedySearch
from sclandmarks.select.base import SelectionTask
from sclandmarks.select.projected import Projected
from sclandmarks.select.residual import Deflation

log = logging.getLogger(__name__)

SPARE = 20  # vectors more than axes wanted, so that those converge
N_PASSES = 6


class Axes(NamedTuple):
    """Directions of reproducible variance.

    V_GT are orthonormal, shape (n_genes, n_axes); th_T their variance in the halves, falling; level that of noise.
    """

    V_GT: Tensor
    th_T: Tensor
    level: float


def denoised_state(
    task: SelectionTask,
    deflation: Deflation,
    ridge: float,
    weight_G: Tensor,
    settings: GreedySearch,
    weight_C: Tensor | None = None,
) -> Projected:
    """Start with no gene chosen, for the axes that the halves of the training counts share, cells weighted.

    Raises
    ------
    PanelError
        If the task has no counts, or nothing is reproducible.
    """
    axes = reproducible_axes(task, weight_G, settings.n_axes, settings.seed, weight_C)
    if not len(axes.th_T):
        raise PanelError("variance that two halves of the counts share", "none", "Set denoised: false.")
    log.info("%d reproducible axes above the level %.3g", len(axes.th_T), axes.level)
    counts_T = (1 - axes.level / axes.th_T).sqrt()
    targets_TG = (axes.V_GT * counts_T).T * weight_G.to(task.device).sqrt()
    return Projected(deflation, targets_TG, ridge)


def reproducible_axes(
    task: SelectionTask, weight_G: Tensor, n_axes: int, seed: int, weight_C: Tensor | None = None
) -> Axes:
    """Leading eigenvectors of the covariance between halves, by subspace iteration over blocks of cells.

    References
    ----------
    Halko, Martinsson and Tropp, SIAM Review 2011, doi:10.1137/090771806.
    """
    n_genes = task.genes.height
    start = np.random.default_rng([seed, 1]).normal(size=(n_genes, min(n_axes + SPARE, n_genes)))
    Q_GT = torch.linalg.qr(torch.from_numpy(start).to(task.device)).Q
    root_G = weight_G.to(task.device).sqrt()
    weight_C = torch.ones(task.train.n_cells).double() if weight_C is None else weight_C
    root_C = weight_C.to(task.device).sqrt()
    for _ in range(N_PASSES):
        product_GT = _times_covariance(task, Q_GT, root_G, root_C, seed)
        th_T, mix_TT = torch.linalg.eigh(Q_GT.T @ product_GT)
        V_GT = (Q_GT @ mix_TT).flip(1)
        Q_GT = torch.linalg.qr(product_GT).Q
    th_T = th_T.flip(0)
    level = max(-float(th_T[-1]), float(th_T[n_axes]) if n_axes < len(th_T) else 0.0, 0.0)
    kept = torch.nonzero(th_T[:n_axes] > level).squeeze(1)
    return Axes(V_GT[:, kept], th_T[kept], level)


def _times_covariance(task: SelectionTask, Q_GT: Tensor, root_G: Tensor, root_C: Tensor, seed: int) -> Tensor:
    """Product of the covariance between halves, made symmetric, with some vectors: one pass over the cells.

    `root_G` and `root_C` are roots of the weights of genes and cells.
    """
    total_GT = torch.zeros_like(Q_GT)
    sums = [torch.zeros(len(Q_GT), dtype=torch.float64, device=task.device) for _ in range(2)]
    seen = 0
    for halves in _halves(task, seed):
        root_B1 = root_C[seen : seen + halves[0].shape[0]].unsqueeze(1)
        seen += len(root_B1)
        a_BG, b_BG = (to_torch(half, task.device).double() * root_G * root_B1 for half in halves)
        total_GT += a_BG.T @ (b_BG @ Q_GT) + b_BG.T @ (a_BG @ Q_GT)
        sums = [sums[0] + (a_BG * root_B1).sum(0), sums[1] + (b_BG * root_B1).sum(0)]
    a_G, b_G = (total_G / task.train.n_cells for total_G in sums)
    means_GT = torch.outer(a_G, b_G @ Q_GT) + torch.outer(b_G, a_G @ Q_GT)
    return total_GT / (2 * task.train.n_cells) - means_GT / 2


def _halves(task: SelectionTask, seed: int) -> Iterator[tuple[sparse.csr_matrix, sparse.csr_matrix]]:
    """Training counts split in two at random, read by read, and processed as the whole counts were."""
    if task.counts is None or task.normalise is None:
        raise PanelError("counts beside the task, and how they are processed", "none", "Give SelectionTask both.")
    for number, block in enumerate(task.counts.in_order()):
        rng, half = np.random.default_rng([seed, 0, number]), block.copy()
        half.data = rng.binomial(block.data.astype(np.int64), 0.5).astype(block.data.dtype)
        yield task.normalise(half), task.normalise(block - half)
