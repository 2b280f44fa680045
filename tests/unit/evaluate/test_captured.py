"""Captured: what part of what can be explained is explained."""

from __future__ import annotations

import numpy as np
import pytest

from sclandmarks.evaluate.noise import captured, captured_interval


def test_by_hand() -> None:
    """Mean 0.05, floor 0.03, error 0.045: a quarter of what can be known."""
    assert captured(0.045, 0.05, 0.03).value == pytest.approx(0.25)


def test_the_mean_captures_nothing_and_the_floor_all() -> None:
    """Worse than the mean is negative, better than the floor above one: neither is cut."""
    values = captured([0.05, 0.03, 0.06, 0.02], 0.05, 0.03).value
    np.testing.assert_allclose(values, [0, 1, -0.5, 1.5])


def test_next_to_nothing_to_know_is_undefined_and_counted() -> None:
    """Floor above, at or within 2 % of the mean's error, or a constant gene: NaN."""
    found = captured([0.01, 0.01, 0.01, 0.0, 0.01], [0.05, 0.05, 0.05, 0.0, 0.05], [0.06, 0.05, 0.0495, 0.0, 0.048])
    assert np.isnan(found.value).tolist() == [True, True, True, True, False]
    assert found.n_undefined == 4
    assert captured(0.01, 0.05, 0.0495, least=0.001).n_undefined == 0


def test_the_interval_is_paired() -> None:
    """Errors that move together leave captured alone; resamples where it is undefined are left out."""
    factor_N = np.linspace(0.5, 1.5, 101)
    found = captured_interval(0.045, 0.05, 0.03, 0.045 * factor_N, 0.05 * factor_N, 0.03 * factor_N, 0.95)
    assert found == pytest.approx((0.25, 0.25, 0.25))
    floor_N = np.append(0.03 * factor_N, 0.9)
    more = captured_interval(
        0.045, 0.05, 0.03, np.append(0.045 * factor_N, 0.5), np.append(0.05 * factor_N, 0.5), floor_N, 0.95
    )
    assert more == pytest.approx((0.25, 0.25, 0.25))
    unpaired = captured_interval(0.045, 0.05, 0.03, 0.045 * factor_N, 0.05 * factor_N[::-1], 0.03 * factor_N, 0.95)
    assert unpaired.high - unpaired.low > 0.5
