"""Squared errors of every test cell on sets of genes, and the figures and intervals made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sclandmarks.evaluate import noise
from sclandmarks.evaluate.bootstrap import Interval, interval
from sclandmarks.evaluate.studies.prefix import Side, dense_blocks

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Score:
    """Errors of one prediction of the test cells on one set of genes.

    Parameters
    ----------
    sse_C, baseline_C : numpy.ndarray, shape (n_cells,)
        Squared error of every cell summed over genes: of the prediction, and of the training mean.
    floor : float
        Squared error a cell that no predictor can avoid, summed over the genes; NaN where it is not known.
    floor_N : numpy.ndarray, shape (n_bootstrap,), optional
        The same in every resample of the cells.
    n_genes : int
        Genes of the set.
    """

    sse_C: FloatArray
    baseline_C: FloatArray
    floor: float = float("nan")
    floor_N: FloatArray | None = None
    n_genes: int = 0


class Resampled(NamedTuple):
    """A figure over all test cells and in every resample, mean over repeats."""

    value: float
    values_N: FloatArray


def squared_errors(predict: Predict, side: Side, sets: Mapping[str, BoolArray]) -> dict[str, FloatArray]:
    """Squared errors of every cell of `side`, summed over the genes of each set.

    Parameters
    ----------
    predict : callable
        Panel values (B, n_landmarks) to the values of all genes (B, n_genes).
    side : Side
        Panel and all genes of the test cells.
    sets : mapping of str to numpy.ndarray of bool, shape (n_genes,)
    """
    masks_GS = torch.from_numpy(np.stack(list(sets.values()), axis=1)).double()
    sums = [(predict(X_BL) - Y_BG).square().double() @ masks_GS for X_BL, Y_BG in dense_blocks(side)]
    found_CS = torch.cat(sums).numpy()
    return {name: found_CS[:, i] for i, name in enumerate(sets)}


def explained(score: Score, weights_NC: FloatArray) -> Resampled:
    """1 - SSE / SSE of the training mean."""
    return Resampled(
        float(_explained(score.sse_C.sum(), score.baseline_C.sum())),
        np.asarray(_explained(weights_NC @ score.sse_C, weights_NC @ score.baseline_C)),
    )


def captured(score: Score, weights_NC: FloatArray) -> Resampled:
    """(SSE of the mean - SSE) / (SSE of the mean - floor): part of what can be explained that is explained.

    NaN where the floor is not known, or next to nothing lies above it (see `noise.captured`).
    """
    n_cells = len(score.sse_C)
    floor_N = np.full(len(weights_NC), score.floor) if score.floor_N is None else score.floor_N
    value = noise.captured(score.sse_C.sum(), score.baseline_C.sum(), n_cells * score.floor).value
    size_N = weights_NC.sum(axis=1)  # resamples of donors differ in it
    resampled = noise.captured(weights_NC @ score.sse_C, weights_NC @ score.baseline_C, size_N * floor_N)
    return Resampled(float(value), resampled.value)


FIGURES: dict[str, Callable[[Score, FloatArray], Resampled]] = {"explained": explained, "captured": captured}


def _explained(sse: FloatArray | float, baseline: FloatArray | float) -> FloatArray | float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.divide(sse, baseline)


def over_repeats(repeats: Sequence[Resampled], seed: int) -> Resampled:
    """Join repeats (seeds, subsamples, draws): the mean, with the uncertainty of a mean over so many repeats.

    To the mean over repeats in each resample of the cells a draw is added from Student's t with n_repeats - 1 degrees
    of freedom, scaled by the standard error of the mean over repeats. So few repeats widen the interval as they should;
    drawing three of three again would hold the truth in 75 % in place of 95 %. The draw is linear in the repeats and
    the same for the same seed, so that differences of figures with the same repeats are paired.
    """
    values = np.array([one.value for one in repeats])
    cells_N = np.mean([one.values_N for one in repeats], axis=0)
    if len(values) == 1:
        return Resampled(float(values[0]), cells_N)
    mean = float(values.mean())
    return Resampled(mean, cells_N + _t_draws(len(values), len(cells_N), seed) @ (values - mean))


def _t_draws(n_repeats: int, n_draws: int, seed: int) -> FloatArray:
    """Weights of repeats, shape (n_draws, n_repeats); their deviations so weighted are t times the standard error."""
    rng, freedom = np.random.default_rng(seed), n_repeats - 1
    normal_NR = rng.standard_normal((n_draws, n_repeats))
    wide_N1 = np.sqrt(rng.chisquare(freedom, (n_draws, 1)) / freedom)
    return np.asarray(normal_NR / wide_N1 / np.sqrt(n_repeats * freedom))


def minus(one: Resampled, other: Resampled) -> Resampled:
    """Paired difference of two figures on the same resamples."""
    return Resampled(one.value - other.value, one.values_N - other.values_N)


def to_interval(found: Resampled, confidence: float) -> Interval:
    """Value with its percentile interval."""
    return interval(found.value, found.values_N, confidence)
