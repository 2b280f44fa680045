"""How many genes give what a reference gives: where a learning curve crosses a line."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sclandmarks.evaluate.studies.scores import FloatArray, Resampled


class Crossing(NamedTuple):
    """Number of genes at a crossing; infinite where the curve stays below. `reached`: share of resamples that cross."""

    value: float
    low: float
    high: float
    reached: float


def crossings(sizes: FloatArray, curve_NS: FloatArray, level_N: FloatArray) -> FloatArray:
    """First size at which each curve reaches its level, linear between sizes on a logarithmic axis.

    Parameters
    ----------
    sizes : numpy.ndarray, shape (n_sizes,)
        Increasing.
    curve_NS : numpy.ndarray, shape (n_curves, n_sizes)
    level_N : numpy.ndarray, shape (n_curves,)

    Returns
    -------
    numpy.ndarray, shape (n_curves,)
        The smallest size where a curve is there from the start; infinity where it never is.
    """
    above_NS = curve_NS >= level_N[:, None]
    first_N = above_NS.argmax(axis=1)
    before_N, rows = np.maximum(first_N - 1, 0), np.arange(len(curve_NS))
    start_N, end_N = curve_NS[rows, before_N], curve_NS[rows, first_N]
    with np.errstate(divide="ignore", invalid="ignore"):
        part_N = np.where(first_N > 0, (level_N - start_N) / (end_N - start_N), 0)
    log = np.log(sizes)
    found_N = np.exp(log[before_N] + part_N * (log[first_N] - log[before_N]))
    found_N = np.where(first_N > 0, found_N, sizes[0])
    return np.where(above_NS.any(axis=1), found_N, np.inf)


def cross(sizes: list[int], curve: list[Resampled], level: Resampled, confidence: float) -> Crossing:
    """Where a curve crosses a level, with the interval of the crossings of paired resamples.

    Parameters
    ----------
    sizes : list of int
        Increasing.
    curve : list of Resampled
        Figure at every size; the same resamples as those of `level`.
    level : Resampled
    confidence : float
    """
    places = np.asarray(sizes, dtype=np.float64)
    value = crossings(places, np.array([[one.value for one in curve]]), np.array([level.value]))[0]
    found_N = crossings(places, np.stack([one.values_N for one in curve], axis=1), level.values_N)
    tail = (1 - confidence) / 2
    low, high = np.quantile(found_N, [tail, 1 - tail], method="inverted_cdf")
    return Crossing(float(value), float(low), float(high), float(np.isfinite(found_N).mean()))
