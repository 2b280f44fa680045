"""Where a curve crosses a line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks.evaluate.studies.crossing import cross, crossings
from sclandmarks.evaluate.studies.scores import Resampled

SIZES = np.array([10.0, 100.0, 1000.0])


def test_between_sizes_it_is_linear_on_a_logarithmic_axis() -> None:
    assert crossings(SIZES, np.array([[0.0, 0.2, 0.4]]), np.array([0.1]))[0] == pytest.approx(10**1.5)
    assert crossings(SIZES, np.array([[0.0, 0.2, 0.4]]), np.array([0.4]))[0] == pytest.approx(1000)


LEVELS = st.floats(0, 1, allow_subnormal=False)  # torch may have switched them off


def test_the_ends_of_the_range() -> None:
    curve = np.array([[0.1, 0.2, 0.4], [0.1, 0.2, 0.4]])
    assert crossings(SIZES, curve, np.array([0.05, 0.5])).tolist() == [10, np.inf]


def test_the_first_crossing_counts() -> None:
    assert crossings(SIZES, np.array([[0.0, 0.4, 0.1]]), np.array([0.2]))[0] == pytest.approx(10**1.5)


@given(st.lists(LEVELS, min_size=3, max_size=3), LEVELS)
def test_the_curve_at_the_crossing_is_at_the_level(curve: list[float], level: float) -> None:
    found = crossings(SIZES, np.array([curve]), np.array([level]))[0]
    if np.isfinite(found) and found > 10:
        assert np.interp(np.log(found), np.log(SIZES), curve) == pytest.approx(level, abs=1e-6)
    elif not np.isfinite(found):
        assert max(curve) < level
    else:
        assert found == 10


def test_intervals_hold_crossings_of_paired_resamples_and_say_how_many_cross() -> None:
    curve = [Resampled(value, np.array([value, value, value + 1])) for value in (0.0, 0.2, 0.4)]
    found = cross([10, 100, 1000], curve, Resampled(0.2, np.array([0.1, 0.5, 1.2])), 0.95)
    assert found.value == pytest.approx(100)
    assert found.low == pytest.approx(10**1.5)
    assert found.high == np.inf
    assert found.reached == pytest.approx(2 / 3)
