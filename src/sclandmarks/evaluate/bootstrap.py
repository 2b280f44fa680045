"""Bootstrap over test cells or donors; the same resamples for all that is compared, so that differences are paired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks.schema import UNKNOWN

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
MIN_UNITS = 5
"""Fewer donors are not drawn: cells are, and intervals speak of these donors only. Some cells of fewer units, as a
cell type of one donor where donors are drawn, have no interval: it would be far too short, and of no length for one."""


class Interval(NamedTuple):
    """A value over all test cells and the ends of its interval."""

    value: float
    low: float
    high: float


class Resamples(NamedTuple):
    """Resamples of the test cells.

    Parameters
    ----------
    unit : {"cell", "donor"}
        What is drawn: cells, or donors with all their test cells.
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
        How often each cell is in each resample.
    unit_C : numpy.ndarray of int64, shape (n_cells,)
        Number of the unit that each cell belongs to, 0 ... n_units - 1.
    """

    unit: Literal["cell", "donor"]
    weights_NC: FloatArray
    unit_C: NDArray[np.int64]

    @property
    def n_units(self) -> int:
        """Cells or donors."""
        return int(self.unit_C.max()) + 1 if len(self.unit_C) else 0

    @property
    def weights_NU(self) -> FloatArray:
        """How often each unit is in each resample, shape (n_bootstrap, n_units)."""
        first_U = np.unique(self.unit_C, return_index=True)[1]
        return self.weights_NC[:, first_U]

    def telling(self, some_C: BoolArray) -> BoolArray:
        """Resamples that say something about some of the cells, shape (n_bootstrap,).

        Those that hold any of them; none where the cells are of fewer than `MIN_UNITS` units.

        Parameters
        ----------
        some_C : numpy.ndarray of bool, shape (n_cells,)
        """
        if len(np.unique(self.unit_C[some_C])) < MIN_UNITS:
            return np.zeros(len(self.weights_NC), dtype=np.bool_)
        return np.asarray(self.weights_NC[:, some_C].any(axis=1))

    def add_up(self, values_CX: FloatArray) -> FloatArray:
        """Sums over the cells of every unit, shape (n_units, ...)."""
        if self.unit == "cell":
            return values_CX
        sums_UX = np.zeros((self.n_units, *values_CX.shape[1:]))
        np.add.at(sums_UX, self.unit_C, values_CX)
        return sums_UX


def resample_weights(n_units: int, n_bootstrap: int, seed: int) -> FloatArray:
    """How often each unit is drawn in each resample, shape (n_bootstrap, n_units); each row sums to n_units."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap).astype(np.float64)


def resample(cells: pl.DataFrame, n_bootstrap: int, seed: int) -> Resamples:
    """Draw the resamples of the test cells.

    Donors are drawn, with all their cells, where all donors are known and there are at least `MIN_UNITS`. Donors of
    different data sets are different ones.

    Parameters
    ----------
    cells : polars.DataFrame
        The test cells, as `schema.CELLS`.
    n_bootstrap, seed : int
    """
    donors = cells.select(pl.struct("dataset", "donor").rank("dense").cast(pl.Int64) - 1).to_series()
    if (cells["donor"] == UNKNOWN).any() or donors.n_unique() < MIN_UNITS:
        return Resamples("cell", resample_weights(cells.height, n_bootstrap, seed), np.arange(cells.height))
    unit_C = donors.to_numpy()
    weights_NU = resample_weights(donors.n_unique(), n_bootstrap, seed)
    return Resamples("donor", weights_NU[:, unit_C], unit_C)


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


def centred(resampled_N: FloatArray, value: float) -> FloatArray:
    """Shift resampled values to the value: a median over genes of noisy ratios is biased under resampling."""
    finite = resampled_N[np.isfinite(resampled_N)]
    return resampled_N - np.median(finite) + value if len(finite) else resampled_N


def median_of(values_NX: FloatArray) -> FloatArray:
    """Median of every row without its NaN, shape (N,); NaN where nothing is left."""
    if values_NX.shape[-1] == 0:
        return np.full(values_NX.shape[:-1], np.nan)
    ordered_NX = np.sort(values_NX, axis=-1)  # NaN last
    n_N1 = (~np.isnan(values_NX)).sum(axis=-1, keepdims=True)
    last, middle = values_NX.shape[-1] - 1, ((n_N1 - 1) // 2, n_N1 // 2)
    low_N1, high_N1 = (np.take_along_axis(ordered_NX, np.clip(place, 0, last), -1) for place in middle)
    return np.asarray(np.where(n_N1 > 0, (low_N1 + high_N1) / 2, np.nan)[..., 0])


def quantiles(values_NX: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Quantiles of every column without its NaN, shape (n_shares, n_columns); NaN where nothing is left.

    As numpy's `nanquantile`, linear between values, but for all columns at once.
    """
    ordered_NX = np.sort(values_NX, axis=0)  # NaN last
    last_X = np.maximum((~np.isnan(values_NX)).sum(axis=0) - 1, 0)
    found = []
    for share in shares:
        place_X = last_X * share
        low_X = np.floor(place_X).astype(np.int64)
        ends = np.take_along_axis(ordered_NX, np.stack([low_X, np.minimum(low_X + 1, last_X)]), axis=0)
        found.append(_between(ends[0], ends[1], place_X - low_X))
    return np.array(found)


def _between(a: FloatArray, b: FloatArray, part: FloatArray) -> FloatArray:
    """Linear between two values, from the nearer one, as numpy does it."""
    return np.asarray(np.where(part >= 0.5, b - (b - a) * (1 - part), a + (b - a) * part))
