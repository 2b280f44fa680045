"""Metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_squared_error, r2_score

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.compare import figures
from sclandmarks.evaluate.errors import Errors, ErrorSums, r_squared

N_CELLS, N_TARGETS, CONSTANT = 60, 9, [2, 5]
WEIGHTS_NC = resample_weights(N_CELLS, 30, seed=1)


@pytest.fixture(scope="module")
def values() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predicted and measured values and training means; two genes are constant among these cells."""
    rng = np.random.default_rng(2)
    y_CT = rng.gamma(1, 1, (N_CELLS, N_TARGETS))
    y_CT[:, CONSTANT] = 0.3
    return y_CT + rng.normal(0, 0.4, y_CT.shape), y_CT, rng.uniform(0, 2, N_TARGETS)


def errors_of(p_CT: np.ndarray, y_CT: np.ndarray, mean_T: np.ndarray) -> Errors:
    """Ours."""
    every = {"own": np.arange(N_TARGETS)}
    sums = ErrorSums(torch.from_numpy(mean_T).float(), every, WEIGHTS_NC)
    sums.add(torch.from_numpy(p_CT).float(), torch.from_numpy(y_CT).float())
    return sums.result()["own"]


def test_figures_are_scikit_learns(values) -> None:
    """Each over all cells: MSE, weighted MSE, explained fraction, median R^2 without constant genes."""
    p_CT, y_CT, mean_T = values
    found = figures(errors_of(p_CT, y_CT, mean_T), WEIGHTS_NC, 0.95)
    mse = mean_squared_error(y_CT, p_CT)
    weighted = mean_squared_error(y_CT.ravel(), p_CT.ravel(), sample_weight=(y_CT + 1).ravel()) * (y_CT + 1).mean()
    baseline = mean_squared_error(y_CT, np.tile(mean_T, (N_CELLS, 1)))
    r2_T = np.delete(r2_score(y_CT, p_CT, multioutput="raw_values"), CONSTANT)
    want = {"mse": mse, "weighted_mse": weighted, "explained": 1 - mse / baseline, "r2_median": np.median(r2_T)}
    want["n_constant"] = np.size(CONSTANT)
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(want, rel=1e-4)


def by_gene(y_CT, p_CT, weights_C):
    return mean_squared_error(y_CT, p_CT, sample_weight=weights_C, multioutput="raw_values")


def test_resampled_figures_are_scikit_learns_with_weights(values) -> None:
    """The ends of the interval are percentiles of the metric over weighted cells."""
    p_CT, y_CT, mean_T = values
    found = figures(errors_of(p_CT, y_CT, mean_T), WEIGHTS_NC, 0.8)
    varying = np.delete(np.arange(N_TARGETS), CONSTANT)
    mse = [mean_squared_error(y_CT, p_CT, sample_weight=weights_C) for weights_C in WEIGHTS_NC]
    means_CT = np.tile(y_CT.mean(axis=0), (N_CELLS, 1))  # R^2 is about the mean over all test cells
    r2 = [
        np.median(1 - (by_gene(y_CT, p_CT, weights_C) / by_gene(y_CT, means_CT, weights_C))[varying])
        for weights_C in WEIGHTS_NC
    ]
    r2 = np.array(r2) - np.median(r2) + found["r2_median"].value  # centred
    for name, resampled in (("mse", mse), ("r2_median", r2)):
        np.testing.assert_allclose(found[name][1:], np.quantile(resampled, [0.1, 0.9]), rtol=1e-3)


def test_each_genes_r_squared_is_scikit_learns(values) -> None:
    """Where a gene varies; NaN where it does not."""
    errors = errors_of(*values)
    p_CT, y_CT, _ = values
    want_T = r2_score(y_CT, p_CT, multioutput="raw_values")
    want_T[CONSTANT] = np.nan
    np.testing.assert_allclose(r_squared(errors.mse_T, errors.variance_T), want_T, rtol=1e-4, atol=1e-5)
