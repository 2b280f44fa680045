"""The group-lasso penalty: value, proximal operator, distance to its subdifferential, dual norm."""

from __future__ import annotations

import torch
from torch import Tensor


def norms(W_GH: Tensor) -> Tensor:
    """Euclidean norm of every gene's weights, shape (n_genes,)."""
    size_G: Tensor = torch.linalg.vector_norm(W_GH, dim=1)
    return size_G


def value(W_GH: Tensor, strength: float) -> float:
    """Return strength x sum_g |W_g|."""
    return strength * float(norms(W_GH).sum(dtype=torch.float64))


def prox(W_GH: Tensor, threshold: float | Tensor, size_G: Tensor | None = None) -> Tensor:
    """Group soft threshold: W_g <- max(0, 1 - threshold / |W_g|) W_g, which gives exact zeros.

    Parameters
    ----------
    W_GH : torch.Tensor, shape (n_genes, width)
        One group a row.
    threshold : float or torch.Tensor, shape (n_genes, 1)
        Step size times penalty strength, in the units of W.
    size_G : torch.Tensor, shape (n_genes,), optional
        |W_g|, where it is not the norm of the row: of groups of several genes.

    References
    ----------
    Yuan and Lin, JRSS B 2006, doi:10.1111/j.1467-9868.2005.00532.x
    """
    size_G1 = (norms(W_GH) if size_G is None else size_G).unsqueeze(1)
    return W_GH * torch.where(size_G1 > threshold, 1 - threshold / size_G1, torch.zeros_like(size_G1))


def distance(W_GH: Tensor, gradient_GH: Tensor, strength: float) -> Tensor:
    """Distance of minus the gradient to the penalty's subdifferential, a gene; all zero at the optimum.

    For W_g = 0 it is max(0, |gradient_g| - strength), else |gradient_g + strength W_g / |W_g||.

    Returns
    -------
    torch.Tensor, shape (n_genes,)
    """
    size_G1 = norms(W_GH).unsqueeze(1)
    inactive = (norms(gradient_GH) - strength).clamp(min=0)
    active = norms(gradient_GH + strength * W_GH / size_G1.clamp(min=torch.finfo(W_GH.dtype).tiny))
    return torch.where(size_G1.squeeze(1) > 0, active, inactive)
