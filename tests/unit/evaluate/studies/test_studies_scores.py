"""Figures and intervals from squared errors of cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.studies.prefix import Side
from sclandmarks.evaluate.studies.scores import (
    Resampled,
    Score,
    captured,
    explained,
    minus,
    over_repeats,
    squared_errors,
    to_interval,
)

WEIGHTS = resample_weights(40, 200, seed=0)


def some_score(seed: int, floor: float = float("nan")) -> Score:
    rng = np.random.default_rng(seed)
    baseline_C = rng.uniform(1, 2, 40)
    return Score(baseline_C * rng.uniform(0.4, 0.8, 40), baseline_C, floor)


def test_squared_errors_by_cell_and_set() -> None:
    Y_CG = np.random.default_rng(0).poisson(1.0, (700, 5)).astype(np.float32)
    side = Side(sparse.csr_matrix(Y_CG[:, :2]), sparse.csr_matrix(Y_CG))
    sets = {"all": np.ones(5, bool), "some": np.array([0, 1, 0, 0, 1], bool), "none": np.zeros(5, bool)}
    found = squared_errors(lambda X_BL: X_BL[:, :1].expand(-1, 5), side, sets)
    errors = (Y_CG[:, :1] - Y_CG) ** 2
    np.testing.assert_allclose(found["all"], errors.sum(1), rtol=1e-6)
    np.testing.assert_allclose(found["some"], errors[:, [1, 4]].sum(1), rtol=1e-6)
    assert not found["none"].any()


def test_explained_is_0_for_the_mean_and_1_without_error() -> None:
    ones = np.ones(40)
    assert explained(Score(ones, ones), WEIGHTS).value == 0
    assert explained(Score(0 * ones, ones), WEIGHTS).value == 1
    score = some_score(1)
    by_hand = 1 - (WEIGHTS[7] * score.sse_C).sum() / (WEIGHTS[7] * score.baseline_C).sum()
    assert explained(score, WEIGHTS).values_N[7] == pytest.approx(by_hand)


def test_captured_is_explained_over_explainable() -> None:
    score = some_score(2, floor=0.5)
    explainable = 1 - 0.5 * 40 / score.baseline_C.sum()
    assert captured(score, WEIGHTS).value == pytest.approx(explained(score, WEIGHTS).value / explainable)
    at_floor = Score(np.full(40, 0.5), score.baseline_C, 0.5)
    assert captured(at_floor, WEIGHTS).value == pytest.approx(1)


def test_captured_is_not_defined_without_a_floor_or_above_it() -> None:
    assert np.isnan(captured(some_score(3), WEIGHTS).value)
    assert np.isnan(captured(some_score(3, floor=5.0), WEIGHTS).value)


def test_captured_uses_the_floor_of_each_resample() -> None:
    score = some_score(2, floor=0.5)
    floors = np.linspace(0.4, 0.6, 200)
    found = captured(Score(score.sse_C, score.baseline_C, 0.5, floors), WEIGHTS)
    w = WEIGHTS[3]
    by_hand = (w @ (score.baseline_C - score.sse_C)) / (w @ score.baseline_C - 40 * floors[3])
    assert found.values_N[3] == pytest.approx(by_hand)


def test_captured_does_not_hang_on_how_many_cells_are_drawn() -> None:
    """Resamples of donors differ in their number of cells."""
    score = some_score(2, floor=0.5)
    np.testing.assert_allclose(captured(score, 3 * WEIGHTS).values_N, captured(score, WEIGHTS).values_N)


def test_one_repeat_changes_nothing_and_several_widen_the_interval() -> None:
    one = explained(some_score(4), WEIGHTS)
    same = over_repeats([one], seed=0)
    assert same.value == one.value
    np.testing.assert_array_equal(same.values_N, one.values_N)
    apart = [Resampled(shift, np.full(200, shift)) for shift in (0.0, 0.3, 0.6)]
    found = to_interval(over_repeats(apart, seed=0), 0.95)
    assert found.value == pytest.approx(0.3)
    assert found.low < 0.2
    assert found.high > 0.4


@pytest.mark.parametrize("n_repeats", [2, 3, 10])
def test_intervals_over_repeats_cover(n_repeats: int) -> None:
    """Repeats that differ by chance: about 95 % of the intervals hold the truth, also with two or three of them."""
    rng, hits, n = np.random.default_rng(0), 0, 300
    for i in range(n):
        cells_N = rng.normal(0, 0.1, 400)
        each = [Resampled(value, value + cells_N) for value in rng.normal(rng.normal(0, 0.1), 1, n_repeats)]
        found = to_interval(over_repeats(each, seed=i), 0.95)
        hits += found.low <= 0 <= found.high
    assert 0.92 <= hits / n <= 0.98


def test_repeats_are_paired() -> None:
    """What shifts every repeat alike leaves no doubt about the shift."""
    values = np.random.default_rng(1).normal(size=3)
    one, other = (
        over_repeats([Resampled(value + shift, np.full(200, value + shift)) for value in values], 0)
        for shift in (0.0, 0.5)
    )
    found = to_interval(minus(other, one), 0.95)
    assert found == pytest.approx((0.5, 0.5, 0.5))


def test_a_difference_is_paired() -> None:
    one = explained(some_score(5), WEIGHTS)
    shifted = Resampled(one.value - 0.1, one.values_N - 0.1)
    found = to_interval(minus(one, shifted), 0.95)
    assert found == pytest.approx((0.1, 0.1, 0.1))


def test_predictions_are_given_the_inputs_of_their_cells() -> None:
    X_CL = sparse.csr_matrix(np.arange(6, dtype=np.float32).reshape(6, 1))
    seen: list[torch.Tensor] = []

    def predict(X_BL: torch.Tensor) -> torch.Tensor:
        seen.append(X_BL)
        return torch.zeros(len(X_BL), 2)

    squared_errors(predict, Side(X_CL, sparse.csr_matrix((6, 2), dtype=np.float32)), {"all": np.ones(2, bool)})
    assert torch.cat(seen).ravel().tolist() == [0, 1, 2, 3, 4, 5]
