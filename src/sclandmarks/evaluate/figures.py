"""The figures of one fit on one set of targets, each with its value in every resample of the test cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sclandmarks.evaluate.bootstrap import Interval, centred, interval, median_of
from sclandmarks.evaluate.cellwise import CellErrors
from sclandmarks.evaluate.genewise import GenePass
from sclandmarks.evaluate.noise import captured
from sclandmarks.evaluate.targets import BoolArray

FloatArray = NDArray[np.float64]
NOTHING = np.empty(0)


class Figure(NamedTuple):
    """A value over all test cells and in every resample; no resamples, no interval."""

    value: float
    resampled_N: FloatArray

    def interval(self, confidence: float) -> Interval:
        """Percentile interval."""
        return interval(self.value, self.resampled_N, confidence)


class Pooled(NamedTuple):
    """Floor of a set of genes: summed over genes, mean over cells; over all test cells and in every resample."""

    value: float
    resampled_N: FloatArray


def error_figures(
    errors: CellErrors, baseline_C: FloatArray, floor: Pooled | None, weights_NC: FloatArray
) -> dict[str, Figure]:
    """MSE, weighted MSE, MAE, explained and captured, pooled over genes and cells; nothing without targets.

    explained = 1 - SSE / SSE of the training mean; captured = (MSE_mean - MSE) / (MSE_mean - MSE_floor).

    Parameters
    ----------
    errors : CellErrors
    baseline_C : numpy.ndarray, shape (n_cells,)
        Squared errors of the training means, summed over the targets.
    floor : Pooled, optional
        Without it nothing is said of captured.
    weights_NC : numpy.ndarray, shape (n_bootstrap, n_cells)
    """
    if errors.n_targets == 0:
        return {}
    size_N = weights_NC.sum(axis=1)
    parts = {"mse": errors.sse_C, "weighted_mse": errors.weighted_C, "mae": errors.absolute_C}
    means = {name: Figure(part_C.mean(), weights_NC @ part_C / size_N) for name, part_C in parts.items()}
    base = Figure(baseline_C.mean(), weights_NC @ baseline_C / size_N)
    n = errors.n_targets
    found = {name: Figure(mean.value / n, mean.resampled_N / n) for name, mean in means.items()}
    sse = means["mse"]
    found["explained"] = Figure(float(_explained(sse[0], base[0])), _explained(sse[1], base[1]))
    if floor is not None:
        values = [captured(sse[i], base[i], floor[i]).value for i in (0, 1)]
        found["captured"] = Figure(float(values[0]), values[1])
    return found


def _explained(sse: Any, baseline: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - np.asarray(sse) / baseline


def gene_figures(genes: GenePass, chosen_T: BoolArray) -> dict[str, Figure]:
    """Medians over genes of R^2, correlations and AUROC, and how many genes have none.

    Genes that are constant over the test cells have no R^2 and no correlation, genes without zeros or without others
    no AUROC: they are left out and counted.
    """
    if not chosen_T.any():
        return {}
    parts = {
        "r2_median": (genes.r2_T, genes.r2_NT),
        "pearson_gene": (genes.pearson_T, genes.pearson_NT),
        "spearman_gene": (genes.spearman_T, genes.spearman_NT),
        "auroc_gene": (genes.auroc_T, genes.auroc_NT),
    }
    found = {}
    for name, (value_T, value_NT) in parts.items():
        value = float(median_of(value_T[chosen_T]))
        found[name] = Figure(value, centred(median_of(value_NT[:, chosen_T]), value))
    found["n_constant"] = Figure(float(np.isnan(genes.r2_T[chosen_T]).sum()), NOTHING)
    found["n_without_auroc"] = Figure(float(np.isnan(genes.auroc_T[chosen_T]).sum()), NOTHING)
    return found


def cell_figures(errors: CellErrors, weights_NC: FloatArray) -> dict[str, Figure]:
    """Medians over cells of the correlations within each cell."""
    if errors.n_targets == 0:
        return {}
    found = {}
    for name, value_C in (("pearson_cell", errors.pearson_C), ("spearman_cell", errors.spearman_C)):
        kept_C = np.isfinite(value_C)
        resampled_N = weighted_medians(value_C[kept_C], weights_NC[:, kept_C])
        found[name] = Figure(float(median_of(value_C)), resampled_N)
    return found


def weighted_medians(value_C: FloatArray, weights_NC: FloatArray) -> FloatArray:
    """Median of values that are there as often as their weights say, shape (N,); NaN where nothing is."""
    if not len(value_C):
        return np.full(len(weights_NC), np.nan)
    order = np.argsort(value_C, kind="stable")
    reached_NC = np.cumsum(weights_NC[:, order], axis=1)
    total_N1 = reached_NC[:, -1:]
    low_N, high_N = ((reached_NC < half).sum(axis=1) for half in (total_N1 / 2, total_N1 / 2 + 0.5))
    last = len(value_C) - 1
    middle_N = (value_C[order][np.minimum(low_N, last)] + value_C[order][np.minimum(high_N, last)]) / 2
    return np.where(total_N1[:, 0] > 0, middle_N, np.nan)
