"""Many tests at once: by hand, and by simulation under the null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.multiple import max_t


def test_t_is_students() -> None:
    """Mean over its standard error, as scipy's one-sample test of units of equal size."""
    gap_UP = np.random.default_rng(0).normal(0.3, 1, (30, 5))
    found = max_t(gap_UP, np.ones((30, 1)), resample_weights(30, 50, 0))
    np.testing.assert_allclose(found.t_P, stats.ttest_1samp(gap_UP, 0).statistic)


def test_p_of_one_pair_is_near_students() -> None:
    """For normal gaps the bootstrap-t gives what the t distribution gives."""
    gap_UP = np.random.default_rng(1).normal(0, 1, (60, 8))
    found = max_t(gap_UP, np.ones((60, 1)), resample_weights(60, 4000, 0))
    np.testing.assert_allclose(found.p_P, stats.ttest_1samp(gap_UP, 0).pvalue, atol=0.04)


def test_pairs_that_are_equal_cost_nothing() -> None:
    """Perfectly dependent pairs are one test: correction leaves their p-value alone."""
    gap_U1 = np.random.default_rng(2).normal(0.3, 1, (40, 1))
    weights_NU = resample_weights(40, 999, 0)
    one, many = (max_t(np.tile(gap_U1, n), np.ones((40, 1)), weights_NU) for n in (1, 50))
    assert many.adjusted_P == pytest.approx(np.full(50, one.adjusted_P[0]))
    apart = max_t(np.hstack([gap_U1, np.random.default_rng(3).normal(0, 1, (40, 50))]), np.ones((40, 1)), weights_NU)
    assert apart.adjusted_P[0] > 2 * one.adjusted_P[0]


def test_no_gap_shows_nothing_and_a_constant_one_all() -> None:
    """Equal fits: p = 1. The same gap in every cell has no error at all."""
    gap_UP = np.stack([np.zeros(20), np.ones(20), np.random.default_rng(0).normal(size=20)], axis=1)
    found = max_t(gap_UP, np.ones((20, 1)), resample_weights(20, 99, 0))
    assert found.p_P[0] == found.adjusted_P[0] == 1
    assert found.p_P[1] == 0.01


def test_a_single_unit_shows_nothing() -> None:
    """It has no spread to compare its gap with."""
    found = max_t(np.array([[3.0, 0.0]]), np.ones((1, 1)), resample_weights(1, 20, 0))
    assert (found.t_P.tolist(), found.p_P.tolist(), found.adjusted_P.tolist()) == ([0, 0], [1, 1], [1, 1])


def test_units_of_different_size_are_weighted() -> None:
    """A ratio of sums: donors with more cells count more."""
    gap_UP, size_U1 = np.array([[2.0], [9.0], [4.0], [5.0]]), np.array([[1.0], [4.0], [2.0], [3.0]])
    found = max_t(gap_UP, size_U1, resample_weights(4, 20, 0))
    residual_U = gap_UP[:, 0] - 2 * size_U1[:, 0]
    assert found.t_P[0] == pytest.approx(2 / (np.sqrt((residual_U**2).sum() * 4 / 3) / 10))


@pytest.mark.parametrize(("n_units", "kind"), [(60, "normal"), (60, "skewed"), (8, "normal")])
def test_the_family_wise_error_is_near_nominal(n_units: int, kind: str) -> None:
    """300 families of 15 dependent pairs of fits that do not differ: at most about 5 % show any difference."""
    rng, n_false, n_families = np.random.default_rng(5), 0, 300
    pairs = [(a, b) for a in range(6) for b in range(a)]
    weights_NU = resample_weights(n_units, 199, 0)
    for _ in range(n_families):
        errors_UF = rng.normal(size=(n_units, 6)) if kind == "normal" else rng.gamma(0.7, 1, (n_units, 6))
        gap_UP = np.stack([errors_UF[:, a] - errors_UF[:, b] for a, b in pairs], axis=1)
        n_false += bool((max_t(gap_UP, np.ones((n_units, 1)), weights_NU).adjusted_P <= 0.05).any())
    assert n_false / n_families <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n_families)
    assert n_false / n_families >= 0.005 or n_units < 10


def test_a_true_difference_is_found_among_many() -> None:
    """Step-down: one strong difference does not hide another."""
    gap_UP = np.random.default_rng(6).normal(size=(80, 40))
    gap_UP[:, :2] += [3.0, 0.8]
    found = max_t(gap_UP, np.ones((80, 1)), resample_weights(80, 999, 0))
    assert (found.adjusted_P[:2] <= 0.05).all()
    assert (found.adjusted_P[2:] > 0.05).all()
