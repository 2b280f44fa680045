"""Stability of panels chosen again."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclandmarks import schema
from sclandmarks.errors import PanelError
from sclandmarks.evaluate.studies.cohort import Cohort
from sclandmarks.evaluate.studies.stability import as_masks, mean_jaccard, nogueira, stability
from sclandmarks.params import StudiesParams


def drawn(n_panels: int, size: int, n_genes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return as_masks([rng.permutation(n_genes) for _ in range(n_panels)], size, n_genes)


def test_identical_panels_have_1_and_no_doubt() -> None:
    same = np.tile(drawn(1, 5, 30, 0), (6, 1))
    assert nogueira(same, 0.95) == pytest.approx((1, 1, 1))
    assert mean_jaccard(same) == 1


def test_random_panels_have_about_0() -> None:
    found = [nogueira(drawn(20, 10, 200, seed), 0.95) for seed in range(40)]
    assert np.mean([one.value for one in found]) == pytest.approx(0, abs=0.005)


def test_by_hand() -> None:
    """Two panels {0, 1} and {0, 2} of 4 genes: s^2 = 0, 1/2, 1/2, 0; 1 - (1/4) / (1/2 x 1/2) = 0."""
    masks = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=bool)
    assert nogueira(masks, 0.95).value == pytest.approx(0)
    assert mean_jaccard(masks) == pytest.approx(1 / 3)


def test_of_panels_of_one_size_it_is_kuncheva_s_index() -> None:
    """Nogueira et al. 2018, theorem 2: for panels of equal size it is the mean of Kuncheva's index over pairs."""
    masks, n_genes, size = drawn(7, 12, 50, 1), 50, 12
    shared = [(one & other).sum() for one, other in combinations(masks, 2)]
    index = np.mean([(r - size**2 / n_genes) / (size - size**2 / n_genes) for r in shared])
    assert nogueira(masks, 0.95).value == pytest.approx(index)


def test_of_two_kinds_it_is_fleiss_kappa_but_for_the_unbiased_variance() -> None:
    """M / (M - 1) apart, 1 - Phi is Fleiss' 1 - kappa over genes as subjects and panels as raters."""
    masks = np.random.default_rng(3).random((5, 40)) < 0.3
    part = masks.mean()
    agree = [np.mean([a == b for a, b in combinations(column, 2)]) for column in masks.T]
    expected = part**2 + (1 - part) ** 2
    kappa = (np.mean(agree) - expected) / (1 - expected)
    assert nogueira(masks, 0.95).value == pytest.approx(kappa)


def test_the_interval_covers_as_promised() -> None:
    """Panels drawn independently gene by gene with known probabilities: the true stability is known."""
    probability_G = np.concatenate([np.full(10, 0.9), np.full(90, 0.1)])
    mean = probability_G.mean()
    truth = 1 - (probability_G * (1 - probability_G)).mean() / (mean * (1 - mean))
    rng = np.random.default_rng(0)
    found = [nogueira(rng.random((60, 100)) < probability_G, 0.9) for _ in range(200)]
    assert 0.84 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.97


@given(st.integers(2, 8), st.integers(1, 29), st.integers(0, 10**6))
def test_bounds_and_invariance_to_order(n_panels: int, size: int, seed: int) -> None:
    masks = drawn(n_panels, size, 30, seed)
    found, rng = nogueira(masks, 0.95), np.random.default_rng(seed)
    assert -1 / (n_panels - 1) - 1e-9 <= found.value <= 1 + 1e-9
    assert found.low <= found.value <= found.high
    shuffled = masks[rng.permutation(n_panels)][:, rng.permutation(30)]
    assert nogueira(shuffled, 0.95) == pytest.approx(found)
    assert mean_jaccard(shuffled) == pytest.approx(mean_jaccard(masks))
    assert 0 <= mean_jaccard(masks) <= 1


def test_mean_jaccard_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import jaccard_score

    masks = drawn(5, 8, 30, 4)
    assert mean_jaccard(masks) == pytest.approx(np.mean([jaccard_score(a, b) for a, b in combinations(masks, 2)]))


@pytest.mark.parametrize("masks", [np.ones((1, 4), bool), np.ones((3, 4), bool), np.zeros((3, 4), bool)])
def test_nothing_to_compare(masks: np.ndarray) -> None:
    with pytest.raises(PanelError, match="two panels or more"):
        nogueira(masks, 0.95)


def test_tables_over_seeds_and_resamples(values: Cohort, study: StudiesParams) -> None:
    tables = stability(values, study)
    stable = schema.check(tables[schema.STABILITY], schema.STABILITY)
    counted = schema.check(tables[schema.FREQUENCY], schema.FREQUENCY)
    kinds = set(stable.select("panel", "over").iter_rows())
    assert kinds == {("greedy", "resamples"), ("random", "seeds")}
    measure = {
        (row["panel"], row["over"], row["n_landmarks"]): row["value"]
        for row in stable.filter(pl.col("measure") == "nogueira").to_dicts()
    }
    assert measure["greedy", "resamples", 6] > 0.8  # the planted landmarks, nearly each time
    assert abs(measure["random", "seeds", 6]) < 0.3
    total = counted.group_by("panel", "over", "n_landmarks").agg(pl.col("frequency").sum())
    assert all(row["frequency"] == pytest.approx(row["n_landmarks"]) for row in total.to_dicts())
