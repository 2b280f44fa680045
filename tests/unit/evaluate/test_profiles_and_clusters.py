"""Mean profiles, markers and clusters, by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from scipy import sparse, stats

from sclandmarks.evaluate.bootstrap import resample, resample_weights
from sclandmarks.evaluate.clusters import agreement, cluster, principal_space
from sclandmarks.evaluate.figures import Figure, weighted_medians
from sclandmarks.evaluate.groups import group_name, over_seeds
from sclandmarks.evaluate.judge import profile_figures
from sclandmarks.evaluate.predictions import Block
from sclandmarks.evaluate.profiles import Profiles, ProfileSums, known_types, shared_markers

N_CELLS, N_GENES = 60, 40
CHOSEN = np.arange(N_GENES) >= 4


def cells(donors: int = 6) -> pl.DataFrame:
    """Two types of 30 cells less one, one cell without a type."""
    kinds = ["a", "b"] * (N_CELLS // 2 - 1) + ["a", "Unknown"]
    donor = [f"d{i % donors}" for i in range(N_CELLS)]
    return pl.DataFrame({"dataset": ["x"] * N_CELLS, "cell_type": kinds, "donor": donor})


def profiles(p_CG: np.ndarray, y_CG: np.ndarray, weights_NC: np.ndarray) -> Profiles:
    """Ours, in two blocks of genes."""
    sums = ProfileSums(known_types(cells()), CHOSEN, torch.full((N_GENES,), 0.5), weights_NC, 3)
    for places in (np.arange(15), np.arange(15, N_GENES)):
        p, y = (torch.from_numpy(part.T[places].copy()).float() for part in (p_CG, y_CG))
        sums.add(Block(places, p, y))
    return sums.result()


def made() -> tuple[np.ndarray, np.ndarray]:
    """Imputed and measured values."""
    rng = np.random.default_rng(0)
    y_CG = rng.gamma(1, 1, (N_CELLS, N_GENES)) * rng.uniform(0.2, 2, N_GENES)
    return 0.5 * y_CG + rng.normal(0, 0.3, y_CG.shape), y_CG


def test_profiles_are_numpys() -> None:
    """Correlation and error of the means of each type over the chosen genes."""
    p_CG, y_CG = made()
    found = profiles(p_CG, y_CG, resample_weights(N_CELLS, 20, 0))
    for k, kind in enumerate("ab"):
        here = (cells()["cell_type"] == kind).to_numpy()
        p, y = (part[here].mean(axis=0)[CHOSEN] for part in (p_CG, y_CG))
        assert found.r_MK[0, k] == pytest.approx(np.corrcoef(p, y)[0, 1], rel=1e-4)
        assert found.rmse_MK[0, k] == pytest.approx(np.sqrt(((p - y) ** 2).mean()), rel=1e-4)
        assert found.r_MK[1:, k].min() < found.r_MK[0, k] < found.r_MK[1:, k].max()


def test_a_perfect_imputation_keeps_profiles_and_markers() -> None:
    """1, 1, 0, and every marker."""
    _, y_CG = made()
    found = profiles(y_CG, y_CG, resample_weights(N_CELLS, 5, 0))
    np.testing.assert_allclose(found.r_MK, 1, atol=1e-5)
    np.testing.assert_allclose(found.change_MK, 1, atol=1e-5)
    np.testing.assert_allclose(found.rmse_MK, 0, atol=1e-5)
    assert found.shared_K.tolist() == found.jaccard_K.tolist() == [1, 1]


def test_cells_without_types_have_no_profile() -> None:
    """As in a data set without labels: no type, no row, no error."""
    untyped = cells().with_columns(cell_type=pl.lit("Unknown"))
    sums = ProfileSums(known_types(untyped), CHOSEN, torch.zeros(N_GENES), np.ones((7, N_CELLS)), 3)
    p_CG, y_CG = made()
    sums.add(Block(np.arange(N_GENES), *(torch.from_numpy(part.T.copy()).float() for part in (p_CG, y_CG))))
    found = sums.result()
    assert found.r_MK.shape == found.change_MK.shape == found.rmse_MK.shape == (8, 0)
    assert found.shared_K.shape == found.jaccard_K.shape == (0,)
    assert profile_figures(found) == {}


def test_markers_are_the_largest_of_welchs_t() -> None:
    """As scipy ranks them, up to its n - 1."""
    _, y_CG = made()
    sums = ProfileSums(known_types(cells()), CHOSEN, torch.zeros(N_GENES), np.ones((1, N_CELLS)), 3)
    here = (cells()["cell_type"] == "a").to_numpy()
    want = stats.ttest_ind(y_CG[here], y_CG[~here], equal_var=False).statistic
    np.testing.assert_allclose(sums._welch(torch.from_numpy(y_CG.T.copy()).float())[0], want, rtol=1e-3, atol=1e-3)


def test_shared_markers_by_hand() -> None:
    """Two of three found: share 2/3, Jaccard 2/4; none found; nothing to find."""
    true = np.array([5.0, 4.0, 3.0, 0.0, -1.0])
    assert shared_markers(np.array([9.0, 8.0, 0.0, 7.0, 0.0]), true, 3) == pytest.approx((2 / 3, 0.5))
    assert shared_markers(np.zeros(5), true, 3) == (0, 0)
    assert np.isnan(shared_markers(true, np.zeros(5), 3)).all()


def test_clusters_of_apart_cells_are_found() -> None:
    """In the space of the measured cells, equal for every seed."""
    rng = np.random.default_rng(0)
    X_CG = sparse.csr_matrix(rng.poisson(1, (60, 30)) + 30 * np.repeat(np.eye(3), 20, axis=0).repeat(10, axis=1))
    space = principal_space([X_CG[:25], X_CG[25:]])
    truth_C = np.repeat(np.arange(3), 20)
    for labels in cluster(space.scores_CK, 3):
        assert agreement(labels, truth_C, np.ones((1, 60))) == 1


def test_copies_of_a_cell_do_not_agree_with_themselves() -> None:
    """Unrelated labels stay near 0 in resamples too."""
    rng = np.random.default_rng(1)
    left_C, right_C = rng.integers(0, 4, (2, 400))
    found = agreement(left_C, right_C, resample_weights(400, 200, 0))
    assert abs(found.mean() - agreement(left_C, right_C, np.ones((1, 400)))[0]) < 0.005


def test_donors_are_drawn_whole_where_there_are_five() -> None:
    """All cells of a donor are in a resample equally often; with four donors, or an unknown one, cells are drawn."""
    found = resample(cells(6), 50, 0)
    assert (found.unit, found.n_units) == ("donor", 6)
    for unit in range(6):
        assert (np.ptp(found.weights_NC[:, found.unit_C == unit], axis=1) == 0).all()
    assert (found.weights_NU.sum(axis=1) == 6).all()
    np.testing.assert_array_equal(found.add_up(np.ones((N_CELLS, 1)))[:, 0], [10] * 6)
    assert resample(cells(4), 5, 0).unit == "cell"
    some = cells(6).with_columns(donor=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("Unknown")).otherwise("donor"))
    assert resample(some, 5, 0).unit == "cell"


def test_weighted_medians_are_of_the_drawn_values() -> None:
    """Even and odd numbers of them."""
    values_C, weights_NC = np.random.default_rng(0).normal(size=9), resample_weights(9, 40, 0)
    weights_NC[::2, 0] += 1
    want = [np.median(np.repeat(values_C, weights_C.astype(int))) for weights_C in weights_NC]
    np.testing.assert_allclose(weighted_medians(values_C, weights_NC), want)


def test_names_of_groups() -> None:
    """What the names share, with a star between."""
    assert group_name(["random-0-ridge", "random-1-ridge", "random-2-ridge"]) == "random-*-ridge"
    assert group_name(["a", "ab"]) == "a*"


def test_intervals_over_seeds_cover() -> None:
    """Three seeds and noisy cells: about 95 % of the intervals hold the true mean."""
    rng, hits, n = np.random.default_rng(0), 0, 400
    for _ in range(n):
        shared = rng.normal(0, 0.3)
        values = rng.normal(0, 1, 3) + shared
        figures = [Figure(value, value + rng.normal(0, 0.3, 300)) for value in values]
        found = over_seeds(figures, 0.95, 0)
        hits += found["low"] <= 0 <= found["high"]
    assert 0.9 <= hits / n <= 0.995
