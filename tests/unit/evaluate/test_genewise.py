"""Figures of genes over cells, block by block of genes, against numpy on the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sclandmarks.evaluate.bootstrap import median_of, resample_weights
from sclandmarks.evaluate.genewise import MOST_RESAMPLES, GenePass, GeneSums, r_squared
from sclandmarks.evaluate.predictions import PER_VALUE, gene_blocks

N_CELLS, N_TARGETS = 50, 8
WEIGHTS_NC = resample_weights(N_CELLS, 40, seed=0)


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, measured values and training means."""
    rng = np.random.default_rng(seed)
    y_CT = rng.gamma(1.0, 1.0, (N_CELLS, N_TARGETS))
    return y_CT + rng.normal(0, 0.5, y_CT.shape), y_CT, rng.uniform(0.5, 1.5, N_TARGETS)


def passed(know, p_CT, y_CT, mean_T, n_genes: int = 3, weights_NC: np.ndarray = WEIGHTS_NC) -> GenePass:
    """Ours, a few genes at a time."""
    known = know(p_CT, y_CT)
    sums = GeneSums(torch.from_numpy(mean_T).float(), weights_NC)
    memory = n_genes * len(y_CT) * PER_VALUE
    for block in gene_blocks(known.module, known.test, known.inputs, known.outputs, torch.device("cpu"), memory):
        sums.add(block)
    return sums.result()


@pytest.mark.parametrize("n_genes", [1, 3, 8, 100])
def test_means_and_variances_are_numpys(know, n_genes: int) -> None:
    """Of every target, whatever the blocks of genes."""
    p_CT, y_CT, mean_T = made()
    found = passed(know, p_CT, y_CT, mean_T, n_genes)
    np.testing.assert_allclose(found.mse_T, ((p_CT - y_CT) ** 2).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.baseline_T, ((mean_T - y_CT) ** 2).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.variance_T, y_CT.var(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.r2_T, 1 - ((p_CT - y_CT) ** 2).mean(axis=0) / y_CT.var(axis=0), rtol=1e-4)


def test_a_resample_is_the_drawn_cells(know) -> None:
    """Cells repeated as often as drawn; R^2 of each gene about its mean over all test cells."""
    p_CT, y_CT, mean_T = made()
    found = passed(know, p_CT, y_CT, mean_T)
    for n, times_C in enumerate(WEIGHTS_NC.astype(int)):
        rows = np.repeat(np.arange(N_CELLS), times_C)
        p_DT, y_DT = p_CT[rows], y_CT[rows]
        mse_T = ((p_DT - y_DT) ** 2).mean(axis=0)
        np.testing.assert_allclose(found.mse_NT[n], mse_T, rtol=1e-4)
        np.testing.assert_allclose(found.baseline_NT[n], ((mean_T - y_DT) ** 2).mean(axis=0), rtol=1e-4)
        about_T = ((y_DT - y_CT.mean(axis=0)) ** 2).mean(axis=0)
        np.testing.assert_allclose(found.r2_NT[n], 1 - mse_T / about_T, rtol=1e-3, atol=1e-4)
        want_T = [np.corrcoef(p_T, y_T)[0, 1] for p_T, y_T in zip(p_DT.T, y_DT.T, strict=True)]
        np.testing.assert_allclose(found.pearson_NT[n], want_T, atol=1e-4)


def test_weights_need_not_sum_to_the_cells(know) -> None:
    """Resamples of donors differ in their number of cells; only the proportions count."""
    p_CT, y_CT, mean_T = made()
    one, twice = (passed(know, p_CT, y_CT, mean_T, weights_NC=factor * WEIGHTS_NC) for factor in (1.0, 2.0))
    for name in ("mse_NT", "baseline_NT", "r2_NT", "pearson_NT", "spearman_NT", "auroc_NT"):
        np.testing.assert_allclose(getattr(one, name), getattr(twice, name), rtol=1e-5)


def test_no_more_resamples_than_said(know) -> None:
    """The first ones of all that are drawn."""
    p_CT, y_CT, mean_T = made()
    weights_NC = resample_weights(N_CELLS, MOST_RESAMPLES + 7, seed=0)
    assert passed(know, p_CT, y_CT, mean_T, weights_NC=weights_NC).mse_NT.shape == (MOST_RESAMPLES, N_TARGETS)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0, 3.3])
@pytest.mark.parametrize("mean", [0.0, 0.013, 0.7])
def test_a_constant_gene_has_no_r_squared(know, constant: float, mean: float) -> None:
    """At any height and any distance from its training mean, in all cells and in every resample."""
    p_CT, y_CT, mean_T = made()
    y_CT[:, [0, 6]], mean_T[[0, 6]] = constant, mean
    found = passed(know, p_CT, y_CT, mean_T)
    none = [gene in (0, 6) for gene in range(N_TARGETS)]
    assert np.isnan(found.r2_T).tolist() == none
    assert np.isnan(found.pearson_T).tolist() == none
    assert np.isnan(found.spearman_T).tolist() == none
    assert (np.isnan(found.r2_NT) == none).all()
    assert (found.variance_T[[0, 6]] == 0).all()


def test_a_constant_prediction_of_a_varying_gene_correlates_by_nothing(know) -> None:
    """0, not NaN: leaving it out of a median would flatter."""
    p_CT, y_CT, mean_T = made()
    p_CT[:, 3] = 0.123
    found = passed(know, p_CT, y_CT, mean_T)
    assert found.pearson_T[3] == found.spearman_T[3] == 0
    assert (found.pearson_NT[:, 3] == 0).all()


def test_a_gene_without_a_read_in_a_resample_has_no_correlation_there(know) -> None:
    """As a gene of one donor, where this donor is not drawn: NaN, not the 0 that rounding makes of it."""
    rng, n_cells = np.random.default_rng(0), 3000
    y_CT = np.where(np.arange(n_cells)[:, None] < 500, rng.uniform(0.1, 2, (n_cells, N_TARGETS)), 0)
    p_CT = rng.random((n_cells, N_TARGETS)) + 0.2 * y_CT
    weights_NC = np.stack([np.arange(n_cells) >= 500, np.ones(n_cells)]).astype(np.float64)
    found = passed(know, p_CT, y_CT, y_CT.mean(axis=0), weights_NC=weights_NC)
    for value_NT in (found.pearson_NT, found.spearman_NT, found.auroc_NT):
        assert np.isnan(value_NT[0]).all()
        assert (value_NT[1] > 0).all()
    np.testing.assert_allclose(found.pearson_NT[1], found.pearson_T, rtol=1e-4)


def test_no_targets_give_empty_figures() -> None:
    """Rather than an error."""
    found = GeneSums(torch.zeros(0), WEIGHTS_NC).result()
    assert found.mse_T.shape == (0,)
    assert found.r2_NT.shape == (40, 0)


def test_r_squared_by_hand() -> None:
    """1 - mse / variance; worse than the mean is negative."""
    np.testing.assert_allclose(
        r_squared(np.array([0.0, 1.0, 3.0, 0.0]), np.array([2.0, 2.0, 2.0, 0.0])), [1, 0.5, -0.5, np.nan]
    )


def test_the_interval_of_the_median_holds_the_median(know) -> None:
    """Of rare genes too, whose variance within a resample is on average too small."""
    rng = np.random.default_rng(0)
    y_CT = (rng.random((300, 400)) < 0.02) * rng.gamma(4.0, 0.2, (300, 400))
    mean_T = y_CT.mean(axis=0)
    found = passed(know, 0.9 * mean_T + 0.1 * y_CT, y_CT, mean_T, 400, resample_weights(300, 200, 0))
    low, high = np.quantile(median_of(found.r2_NT), [0.025, 0.975])
    assert low <= np.nanmedian(found.r2_T) <= high
