"""The noise floor: by hand, in any order, against the dense definition, and against a floor that is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.noise import NoiseFloor, Thinning, group_floors, noise_floor, thin
from sclandmarks.matrix import MemoryBatches


def programmes(n_cells: int, n_genes: int, depth: float, seed: int = 0) -> np.ndarray:
    """Rates of three programmes mixed in each cell, shape (n_cells, n_genes)."""
    rng = np.random.default_rng(seed)
    mix = rng.dirichlet([0.5, 0.5, 0.5], n_cells)
    genes = rng.gamma(0.5, size=(3, n_genes)) * rng.lognormal(0, 1, n_genes)
    return depth * mix @ (genes / genes.sum(axis=1, keepdims=True))


def drawn(rates: np.ndarray, seed: int = 1) -> sparse.csr_matrix:
    return sparse.csr_matrix(np.random.default_rng(seed).poisson(rates).astype(np.int32))


def blocks(counts: sparse.csr_matrix, size: int = 64) -> list[sparse.csr_matrix]:
    return list(MemoryBatches(counts, size).in_order())


def floor_of(counts: sparse.csr_matrix, size: int = 64, **more: object) -> NoiseFloor:
    return noise_floor(blocks(counts, size), 1e4, 10, n_repeats=4, seed=0, **more)  # type: ignore[arg-type]


COUNTS = drawn(programmes(150, 80, 2000))


def log10_of(counts: np.ndarray) -> np.ndarray:
    return np.log10(counts * 1e4 / np.maximum(counts.sum(axis=1, keepdims=True), 1) + 1)


def test_the_floor_is_spearman_browns_of_dense_halves() -> None:
    """Reference: dense halves, covariance over pooled variance averaged over repeats, 2r / (1 + r)."""
    dense, stacks = COUNTS.toarray(), []
    for repeat in range(4):
        half = np.zeros_like(dense)
        places = np.repeat(np.arange(150), np.diff(COUNTS.indptr)), COUNTS.indices
        half[places] = thin(COUNTS, Thinning(0, repeat), np.arange(150), np.arange(80))
        stacks.append((log10_of(half), log10_of(dense - half)))
    a, b = (np.concatenate([stack[i] for stack in stacks]) for i in range(2))
    total = ((a + b) / 2).var(axis=0) * 150 / 149
    noise = ((a - b) ** 2).mean(axis=0) / 4
    r = (total - noise) / (total + noise)  # cov(a, b) over the mean of their variances
    variance = log10_of(dense).var(axis=0, ddof=1)
    found = floor_of(COUNTS)
    np.testing.assert_allclose(found.r_G, r, atol=1e-12)
    np.testing.assert_allclose(found.variance_G, variance, rtol=1e-10)
    np.testing.assert_allclose(found.floor_G, found.calibration_G * (1 - 2 * r / (1 + r)) * variance, rtol=1e-9)
    np.testing.assert_allclose(found.reliability_G, 1 - found.floor_G / variance, atol=1e-12)


def test_the_calibration_is_what_smaller_depths_show() -> None:
    """Reference, one bin of genes: the floor at half depth over what the halves of one half make of it."""
    counts, cells, genes = drawn(programmes(150, 40, 2000)), np.arange(150), np.arange(40)
    levels = [counts]
    for level in range(2):
        half = levels[level].copy()
        half.data = thin(levels[level], Thinning(0, 0, level), cells, genes)
        levels.append(half)
    values = [log10_of(level.toarray()) for level in levels]
    rests = [log10_of((above - below).toarray()) for above, below in pairwise(levels)]
    known = ((values[1] - rests[0]) ** 2).mean(axis=0) / 2
    a, b, y = values[2], rests[1], values[1]
    share = ((a - b) ** 2).mean(axis=0) / 4 / ((a + b) / 2).var(axis=0)
    found = noise_floor(blocks(counts), 1e4, 10, n_repeats=1, seed=0)
    np.testing.assert_allclose(found.calibration_G, known.sum() / (share * y.var(axis=0)).sum(), rtol=1e-9)


def test_genes_of_like_expression_share_a_calibration() -> None:
    """120 genes make two bins of 60, in the order of their mean; genes without reads do no harm."""
    counts = drawn(programmes(300, 120, 500)).tolil()
    counts[:, 3] = 0
    found = floor_of(counts.tocsr())
    mean = log10_of(counts.toarray()).mean(axis=0)
    assert len(set(found.calibration_G)) == 2
    low, high = (set(found.calibration_G[half]) for half in np.split(np.argsort(mean, kind="stable"), 2))
    assert len(low) == len(high) == 1
    assert np.isfinite(found.calibration_G).all()


def test_one_repeat_is_close_to_the_correlation_of_the_halves() -> None:
    """Pearson's r of the two halves, with their own means and variances, differs little."""
    counts = drawn(programmes(2000, 40, 2000))
    half = counts.copy()
    half.data = thin(counts, Thinning(0, 0), np.arange(2000), np.arange(40))
    a, b = log10_of(half.toarray()), log10_of((counts - half).toarray())
    pearson = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(40)]
    found = noise_floor(blocks(counts), 1e4, 10, n_repeats=1, seed=0)
    np.testing.assert_allclose(found.r_G, pearson, atol=0.01)


@pytest.mark.parametrize("size", [1, 7, 150])
def test_the_size_of_blocks_does_not_matter(size: int) -> None:
    """Same halves whatever the batches."""
    weights_NC = resample_weights(150, 5, 0)
    whole, parts = (floor_of(COUNTS, n, weights_NC=weights_NC) for n in (64, size))
    np.testing.assert_allclose(parts.floor_G, whole.floor_G, rtol=1e-9)
    np.testing.assert_allclose(parts.floor_NG, whole.floor_NG, rtol=1e-3, atol=1e-6)


def test_the_order_of_cells_and_genes_does_not_matter() -> None:
    """With the numbers of cells and genes handed on, the floors move with their genes."""
    rng = np.random.default_rng(3)
    cells, genes = rng.permutation(150), rng.permutation(80)
    weights_NC = resample_weights(150, 5, 0)
    whole = floor_of(COUNTS, weights_NC=weights_NC)
    mixed = floor_of(COUNTS[cells][:, genes].tocsr(), weights_NC=weights_NC[:, cells], cells_C=cells, genes_G=genes)
    np.testing.assert_allclose(mixed.floor_G, whole.floor_G[genes], rtol=1e-9)
    np.testing.assert_allclose(mixed.floor_NG, whole.floor_NG[:, genes], rtol=1e-3, atol=1e-6)


def test_a_resample_is_the_floor_of_the_cells_drawn() -> None:
    """Weights 0, 1, 2 give what a matrix with those rows repeated gives, but for a shift of all resamples."""
    weights_NC = resample_weights(150, 3, 0)
    found, repeated = noise_floor(blocks(COUNTS), 1e4, 10, 1, 0, weights_NC), []
    for weights_C in weights_NC:
        rows = np.repeat(np.arange(150), weights_C.astype(int))
        repeated.append(noise_floor(blocks(COUNTS[rows]), 1e4, 10, 1, 0, cells_C=rows))
    floors = np.array([one.floor_G * found.calibration_G / one.calibration_G for one in repeated])
    variances = np.array([one.variance_G for one in repeated])
    np.testing.assert_allclose(found.floor_NG, floors - floors.mean(axis=0) + found.floor_G, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(
        found.variance_NG, variances - variances.mean(axis=0) + found.variance_G, rtol=2e-3, atol=1e-5
    )


def test_a_resample_without_any_of_the_cells_has_no_floor() -> None:
    """As where donors are drawn and a cell type is of one donor: NaN, and the others are as without it."""
    weights_NC = resample_weights(150, 20, 0)
    empty_NC = np.concatenate([weights_NC[:7], np.zeros((5, 150)), weights_NC[7:]])
    found, without = (noise_floor(blocks(COUNTS), 1e4, 10, 1, 0, weights) for weights in (empty_NC, weights_NC))
    kept = empty_NC.sum(axis=1) > 0
    assert np.isnan(found.floor_NG[~kept]).all()
    assert np.isnan(found.variance_NG[~kept]).all()
    np.testing.assert_array_equal(found.floor_NG[kept], without.floor_NG)
    np.testing.assert_array_equal(found.variance_NG[kept], without.variance_NG)
    assert found.floor_mse() == pytest.approx(without.floor_mse())


def test_intervals_hold_the_repeats_too() -> None:
    """One cell pattern resampled alike: what is left to vary is the calibration over repeats."""
    weights_NC = np.ones((400, 150))
    found = floor_of(COUNTS, weights_NC=weights_NC)
    assert found.floor_mse().low < found.floor_mse().value < found.floor_mse().high
    one = noise_floor(blocks(COUNTS), 1e4, 10, 1, 0, weights_NC)
    assert one.floor_mse().high - one.floor_mse().low < 1e-6
    np.testing.assert_allclose(found.floor_NG.mean(axis=0), found.floor_G, rtol=1e-4)


def test_rho_and_floor_stay_in_bounds() -> None:
    """rho at most 1, floors not negative, also where genes have a read or two; a gene without reads has neither."""
    counts = drawn(programmes(150, 80, 60)).tolil()
    counts[:, 5] = 0
    counts[7] = 0
    found = floor_of(counts.tocsr())
    assert np.nanmax(found.reliability_G) <= 1
    assert np.nanmin(found.reliability_G) < 0  # not cut
    assert (found.floor_G >= 0).all()
    assert np.isnan(found.reliability_G[5])
    assert found.floor_G[5] == found.variance_G[5] == 0


def test_counts_without_noise_have_no_floor() -> None:
    """Two kinds of cells with counts of many thousands: all variance is real."""
    rates = np.where(np.arange(60)[:, None] < 30, [[9e4, 1e4]], [[1e4, 9e4]])
    found = floor_of(sparse.csr_matrix(rates.astype(np.int64)))
    assert found.reliability_G.min() > 0.9999


def test_pure_noise_has_nothing_to_explain() -> None:
    """One rate a gene: the floor is the variance, within sampling."""
    rates = np.broadcast_to(np.random.default_rng(0).gamma(0.5, 20, 200), (1000, 200))
    found = floor_of(drawn(np.array(rates)), weights_NC=resample_weights(1000, 100, 0))
    low, high = found.explainable()[1:]
    assert low < 0.01
    assert abs(found.explainable().value) < 0.01
    assert high - low < 0.05


def test_the_true_floor_is_found() -> None:
    """Poisson counts around known rates: the pooled floor within 5 % of the variance around each cell's expectation."""
    rates = programmes(800, 150, 1500)
    rng = np.random.default_rng(2)
    redrawn = np.stack([log10_of(rng.poisson(rates)) for _ in range(40)])
    true = redrawn.var(axis=0, ddof=1).mean()
    counts = drawn(rates)
    assert floor_of(counts).floor_mse().value == pytest.approx(true, rel=0.05)
    assert abs(true - log10_of(counts.toarray()).var(axis=0).mean()) > 0.2 * true  # the variance is not the floor


def test_pooling_takes_the_genes_asked_for() -> None:
    """Means of floors, ratio of sums, and the same in resamples."""
    found, genes = floor_of(COUNTS, weights_NC=resample_weights(150, 200, 0)), np.array([3, 8, 41])
    assert found.floor_mse(genes).value == pytest.approx(found.floor_G[genes].mean())
    np.testing.assert_allclose(found.floor_N(genes), found.floor_NG[:, genes].mean(axis=1), rtol=1e-6)
    expected = 1 - found.floor_G[genes].sum() / found.variance_G[genes].sum()
    assert found.explainable(genes).value == pytest.approx(expected)
    assert found.explainable(genes).low < expected < found.explainable(genes).high
    narrow, wide = found.floor_mse(confidence=0.5), found.floor_mse(confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_at_another_variance_the_reliability_is_kept() -> None:
    """Twice the variance, twice the floor; nothing for a gene that never varied."""
    counts = COUNTS.tolil()
    counts[:, 5] = 0
    found = floor_of(counts.tocsr())
    np.testing.assert_allclose(found.at_variance(found.variance_G), found.floor_G, rtol=1e-9)
    np.testing.assert_allclose(found.at_variance(2 * found.variance_G), 2 * found.floor_G, rtol=1e-9)
    assert found.at_variance(np.ones(80))[5] == 0


def test_without_weights_there_is_no_interval() -> None:
    """The value alone; the spread over repeats is small beside it."""
    found = floor_of(COUNTS)
    assert np.isnan(found.floor_mse().low)
    assert found.floor_NG.shape == (0, 80)
    assert 0 < found.repeat_spread() < 0.1 * found.floor_mse().value
    assert np.isnan(noise_floor(blocks(COUNTS), 1e4, 10, 1, 0).repeat_spread())


def test_groups_are_floors_of_their_cells() -> None:
    """The same halves as in the whole, names sorted, small groups left out, weights taken along."""
    labels = np.array(["b"] * 60 + ["tiny"] * 5 + ["a"] * 85)
    weights_NC = resample_weights(150, 4, 0)
    found = dict(group_floors(MemoryBatches(COUNTS, 32), labels, 1e4, 10, 4, 0, weights_NC))
    assert list(found) == ["a", "b"]
    rows = np.flatnonzero(labels == "b")
    alone = floor_of(COUNTS[rows], weights_NC=weights_NC[:, rows], cells_C=rows)
    assert found["b"].n_cells == 60
    np.testing.assert_allclose(found["b"].floor_G, alone.floor_G, rtol=1e-9)
    np.testing.assert_allclose(found["b"].floor_NG, alone.floor_NG, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("counts", "more", "expected"),
    [
        (COUNTS[:1], {}, "two cells"),
        (COUNTS, {"weights_NC": np.ones((3, 149))}, "weights as long as the matrix"),
        (COUNTS, {"weights_NC": np.ones((3, 151))}, "weights as long as the matrix"),
        (COUNTS, {"cells_C": np.arange(9)}, "cells as long as the matrix"),
        (COUNTS, {"genes_G": np.arange(9)}, "genes as long as the matrix"),
    ],
)
def test_what_does_not_fit_is_refused(counts: sparse.csr_matrix, more: dict[str, object], expected: str) -> None:
    """With what was expected."""
    with pytest.raises(DataError, match=expected):
        floor_of(counts, **more)


def test_no_block_is_refused() -> None:
    """Nothing to estimate from."""
    with pytest.raises(DataError, match="two cells"):
        noise_floor([], 1e4, 10, 1, 0)
