"""Highly variable genes: more variable than their mean lets expect. From counts, as scanpy computes them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import PanelError
from sclandmarks.learn.task import Hooks
from sclandmarks.params import HvgPanel
from sclandmarks.select.base import Selected, SelectionTask, rank_genes

SCALE = 1e4  # reads of every cell, as in scanpy's tutorials
Floats = NDArray[np.float64]


def select_hvg(task: SelectionTask, settings: HvgPanel, hooks: Hooks) -> Selected:
    """The genes of largest normalised dispersion (`seurat`) or of most variable Pearson residuals (`pearson`).

    Raises
    ------
    PanelError
        If the task has no counts.
    """
    if settings.flavour == "seurat":
        score_G, what = normalised_dispersions(task, settings.n_bins), "normalised dispersion"
    else:
        score_G, what = residual_variances(task, settings.theta), "variance of Pearson residuals"
    score_G = np.nan_to_num(score_G, nan=-np.inf)
    order = np.argsort(-score_G, kind="stable")[: task.n_landmarks]
    scores = [float(score_G[gene]) if np.isfinite(score_G[gene]) else None for gene in order]
    reasons = [f"{what} {score_G[gene]:.3g}" for gene in order]
    return Selected(rank_genes(task.genes, order.tolist(), scores, reasons))


def normalised_dispersions(task: SelectionTask, n_bins: int) -> Floats:
    """log(variance / mean) of every gene, less the mean and over the deviation of the genes of its bin of means.

    Cells are scaled to 10,000 reads. NaN for a gene without variance.

    References
    ----------
    Satija et al., Nature Biotechnology 2015, doi:10.1038/nbt.3192; scanpy.pp.highly_variable_genes.
    """
    n_cells, total_G, square_G = task.train.n_cells, np.zeros(task.genes.height), np.zeros(task.genes.height)
    for block in _counts(task):
        scaled = sparse.diags(SCALE / np.maximum(_sums(block, 1), 1)) @ block
        total_G += _sums(scaled, 0)
        square_G += _sums(scaled.multiply(scaled), 0)
    mean_G = total_G / n_cells
    variance_G = (square_G / n_cells - mean_G**2) * n_cells / max(n_cells - 1, 1)
    mean_G[mean_G == 0] = 1e-12
    dispersion_G = variance_G / mean_G
    dispersion_G[dispersion_G <= 1e-12 * mean_G] = np.nan
    return _within_bins(np.log(dispersion_G), np.log1p(mean_G), n_bins)


def _within_bins(value_G: Floats, mean_G: Floats, n_bins: int) -> Floats:
    """Standardise within bins of equal width of the means; a gene alone in its bin gets 1."""
    low, high = mean_G.min(), mean_G.max()
    edges = np.linspace(low, high, n_bins + 1)
    edges[0] -= 1e-3 * (high - low)  # as pandas.cut does, bins being open below
    bin_G = np.clip(np.searchsorted(edges, mean_G, side="left") - 1, 0, n_bins - 1)
    result_G = np.full_like(value_G, np.nan)
    for number in np.unique(bin_G):
        members = np.flatnonzero((bin_G == number) & np.isfinite(value_G))
        values = value_G[members]
        with np.errstate(invalid="ignore"):  # genes that are all alike: NaN
            result_G[members] = (values - values.mean()) / values.std(ddof=1) if len(members) > 1 else 1.0
    return result_G


def residual_variances(task: SelectionTask, theta: float) -> Floats:
    """Variance of the Pearson residuals (k - mu) / sqrt(mu + mu^2 / theta), cut at sqrt(n_cells), of every gene.

    mu is the product of the shares of cell and gene in all reads. Two passes over the counts.

    References
    ----------
    Lause, Berens and Kobak, Genome Biology 2021, doi:10.1186/s13059-021-02451-7.
    """
    gene_G = np.sum([_sums(block, 0) for block in _counts(task)], axis=0)
    share_G, most = gene_G / max(gene_G.sum(), 1), math.sqrt(task.train.n_cells)
    total_G, square_G = np.zeros_like(share_G), np.zeros_like(share_G)
    for block in _counts(task):
        mu_BG = np.outer(_sums(block, 1), share_G)
        with np.errstate(invalid="ignore"):
            residual_BG = np.clip((block.toarray() - mu_BG) / np.sqrt(mu_BG + mu_BG**2 / theta), -most, most)
        residual_BG = np.nan_to_num(residual_BG)
        total_G += residual_BG.sum(0)
        square_G += np.square(residual_BG).sum(0)
    return np.asarray(square_G / task.train.n_cells - (total_G / task.train.n_cells) ** 2)


def _sums(block: sparse.csr_matrix, axis: int) -> Floats:
    return np.asarray(block.sum(axis=axis, dtype=np.float64)).ravel()


def _counts(task: SelectionTask) -> Iterator[sparse.csr_matrix]:
    if task.counts is None:
        raise PanelError("counts beside the task", "none", "Give SelectionTask its counts.")
    return task.counts.in_order()
