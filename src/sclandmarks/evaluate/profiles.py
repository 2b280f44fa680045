"""Pseudo-bulk: whether the mean profile of a cell type is imputed right, and its marker genes are still found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.evaluate.bootstrap import centred
from sclandmarks.evaluate.predictions import Block
from sclandmarks.evaluate.targets import BoolArray
from sclandmarks.schema import UNKNOWN

FloatArray = NDArray[np.float64]
FLAT = 1e-10  # variance over genes that is rounding: an imputed profile that is the training mean
MIN_CELLS = 10  # test cells of a type, below which its mean is no profile


class Types(NamedTuple):
    """Cell types that have enough test cells.

    Parameters
    ----------
    names : polars.DataFrame
        Columns dataset, cell_type, n_cells.
    member_KC : numpy.ndarray of bool, shape (n_types, n_cells)
    """

    names: pl.DataFrame
    member_KC: BoolArray


def known_types(cells: pl.DataFrame, min_cells: int = MIN_CELLS) -> Types:
    """Annotated types of each data set with at least so many test cells."""
    names = (
        cells.filter(pl.col("cell_type") != UNKNOWN)
        .group_by("dataset", "cell_type")
        .agg(pl.len().cast(pl.Int64).alias("n_cells"))
        .filter(pl.col("n_cells") >= min_cells)
        .sort("dataset", "cell_type")
    )
    member = [
        ((cells["dataset"] == dataset) & (cells["cell_type"] == kind)).to_numpy()
        for dataset, kind, _ in names.iter_rows()
    ]
    return Types(names, np.array(member, dtype=np.bool_).reshape(names.height, cells.height))


class Profiles(NamedTuple):
    """Mean profiles of the types, imputed against measured, over some targets.

    Parameters
    ----------
    r_MK, change_MK, rmse_MK : numpy.ndarray, shape (1 + N, n_types)
        Correlation of the two profiles over genes; the same for their difference from the training mean, which
        predicting that mean leaves at 0; root mean squared difference. First row: all test cells; others: resamples.
    shared_K, jaccard_K : numpy.ndarray, shape (n_types,)
        Measured markers that are found in the imputed values, as a share, and Jaccard index of the two lists.
    """

    r_MK: FloatArray
    change_MK: FloatArray
    rmse_MK: FloatArray
    shared_K: FloatArray
    jaccard_K: FloatArray


class ProfileSums:
    """Adds up profiles over blocks of genes.

    Parameters
    ----------
    types : Types
    chosen_T : numpy.ndarray of bool, shape (n_targets,)
        Targets over which profiles are compared.
    mean_T : torch.Tensor, shape (n_targets,)
        Training means.
    weights_NC : numpy.ndarray, shape (N, n_cells)
    n_markers : int
        Length of a list of markers; at most a tenth of the chosen targets.
    """

    def __init__(
        self, types: Types, chosen_T: BoolArray, mean_T: Tensor, weights_NC: FloatArray, n_markers: int
    ) -> None:
        self.types, self.chosen_T, self.mean_T = types, chosen_T, mean_T
        weights_MC = np.concatenate([np.ones((1, weights_NC.shape[1])), weights_NC])
        self.members = [np.flatnonzero(member_C) for member_C in types.member_KC]
        self.weights = [torch.from_numpy(weights_MC[:, member]).float() for member in self.members]
        self.n_markers = min(n_markers, max(1, int(chosen_T.sum()) // 10))
        self._sums = torch.zeros(2, 6, len(weights_MC), len(self.members), dtype=torch.float64)
        self._scores: list[Tensor] = []

    def add(self, block: Block) -> None:
        """Add the next targets."""
        chosen = torch.from_numpy(self.chosen_T[block.places])
        p_SC, y_SC, mean_S = block.p_TC[chosen], block.y_TC[chosen], self.mean_T[block.places][chosen]
        for k, (member, weights_MC) in enumerate(zip(self.members, self.weights, strict=True)):
            total_M1 = weights_MC.sum(1, keepdim=True)
            p_MS, y_MS = (weights_MC @ values[:, member].T / total_M1 for values in (p_SC, y_SC))
            self._sums[0, :, :, k] += _products(p_MS, y_MS)
            self._sums[1, :, :, k] += _products(p_MS - mean_S, y_MS - mean_S)
        self._scores.append(torch.stack([self._welch(values) for values in (p_SC, y_SC)]))

    def _welch(self, values_SC: Tensor) -> Tensor:
        """Welch's t of each type against all other cells, shape (n_types, n_genes); 0 where nothing varies."""
        member_KC = torch.from_numpy(self.types.member_KC)
        parts = []
        for mask_KC in (member_KC.float(), (~member_KC).float()):
            n_K1 = mask_KC.sum(1, keepdim=True)
            mean_KS = mask_KC @ values_SC.T / n_K1
            spread_KS = (mask_KC @ values_SC.square().T / n_K1 - mean_KS.square()).clamp(min=0) / (n_K1 - 1)
            parts.append((mean_KS, spread_KS))
        (here, spread), (rest, spread_rest) = parts
        return ((here - rest) / (spread + spread_rest).sqrt().clamp(min=1e-6)).nan_to_num()

    def result(self) -> Profiles:
        """Return the comparison of all profiles."""
        (r_MK, rmse_MK), (change_MK, _) = (_compare(sums.numpy()) for sums in self._sums)
        r_MK, change_MK, rmse_MK = (_centre(part_MK) for part_MK in (r_MK, change_MK, rmse_MK))
        scores = torch.cat(self._scores, dim=2) if self._scores else torch.zeros(2, len(self.members), 0)
        pairs = [shared_markers(p_S, y_S, self.n_markers) for p_S, y_S in zip(*scores.numpy(), strict=True)]
        shared_K, jaccard_K = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return Profiles(r_MK, change_MK, rmse_MK, shared_K, jaccard_K)


def _centre(values_MK: FloatArray) -> FloatArray:
    """Shift the resamples of each type to its value: a mean of drawn cells is noisier than the mean of all."""
    resampled = [centred(values_M[1:], values_M[0]) for values_M in values_MK.T]
    shape = (values_MK.shape[1], len(values_MK) - 1)
    return np.concatenate([values_MK[:1], np.array(resampled).reshape(shape).T])


def _products(p_MS: Tensor, y_MS: Tensor) -> Tensor:
    """Sums over genes that correlation and error need, shape (6, M), float64."""
    ones = torch.ones_like(p_MS)
    parts = (ones, p_MS, y_MS, p_MS * y_MS, p_MS.square(), y_MS.square())
    return torch.stack([part.sum(1, dtype=torch.float64) for part in parts])


def _compare(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Correlation and root mean squared difference from the sums of `_products`; NaN of a type that was not drawn."""
    n, p, y, py, pp, yy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        p, y, py, pp, yy = p / n, y / n, py / n, pp / n, yy / n
        spread_p, spread_y = pp - p**2, yy - y**2
        r = (py - p * y) / np.sqrt(spread_p * spread_y)
        r = np.where(spread_p <= FLAT, np.where(spread_y > 0, 0.0, np.nan), r)
        return r, np.sqrt(np.maximum(pp - 2 * py + yy, 0))


def shared_markers(p_S: FloatArray, y_S: FloatArray, n_markers: int) -> tuple[float, float]:
    """Share of the measured markers that are found, and Jaccard index; markers are the largest positive scores.

    Parameters
    ----------
    p_S, y_S : numpy.ndarray, shape (n_genes,)
        Score of each gene in imputed and in measured values.
    n_markers : int

    Returns
    -------
    tuple of float
        NaN where nothing is a marker in the measured values.
    """
    found, true = (_top(scores_S, n_markers) for scores_S in (p_S, y_S))
    if not true:
        return float("nan"), float("nan")
    return len(found & true) / len(true), len(found & true) / len(found | true)


def _top(scores_S: FloatArray, n_markers: int) -> set[int]:
    order = np.argsort(-scores_S, kind="stable")[:n_markers]
    return {int(gene) for gene in order if scores_S[gene] > 0}
