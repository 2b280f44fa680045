"""Bootstrap over test cells; the same resamples for all that is compared, so that differences are paired."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """A value over all test cells and the ends of its interval."""

    value: float
    low: float
    high: float


def resample_weights(n_cells: int, n_bootstrap: int, seed: int) -> FloatArray:
    """How often each cell is drawn in each resample, shape (n_bootstrap, n_cells); each row sums to n_cells."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_cells, np.full(n_cells, 1 / n_cells), size=n_bootstrap).astype(np.float64)


def interval(value: float, resampled: FloatArray, confidence: float) -> Interval:
    """Percentile interval of resampled values; NaN resamples are left out.

    Parameters
    ----------
    value : float
        Over all test cells.
    resampled : numpy.ndarray, shape (n_bootstrap,)
    confidence : float
        Between 0 and 1.
    """
    kept = resampled[np.isfinite(resampled)]
    if not len(kept):
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(kept, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
