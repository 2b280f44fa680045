"""Correlations and AUROC of many rows at once, ties right, and how they move under resampling of the columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Aurocs(NamedTuple):
    """AUROC of zero against non-zero of every row.

    Parameters
    ----------
    value_R : torch.Tensor, shape (n_rows,), float64
        NaN for a row without zeros or without others.
    part_RX : torch.Tensor, shape (n_rows, n_columns)
        Structural components (DeLong et al. 1988): of a non-zero value the share of zeros predicted below it, of a
        zero the share of non-zero values predicted above it.
    """

    value_R: Tensor
    part_RX: Tensor


def average_ranks(values_RX: Tensor) -> Tensor:
    """Ranks within every row, 1 ... n_columns, equal values sharing their mean rank; same shape, float32."""
    n = values_RX.shape[1]
    place_RX = torch.from_numpy(np.argsort(values_RX.numpy(), axis=1))  # on a CPU several times as fast as torch's
    ordered_RX = values_RX.gather(1, place_RX)
    starts_RX = torch.ones_like(ordered_RX, dtype=torch.bool)
    starts_RX[:, 1:] = ordered_RX[:, 1:] != ordered_RX[:, :-1]
    rank_X = torch.arange(1, n + 1, dtype=torch.float32)
    if starts_RX.all():
        return torch.empty(values_RX.shape).scatter_(1, place_RX, rank_X.expand_as(ordered_RX))
    ends_RX = torch.ones_like(starts_RX)
    ends_RX[:, :-1] = starts_RX[:, 1:]
    first_RX = torch.where(starts_RX, rank_X, 0).cummax(dim=1).values
    last_RX = torch.where(ends_RX, rank_X, n).flip(1).cummin(dim=1).values.flip(1)
    return torch.empty(values_RX.shape).scatter_(1, place_RX, (first_RX + last_RX) / 2)


def correlations(a_RX: Tensor, b_RX: Tensor) -> Tensor:
    """Pearson correlation of every pair of rows, shape (n_rows,), float64.

    Where the measured `b` is constant it is NaN. Where the predicted `a` alone is constant it is 0: nothing of what
    varies is predicted, and leaving such rows out would flatter.
    """
    return centred_correlations(centre(a_RX), centre(b_RX))


def centred_correlations(a_RX: Tensor, b_RX: Tensor) -> Tensor:
    """Return `correlations` of rows that `centre` has centred."""
    product_R, a_R, b_R = (
        (left * right).sum(1, dtype=torch.float64) for left, right in ((a_RX, b_RX), (a_RX, a_RX), (b_RX, b_RX))
    )
    return _settle(product_R, a_R, b_R)


def resampled_correlations(a_RX: Tensor, b_RX: Tensor, weights_NX: Tensor) -> Tensor:
    """Pearson correlation of every pair of rows over weighted columns, shape (N, n_rows), float64.

    Parameters
    ----------
    a_RX, b_RX : torch.Tensor, shape (n_rows, n_columns)
        Centred over all columns, see `centre`: their sums are small. For Spearman's: ranks over all columns. They are
        not ranked again in each resample, which changes their correlation by less than its own spread.
    weights_NX : torch.Tensor, shape (N, n_columns)
    """
    total_N1 = weights_NX.sum(1, keepdim=True)
    parts = (a_RX, b_RX, a_RX * b_RX, a_RX.square(), b_RX.square())
    a_NR, b_NR, ab_NR, aa_NR, bb_NR = ((weights_NX @ part.T / total_N1).double() for part in parts)
    return _settle(ab_NR - a_NR * b_NR, aa_NR - a_NR.square(), bb_NR - b_NR.square())


def centre(values_RX: Tensor) -> Tensor:
    """Subtract the mean of every row; a constant row becomes exactly zero."""
    values_RX = values_RX - values_RX[:, :1]
    same_R1 = (values_RX == 0).all(1, keepdim=True)
    return torch.where(same_R1, 0, values_RX - values_RX.mean(1, dtype=torch.float64).float()[:, None])


def _settle(product: Tensor, a: Tensor, b: Tensor) -> Tensor:
    tiny = 1e-12
    found = (product / (a * b).clamp(min=1e-30).sqrt()).clamp(-1, 1)
    return torch.where(b <= tiny, torch.nan, torch.where(a <= tiny, 0.0, found))


def aurocs(rank_RX: Tensor, positive_RX: Tensor) -> Aurocs:
    """AUROC of every row from the ranks of its predictions.

    Parameters
    ----------
    rank_RX : torch.Tensor, shape (n_rows, n_columns)
        See `average_ranks`.
    positive_RX : torch.Tensor of bool, same shape
        Where the measured value is not zero.
    """
    n = rank_RX.shape[1]
    n_positive_R1 = positive_RX.sum(1, keepdim=True).float()
    within_RX = average_ranks(rank_RX + (n + 1) * positive_RX)  # zeros first, then the others
    below_RX = rank_RX - within_RX + (n - n_positive_R1) * positive_RX
    part_RX = torch.where(positive_RX, below_RX / (n - n_positive_R1), 1 - below_RX / n_positive_R1)
    sums_R = torch.where(positive_RX, part_RX, 0).sum(1, dtype=torch.float64)
    return Aurocs(sums_R / n_positive_R1[:, 0], part_RX)


def resampled_aurocs(found: Aurocs, positive_RX: Tensor, weights_NX: Tensor) -> Tensor:
    """AUROC of every row over weighted columns to first order, shape (N, n_rows), float64."""
    positive = positive_RX.float()
    means = []
    for chosen_RX in (positive, 1 - positive):
        part_RX = torch.where(chosen_RX > 0, found.part_RX, 0)
        means.append((weights_NX @ part_RX.T).double() / (weights_NX @ chosen_RX.T).double())
    return means[0] + means[1] - found.value_R
