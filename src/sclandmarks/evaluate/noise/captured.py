"""Captured: what part of the explainable variance a predictor explains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sclandmarks.evaluate.bootstrap import Interval, interval

FloatArray = NDArray[np.float64]

LEAST_EXPLAINABLE = 0.02  # pooled over genes
LEAST_OF_A_GENE = 0.1  # docs/noise-floor.md: a single gene below says nothing


class Captured(NamedTuple):
    """Captured fractions, and how many are not defined (NaN)."""

    value: FloatArray
    n_undefined: int


def captured(mse: ArrayLike, mse_mean: ArrayLike, mse_floor: ArrayLike, least: float = LEAST_EXPLAINABLE) -> Captured:
    """(MSE_mean - MSE) / (MSE_mean - MSE_floor): 0 for the training mean, 1 at the noise floor.

    Not defined, NaN, where less than `least` of MSE_mean lies above the floor: there is next to nothing to know.
    Not cut to 0..1: below 0 is worse than the mean; above 1 the floor was estimated too high, or the error too low.

    Parameters
    ----------
    mse, mse_mean, mse_floor : array_like
        Errors of the predictor, of the training mean, and the noise floor; same cells, genes and scale.
    least : float
        Least part of `mse_mean` above the floor; take `LEAST_OF_A_GENE` for single genes.
    """
    mse, mse_mean, mse_floor = (np.asarray(part, dtype=np.float64) for part in (mse, mse_mean, mse_floor))
    above = mse_mean - mse_floor
    defined = (above > 0) & (above >= least * mse_mean)
    value = np.where(defined, (mse_mean - mse) / np.where(defined, above, 1), np.nan)
    return Captured(value, int(np.isnan(value).sum()))


def captured_interval(
    mse: float,
    mse_mean: float,
    mse_floor: float,
    mse_N: FloatArray,
    mse_mean_N: FloatArray,
    mse_floor_N: FloatArray,
    confidence: float,
) -> Interval:
    """Captured over all test cells, and its percentile interval over resamples that all three errors share.

    Parameters
    ----------
    mse, mse_mean, mse_floor : float
        Pooled over genes and all test cells.
    mse_N, mse_mean_N, mse_floor_N : numpy.ndarray, shape (n_bootstrap,)
        The same in every resample; `mse_floor_N` is `NoiseFloor.floor_N`.
    confidence : float
        Between 0 and 1.
    """
    value = float(captured(mse, mse_mean, mse_floor).value)
    return interval(value, captured(mse_N, mse_mean_N, mse_floor_N).value, confidence)
