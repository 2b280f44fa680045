"""What is judged gene by gene over all test cells: errors, correlations, AUROC, and their resamples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.evaluate import ranks
from sclandmarks.evaluate.predictions import Block

FloatArray = NDArray[np.float64]
Ranker = Callable[[NDArray[np.int64], Tensor], Tensor]
MOST_RESAMPLES = 200  # of all; what is resampled gene by gene costs resamples x cells x genes


@dataclass(frozen=True)
class GenePass:
    """Figures of every target over the test cells; arrays of shape (n_targets,) and (N, n_targets), N <= 200.

    Parameters
    ----------
    mse_T, baseline_T : numpy.ndarray
        Mean squared error of the fit and of the training mean.
    variance_T : numpy.ndarray
        Over test cells; exactly 0 for a constant gene.
    pearson_T, spearman_T : numpy.ndarray
        NaN for a constant gene, 0 for a constant prediction.
    auroc_T : numpy.ndarray
        Of zero against non-zero; NaN for a gene without zeros or without others.
    mse_NT, baseline_NT, r2_NT, pearson_NT, spearman_NT, auroc_NT : numpy.ndarray
        The same over resampled cells. R^2 is about the mean over all test cells: the same zero point in each.
        Correlations are NaN in a resample without a read of the gene.
    """

    mse_T: FloatArray
    baseline_T: FloatArray
    variance_T: FloatArray
    pearson_T: FloatArray
    spearman_T: FloatArray
    auroc_T: FloatArray
    mse_NT: FloatArray
    baseline_NT: FloatArray
    r2_NT: FloatArray
    pearson_NT: FloatArray
    spearman_NT: FloatArray
    auroc_NT: FloatArray

    @property
    def r2_T(self) -> FloatArray:
        """R^2 of every gene over all test cells."""
        return r_squared(self.mse_T, self.variance_T)


def r_squared(mse_T: FloatArray, variance_T: FloatArray) -> FloatArray:
    """R^2 of every gene, 1 - mse / variance; NaN for a gene without variance over these cells."""
    varies = variance_T > 1e-12
    return np.where(varies, 1 - mse_T / np.where(varies, variance_T, 1), np.nan)


class GeneSums:
    """Judges targets block by block of genes.

    Parameters
    ----------
    mean_T : torch.Tensor, shape (n_targets,)
        Training means.
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
        The first `MOST_RESAMPLES` are used.
    rank : callable, optional
        Ranks of the measured values: places among the targets, values -> ranks, see `ranks.average_ranks`.
    """

    def __init__(
        self, mean_T: Tensor, weights_NC: FloatArray, rank: Ranker = lambda _, y_TC: ranks.average_ranks(y_TC)
    ) -> None:
        self.rank = rank
        self.mean_T, self.weights_NC = mean_T, torch.from_numpy(weights_NC[:MOST_RESAMPLES]).float()
        self._found: list[list[FloatArray]] = []

    def add(self, block: Block) -> None:
        """Add the next targets."""
        self._found.append(
            _judge(block, self.rank(block.places, block.y_TC), self.mean_T[block.places], self.weights_NC)
        )

    def result(self) -> GenePass:
        """Return the figures of all targets, in order."""
        if not self._found:
            return GenePass(*[np.empty(0)] * 6, *[np.empty((len(self.weights_NC), 0))] * 6)
        return GenePass(*(np.concatenate(part, axis=-1) for part in zip(*self._found, strict=True)))


def _judge(block: Block, y_rank: Tensor, mean_T: Tensor, weights_NC: Tensor) -> list[FloatArray]:
    """Figures of a block, in the order of the fields of `GenePass`."""
    p_TC, y_TC = block.p_TC, block.y_TC
    total_N1 = weights_NC.sum(1, keepdim=True)

    def over(values_TC: Tensor) -> Tensor:
        return (weights_NC @ values_TC.T / total_N1).double()

    square_TC, base_TC = (p_TC - y_TC).square(), (y_TC - mean_T[:, None]).square()
    n, p_rank, positive = p_TC.shape[1], ranks.average_ranks(p_TC), y_TC > 0
    linear = ranks.centre(p_TC), ranks.centre(y_TC)
    ranked = ranks.centre(p_rank / n), ranks.centre(y_rank / n)
    about_TC = linear[1].square()
    variance_T = about_TC.mean(1, dtype=torch.float64)
    mse_NT = over(square_TC)
    r2_NT = torch.where(variance_T > 1e-12, 1 - mse_NT / over(about_TC), torch.nan)
    auroc = ranks.aurocs(p_rank, positive)
    values = [square_TC.mean(1, dtype=torch.float64), base_TC.mean(1, dtype=torch.float64), variance_T]
    values += [ranks.centred_correlations(*linear), ranks.centred_correlations(*ranked), auroc.value_R]
    empty_NT = weights_NC @ positive.float().T == 0  # constant there; sums in float32 would leave some variance
    both = [ranks.resampled_correlations(*pair, weights_NC) for pair in (linear, ranked)]
    values += [mse_NT, over(base_TC), r2_NT, *(value_NT.masked_fill(empty_NT, torch.nan) for value_NT in both)]
    values.append(ranks.resampled_aurocs(auroc, positive, weights_NC))
    return [value.numpy() for value in values]
