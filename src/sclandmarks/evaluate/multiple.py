"""Many differences at once: bootstrap-t tests with p-values corrected for all of them (step-down max-T)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Tests(NamedTuple):
    """One test a pair.

    Parameters
    ----------
    t_P : numpy.ndarray, shape (n_pairs,)
        Mean difference over its standard error.
    p_P, adjusted_P : numpy.ndarray, shape (n_pairs,)
        Two-sided p-value of the pair alone, and corrected for all pairs of the family.
    """

    t_P: FloatArray
    p_P: FloatArray
    adjusted_P: FloatArray


def max_t(gap_UP: FloatArray, size_UP: FloatArray, weights_NU: FloatArray) -> Tests:
    """Test every mean difference against zero, and correct for all of them.

    The mean of a pair is sum(gap) / sum(size) over units. Each resample is studentised by its own standard error
    (bootstrap-t), so that few or unequal units widen the tails as they should. The family-wise error is held by the
    step-down maximum of |t| over pairs (Westfall and Young 1993; Romano and Wolf 2005, doi:10.1198/016214504000000539):
    pairs share cells and panels, and the maximum knows how they depend on each other.

    Parameters
    ----------
    gap_UP : numpy.ndarray, shape (n_units, n_pairs)
        Difference of the summed errors of a unit.
    size_UP : numpy.ndarray, shape (n_units, n_pairs) or (n_units, 1)
        Number of summed values of a unit.
    weights_NU : numpy.ndarray, shape (n_bootstrap, n_units)
        See `bootstrap.Resamples`. Of a single unit nothing is said: t is 0 and p is 1.
    """
    if len(gap_UP) < 2:
        return Tests(np.zeros(gap_UP.shape[1]), *np.ones((2, gap_UP.shape[1])))
    size_UP = np.broadcast_to(size_UP, gap_UP.shape)
    mean_P, error_P = (part[0] for part in _means(gap_UP, size_UP, np.ones((1, len(gap_UP)))))
    mean_NP, error_NP = _means(gap_UP, size_UP, weights_NU)
    t_P, t_NP = _ratio(mean_P, error_P), np.abs(_ratio(mean_NP - mean_P, error_NP))
    p_P = (1 + (t_NP >= np.abs(t_P)).sum(axis=0)) / (len(t_NP) + 1)
    p_P = np.where(t_P == 0, 1.0, p_P)
    return Tests(t_P, p_P, np.maximum(_step_down(np.abs(t_P), t_NP), p_P))


def _means(gap_UP: FloatArray, size_UP: FloatArray, weights_NU: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean difference and its standard error in every resample, shape (N, n_pairs), of a ratio of sums over units."""
    n_units = len(gap_UP)
    total_NP = weights_NU @ size_UP
    mean_NP = weights_NU @ gap_UP / total_NP
    squares_NP = weights_NU @ gap_UP**2 - 2 * mean_NP * (weights_NU @ (gap_UP * size_UP))
    squares_NP += mean_NP**2 * (weights_NU @ size_UP**2)
    scale = n_units / max(n_units - 1, 1)
    return mean_NP, np.sqrt(np.maximum(squares_NP, 0) * scale) / total_NP


def _ratio(difference: FloatArray, error: FloatArray) -> FloatArray:
    """Difference over its error: zero where there is none, infinite where it has no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: FloatArray = difference / error
    return np.where(difference == 0, 0.0, ratio)


def _step_down(t_P: FloatArray, t_NP: FloatArray) -> FloatArray:
    """Adjusted p-values: each |t| against the largest of its own and all smaller ones."""
    order = np.argsort(-t_P, kind="stable")
    largest_NP = np.maximum.accumulate(t_NP[:, order[::-1]], axis=1)[:, ::-1]
    sorted_P = (1 + (largest_NP >= t_P[order]).sum(axis=0)) / (len(t_NP) + 1)
    adjusted_P = np.empty_like(t_P)
    adjusted_P[order] = np.maximum.accumulate(sorted_P)
    return adjusted_P
