"""Resamples of the test cells and the intervals they give."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sclandmarks.evaluate.bootstrap import Resamples, interval, median_of, quantiles, resample_weights


def test_every_resample_draws_as_many_cells_as_there_are() -> None:
    """Whole numbers that sum to n_cells, each cell drawn once on average."""
    weights_NC = resample_weights(30, 2000, seed=0)
    assert weights_NC.shape == (2000, 30)
    assert (weights_NC.sum(axis=1) == 30).all()
    assert (weights_NC == np.rint(weights_NC)).all()
    assert weights_NC.min() >= 0
    np.testing.assert_allclose(weights_NC.mean(axis=0), 1, atol=0.15)
    assert weights_NC.var() == pytest.approx(1 - 1 / 30, rel=0.05)


def test_resamples_say_nothing_about_few_units() -> None:
    """Of cells of five donors or more those count that hold any of them; of four donors, or one, none does."""
    unit_C = np.repeat(np.arange(6), 3)
    resamples = Resamples("donor", resample_weights(6, 200, 0)[:, unit_C], unit_C)
    five, four, one = (unit_C < n for n in (5, 4, 1))
    expected = (resamples.weights_NU[:, :5] > 0).any(axis=1)
    np.testing.assert_array_equal(resamples.telling(five), expected)
    assert resamples.telling(unit_C >= 0).all()
    assert not resamples.telling(four).any()
    assert not resamples.telling(one).any()


def test_resamples_are_seeded() -> None:
    """The same for all that is compared, others for another seed."""
    first, again, other = (resample_weights(9, 5, seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_interval_is_made_of_percentiles() -> None:
    """Of 1001 known values, the 2.5th and the 97.5th percentile; the value is not theirs."""
    found = interval(7.0, np.random.default_rng(0).permutation(1001).astype(float), 0.95)
    assert found == pytest.approx((7.0, 25.0, 975.0))


def test_resamples_that_are_not_finite_are_left_out() -> None:
    """Neither NaN nor infinity spoils the others; nothing left gives no interval."""
    assert interval(1.0, np.array([np.nan, 2.0, np.inf, 2.0]), 0.9) == (1.0, 2.0, 2.0)
    nothing = interval(1.0, np.array([np.nan, np.nan]), 0.9)
    assert nothing.value == 1
    assert math.isnan(nothing.low)
    assert math.isnan(nothing.high)


def holed(n: int) -> np.ndarray:
    """Values with ties, NaN here and there, and a column of NaN alone."""
    rng = np.random.default_rng(n)
    values_NX = np.round(rng.normal(size=(n, 40)), 1)
    values_NX[rng.random(values_NX.shape) < 0.3] = np.nan
    values_NX[:, 3] = np.nan
    values_NX[0, 4] = np.inf
    return values_NX


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("n", [1, 2, 9, 200])
def test_quantiles_and_medians_are_those_of_numpy(n: int) -> None:
    """To the last bit, column by column and row by row, NaN left out."""
    values_NX = holed(n)
    finite = np.where(np.isinf(values_NX), 0.5, values_NX)
    shares = [0.025, 0.5, 0.9, 0.975]
    np.testing.assert_array_equal(quantiles(finite, shares), np.nanquantile(finite, shares, axis=0))
    np.testing.assert_array_equal(median_of(values_NX.T), np.nanmedian(values_NX, axis=0))
