"""Every two fits compared: paired differences on shared targets, tests corrected for all of them, a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks import schema
from sclandmarks.evaluate.bootstrap import Interval, Resamples, interval
from sclandmarks.evaluate.figures import Pooled
from sclandmarks.evaluate.multiple import Tests, max_t
from sclandmarks.evaluate.noise import LEAST_EXPLAINABLE

FloatArray = NDArray[np.float64]
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference shown"
ROUNDING = 1e-5  # of a cell's squared error: sums over thousands of genes in float32
SIGNS = {"mse": -1, "explained": 1, "captured": 1}  # 1 where larger is better


class Contest(NamedTuple):
    """Two fits on the same targets.

    Parameters
    ----------
    fit, reference : str
    n_targets : int
    sse_C, reference_C : numpy.ndarray, shape (n_cells,)
        Squared errors of either, summed over the targets.
    baseline_C : numpy.ndarray, shape (n_cells,)
        Those of the training means.
    floor : Pooled or None
        Noise floor of the targets.
    """

    fit: str
    reference: str
    n_targets: int
    sse_C: FloatArray
    reference_C: FloatArray
    baseline_C: FloatArray
    floor: Pooled | None

    @property
    def gap_C(self) -> FloatArray:
        """Squared error of the fit less that of the reference, shape (n_cells,).

        0 where rounding alone parts them in every cell: the same predictions, summed in another order, must not win.
        """
        gap_C = self.sse_C - self.reference_C
        differ_C = np.abs(gap_C) > ROUNDING * (self.sse_C + self.reference_C)
        return gap_C if differ_C.any() else np.zeros_like(gap_C)


def verdict(difference: float, sign: int, adjusted: float, confidence: float) -> str:
    """Say what a test shows; `sign` is 1 where larger is better, -1 where smaller is."""
    if not adjusted <= 1 - confidence:  # NaN shows nothing
        return UNDECIDED
    return BETTER if difference * sign > 0 else WORSE


def difference_rows(
    contests: Sequence[Contest], target_set: str, resamples: Resamples, confidence: float
) -> pl.DataFrame:
    """Rows of `schema.DIFFERENCES` of a family of contests, corrected for all of them.

    The test is of the mean squared error; explained and captured divide the same difference by what is positive in
    every resample, so one verdict holds for all three.
    """
    family = [contest for contest in contests if contest.n_targets]
    if not family:
        return schema.DIFFERENCES.empty()
    gap_CP = np.stack([contest.gap_C for contest in family], axis=1)
    size_UP = resamples.add_up(np.ones((len(gap_CP), 1)))
    tests = max_t(resamples.add_up(gap_CP), size_UP, resamples.weights_NU)
    size_N = resamples.weights_NC.sum(axis=1)
    gap_NP = resamples.weights_NC @ gap_CP / size_N[:, None]
    rows = []
    for i, contest in enumerate(family):
        for metric, value in _differences(contest, gap_NP[:, i], size_N, resamples.weights_NC, confidence).items():
            rows.append(
                _row(contest, target_set, metric, value, tests, i)
                | {
                    "unit": resamples.unit,
                    "verdict": verdict(value.value, SIGNS[metric], float(tests.adjusted_P[i]), confidence),
                }
            )
    return schema.ordered(pl.DataFrame(rows), schema.DIFFERENCES)


def _row(contest: Contest, target_set: str, metric: str, value: Interval, tests: Tests, i: int) -> dict[str, Any]:
    return {
        "fit": contest.fit,
        "reference": contest.reference,
        "target_set": target_set,
        "n_targets": contest.n_targets,
        "metric": metric,
        **value._asdict(),
        "p": float(tests.p_P[i]),
        "p_adjusted": float(tests.adjusted_P[i]),
    }


def _differences(
    contest: Contest, gap_N: FloatArray, size_N: FloatArray, weights_NC: FloatArray, confidence: float
) -> dict[str, Interval]:
    """Fit minus reference in MSE, explained and captured; without the last where `noise.captured` is not defined."""
    gap = float(contest.gap_C.mean())
    found = {"mse": interval(gap / contest.n_targets, gap_N / contest.n_targets, confidence)}
    base, base_N = float(contest.baseline_C.mean()), weights_NC @ contest.baseline_C / size_N
    scales = {"explained": (base, base_N)}
    if contest.floor is not None:
        scales["captured"] = (base - contest.floor.value, base_N - contest.floor.resampled_N)
    for metric, (scale, scale_N) in scales.items():
        if scale > 0 and scale >= LEAST_EXPLAINABLE * base:
            found[metric] = interval(-gap / scale, -gap_N / np.where(scale_N > 0, scale_N, np.nan), confidence)
    return found
