"""Principal axes of the cells in the space of genes, and the genes of largest loadings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.learn.task import Hooks
from sclandmarks.params import LoadingsPanel
from sclandmarks.select.base import Selected, SelectionTask, no_variance, rank_genes
from sclandmarks.select.greedy import open_deflation
from sclandmarks.select.residual import Deflation


class PrincipalAxes(NamedTuple):
    """Orthonormal axes V_GT, shape (n_genes, n_axes), and the variance along each, falling; float64."""

    V_GT: Tensor
    variance_T: Tensor


def principal_axes(deflation: Deflation, n_axes: int) -> PrincipalAxes:
    """Leading eigenvectors of a covariance, by Lanczos' method from products with it; never more than there are.

    Raises
    ------
    PanelError
        If no gene varies over the training cells.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    like, n_genes = deflation.variance_G, len(deflation.variance_G)
    if not bool((like > 0).any()):
        raise no_variance()

    def multiply(v_G: NDArray[np.float64]) -> Any:
        return deflation.apply(torch.from_numpy(v_G.reshape(1, -1)).to(like))[0].cpu().numpy()

    first = np.random.default_rng(0).normal(size=n_genes)
    operator = LinearOperator((n_genes, n_genes), matvec=multiply, dtype=np.float64)
    variance_T, V_GT = eigsh(operator, k=min(n_axes, n_genes - 1), v0=first)
    largest = max(float(variance_T[-1]), 0.0)
    real = np.flatnonzero(variance_T > 1e-10 * largest)[::-1]
    return PrincipalAxes(*(torch.from_numpy(part.copy()).to(like) for part in (V_GT[:, real], variance_T[real])))


def select_pca_loadings(task: SelectionTask, settings: LoadingsPanel, hooks: Hooks) -> Selected:
    """The genes of largest summed squared loadings.

    `leverage` sums V_gt^2, as column subset selection by leverage scores does; `variance` sums th_t V_gt^2, the
    variance of a gene along the axes.

    References
    ----------
    Mahoney and Drineas, PNAS 2009, doi:10.1073/pnas.0803205106 (leverage scores).
    """
    axes = principal_axes(open_deflation(task), settings.n_components)
    counts_T = torch.ones_like(axes.variance_T) if settings.weight == "leverage" else axes.variance_T
    score_G = axes.V_GT.square() @ counts_T
    score, order = torch.sort(score_G, descending=True, stable=True)
    places, scores = order[: task.n_landmarks].tolist(), score[: task.n_landmarks].tolist()
    what = f"{settings.weight} {{:.3g}} on {len(axes.variance_T)} principal axes"
    return Selected(rank_genes(task.genes, places, scores, [what.format(one) for one in scores]))
