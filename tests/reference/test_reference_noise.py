"""The noise floor against scipy's correlation of dense halves, and against Poisson counts whose floor is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, stats

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.noise import Thinning, captured_interval, log_values, noise_floor, thin
from sclandmarks.prep.scprep_adapter import log_normalise


def rates(n_cells: int, n_genes: int, depth: float, seed: int) -> np.ndarray:
    """Four cell types of different sizes and a graded programme, shape (n_cells, n_genes)."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    types = fixed.lognormal(0, 1, n_genes) * np.exp(fixed.normal(0, 0.6, (4, n_genes)))
    graded = np.exp(np.outer(rng.gamma(1, 0.5, n_cells), fixed.normal(0, 0.5, n_genes)))
    found = types[rng.choice(4, n_cells, p=[0.4, 0.3, 0.2, 0.1])] * graded
    return np.asarray(depth * found / found.sum(axis=1, keepdims=True) * rng.lognormal(0, 0.3, (n_cells, 1)))


def normalised(counts: np.ndarray) -> np.ndarray:
    return log_normalise(sparse.csr_matrix(counts), 1e4, 10).toarray()


def test_the_whole_is_normalised_as_prepared() -> None:
    """The variance that the floor is a part of is that of the processed matrix."""
    counts = sparse.csr_matrix(np.random.default_rng(1).poisson(rates(200, 50, 3000, 1)).astype(np.int32))
    found = noise_floor([counts], 1e4, 10, 2, 0)
    np.testing.assert_allclose(found.variance_G, normalised(counts.toarray()).var(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(
        log_values(counts.data.astype(np.int64), counts.indptr, 1e4, 10), log_normalise(counts, 1e4, 10).data, rtol=1e-6
    )


def test_reliability_is_spearman_browns_of_scipys_correlation() -> None:
    """Mean over repeats of Pearson's r of both halves, scipy, on 1,500 cells: within 0.01."""
    counts = sparse.csr_matrix(np.random.default_rng(1).poisson(rates(1500, 60, 3000, 1)).astype(np.int32))
    found, r = noise_floor([counts], 1e4, 10, 3, 0), []
    for repeat in range(3):
        first = counts.copy()
        first.data = thin(counts, Thinning(0, repeat), np.arange(1500), np.arange(60))
        a, b = normalised(first.toarray()), normalised((counts - first).toarray())
        r.append([stats.pearsonr(a[:, gene], b[:, gene]).statistic for gene in range(60)])
    expected = np.mean(r, axis=0)
    np.testing.assert_allclose(found.r_G, expected, atol=0.01)
    uncalibrated = 1 - found.floor_G / found.calibration_G / found.variance_G
    np.testing.assert_allclose(uncalibrated, 2 * expected / (1 + expected), atol=0.01)


@pytest.mark.parametrize("depth", [1000, 5000, 20_000])
def test_the_pooled_floor_is_the_noise_of_redrawn_counts(depth: int) -> None:
    """Within 5 % of the variance of counts drawn again around the same rates, at small and large depth."""
    known, rng = rates(1000, 150, depth, 1), np.random.default_rng(2)
    draws = np.stack([normalised(rng.poisson(known)) for _ in range(6)])
    true = draws.var(axis=0, ddof=1).mean()
    counts = sparse.csr_matrix(rng.poisson(known).astype(np.int32))
    found = noise_floor([counts], 1e4, 10, 5, 0)
    assert found.floor_mse().value == pytest.approx(true, rel=0.05)
    whole = normalised(counts.toarray())
    assert found.explainable().value == pytest.approx(1 - true / whole.var(axis=0).mean(), abs=0.02)
    by_level = np.array_split(np.argsort(known.mean(axis=0)), 3)
    for genes in by_level:
        true_part = draws[:, :, genes].var(axis=0, ddof=1).mean()
        assert found.floor_mse(genes).value == pytest.approx(true_part, rel=0.13)


def test_the_expectation_captures_all_and_half_the_way_three_quarters() -> None:
    """What knows the rates sits at the floor; its interval holds 1. Half the way from the mean to it gives 3/4."""
    known, rng = rates(500, 150, 3000, 3), np.random.default_rng(4)
    counts = rng.poisson(known)
    y_CG, expected = normalised(counts), np.mean([normalised(rng.poisson(known)) for _ in range(60)], axis=0)
    mean_G, weights_NC = expected.mean(axis=0), resample_weights(500, 200, 0)
    floor = noise_floor([sparse.csr_matrix(counts.astype(np.int32))], 1e4, 10, 5, 0, weights_NC)
    base_C = ((y_CG - mean_G) ** 2).mean(axis=1)
    for share, captured in ((1.0, 1.0), (0.5, 0.75), (0.0, 0.0)):
        error_C = ((y_CG - (mean_G + share * (expected - mean_G))) ** 2).mean(axis=1)
        pooled = [part_C.mean() for part_C in (error_C, base_C)]
        resampled = [weights_NC @ part_C / 500 for part_C in (error_C, base_C)]
        found = captured_interval(*pooled, floor.floor_mse().value, *resampled, floor.floor_N(), 0.99)
        assert found.value == pytest.approx(captured, abs=0.05)
        assert found.low <= captured <= found.high
        assert found.high - found.low < 0.2
