"""Errors of one fit on the test cells, gathered block by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sclandmarks.learn.task import Pair

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Errors:
    """Squared errors of one fit on one set of targets.

    Parameters
    ----------
    sse_C, weighted_C, baseline_C : numpy.ndarray, shape (n_cells,)
        Of every test cell, summed over targets: (p - t)^2, (t + 1)(p - t)^2, and (mean - t)^2 with the training mean.
    mse_T, variance_T : numpy.ndarray, shape (n_targets,)
        Of every target: mean squared error, and variance over test cells.
    r2_N : numpy.ndarray, shape (n_bootstrap,)
        Median R^2 of the genes in every resample.
    """

    sse_C: FloatArray
    weighted_C: FloatArray
    baseline_C: FloatArray
    mse_T: FloatArray
    variance_T: FloatArray
    r2_N: FloatArray

    @property
    def n_targets(self) -> int:
        """Genes predicted."""
        return len(self.mse_T)


def r_squared(mse_T: FloatArray, variance_T: FloatArray) -> FloatArray:
    """R^2 of every gene, 1 - mse / variance; NaN for a gene without variance over these cells."""
    varies = variance_T > 1e-12
    return np.where(varies, 1 - mse_T / np.where(varies, variance_T, 1), np.nan)


class ErrorSums:
    """Adds up errors over blocks of test cells for several sets of targets at once.

    Parameters
    ----------
    mean_T : torch.Tensor, shape (n_targets,)
        Training mean of every target.
    sets : mapping of str to numpy.ndarray of int64
        Name -> positions among the targets.
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
        See `bootstrap.resample_weights`.
    """

    def __init__(self, mean_T: Tensor, sets: Mapping[str, NDArray[np.int64]], weights_NC: FloatArray) -> None:
        self.mean_T = mean_T
        self.sets = {name: torch.from_numpy(places) for name, places in sets.items()}
        self.weights_NC = torch.from_numpy(weights_NC).float()
        n_bootstrap, n_targets = len(weights_NC), len(mean_T)
        self._per_cell: dict[str, list[Tensor]] = {name: [] for name in sets}
        self._moments_3NT = torch.zeros(3, n_bootstrap, n_targets)
        self._totals_3T = torch.zeros(3, n_targets, dtype=torch.float64)
        self._seen = 0

    def add(self, p_BT: Tensor, y_BT: Tensor) -> None:
        """Add a block of predictions and measured values, shape (B, n_targets)."""
        square_BT = (p_BT - y_BT).square()
        baseline_BT = (self.mean_T - y_BT).square()
        for name, places in self.sets.items():
            parts = (square_BT, (y_BT + 1) * square_BT, baseline_BT)
            self._per_cell[name].append(torch.stack([part[:, places].sum(1, dtype=torch.float64) for part in parts]))
        weights_NB = self.weights_NC[:, self._seen : self._seen + len(y_BT)]
        centred_BT = y_BT - self.mean_T
        for i, part in enumerate((square_BT, centred_BT, centred_BT.square())):
            self._moments_3NT[i].addmm_(weights_NB, part)
            self._totals_3T[i] += part.sum(0, dtype=torch.float64)
        self._seen += len(y_BT)

    def _resampled_r2(self, variance_T: FloatArray) -> FloatArray:
        """R^2 in every resample, about the mean over all test cells: the same genes and zero point in each."""
        mse_NT, mean_NT, square_NT = (part.double().numpy() / self._seen for part in self._moments_3NT)
        mean_T = self._totals_3T[1].numpy() / self._seen
        about_NT = square_NT - 2 * mean_T * mean_NT + mean_T**2
        return np.where(variance_T > 0, r_squared(mse_NT, np.maximum(about_NT, 0)), np.nan)

    def result(self) -> dict[str, Errors]:
        """Return the errors of every set of targets."""
        mse_T, variance_T = _mse_and_variance(self._totals_3T.numpy(), self._seen)
        r2_NT = self._resampled_r2(variance_T)
        found = {}
        for name, places in self.sets.items():
            sse_C, weighted_C, baseline_C = torch.cat(self._per_cell[name], dim=1).numpy()
            here = places.numpy()
            r2_N = _median(r2_NT[:, here])
            found[name] = Errors(sse_C, weighted_C, baseline_C, mse_T[here], variance_T[here], r2_N)
        return found


def _mse_and_variance(sums: NDArray[np.floating], n_cells: int) -> tuple[FloatArray, FloatArray]:
    """Means over cells; a variance that float32 cannot tell from zero beside the second moment is zero."""
    mse, mean, square = (np.asarray(part, dtype=np.float64) / n_cells for part in sums)
    variance = square - mean**2
    return mse, np.where(variance > 1e-5 * square, variance, 0)


def _median(r2_NT: FloatArray) -> FloatArray:
    if r2_NT.shape[1] == 0:
        return np.full(len(r2_NT), np.nan)
    empty: NDArray[np.bool_] = np.asarray(np.isnan(r2_NT).all(axis=1))
    r2_NT = np.where(empty[:, None], 0.0, r2_NT)
    return np.where(empty, np.nan, np.nanmedian(r2_NT, axis=1))


@torch.no_grad()
def gather_errors(module: nn.Module, pairs: Iterable[Pair], sums: ErrorSums, device: torch.device) -> dict[str, Errors]:
    """Predict every block of test cells and return the errors of every set of targets."""
    module.to(device).eval()
    for x_BL, y_BT in pairs:
        sums.add(module(x_BL).cpu(), y_BT.cpu())
    module.cpu()
    return sums.result()
