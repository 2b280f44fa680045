"""Ranks, correlations and AUROC of rows, against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import roc_auc_score

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.ranks import (
    aurocs,
    average_ranks,
    correlations,
    resampled_aurocs,
    resampled_correlations,
)

TIED = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 12)), elements=st.integers(0, 4).map(float))
FINE = hnp.arrays(np.float32, (3, 10), elements=st.floats(-5, 5, width=32, allow_subnormal=False))


@given(values_RX=TIED)
def test_ranks_are_scipys_with_ties(values_RX: np.ndarray) -> None:
    """Equal values share their mean rank."""
    found = average_ranks(torch.from_numpy(values_RX)).numpy()
    np.testing.assert_array_equal(found, stats.rankdata(values_RX, axis=1))


@given(values_RX=FINE)
def test_ranks_are_scipys_without_many_ties(values_RX: np.ndarray) -> None:
    """The short way for rows without ties."""
    found = average_ranks(torch.from_numpy(values_RX)).numpy()
    np.testing.assert_array_equal(found, stats.rankdata(values_RX, axis=1))


def sample(n_rows: int = 6, n: int = 80, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions, some of them tied, and measured values with many zeros."""
    rng = np.random.default_rng(seed)
    y = rng.gamma(1, 1, (n_rows, n)) * (rng.random((n_rows, n)) < 0.5)
    p = np.round(0.5 * y + rng.normal(0, 0.5, y.shape), 1)
    return torch.from_numpy(p).float(), torch.from_numpy(y).float()


def test_correlations_are_scipys() -> None:
    """Pearson's, and Spearman's from ranks, for each row."""
    p, y = sample()
    rows = list(zip(p.numpy(), y.numpy(), strict=True))
    np.testing.assert_allclose(correlations(p, y), [stats.pearsonr(*row).statistic for row in rows], atol=1e-6)
    found = correlations(average_ranks(p), average_ranks(y))
    np.testing.assert_allclose(found, [stats.spearmanr(*row).statistic for row in rows], atol=1e-6)


@given(values=FINE, other=FINE)
def test_correlations_are_bounded_and_symmetric(values: np.ndarray, other: np.ndarray) -> None:
    """Between -1 and 1, the same both ways, 1 with itself where a row varies."""
    a, b = torch.from_numpy(values), torch.from_numpy(other)
    found = correlations(a, b)
    there = ~found.isnan()
    assert (found[there].abs() <= 1).all()
    both = there & ~correlations(b, a).isnan()
    torch.testing.assert_close(found[both], correlations(b, a)[both])
    itself = correlations(a, a)
    assert ((itself > 1 - 1e-4) | itself.isnan()).all()


def test_constant_rows() -> None:
    """A constant measured row has no correlation, a constant prediction has 0."""
    varies, constant = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[0.1, 0.1, 0.1]])
    assert correlations(varies, constant).isnan().all()
    assert correlations(constant, constant).isnan().all()
    assert correlations(constant, varies).tolist() == [0]


def test_aurocs_are_scikit_learns() -> None:
    """Zero against non-zero, ties counted half."""
    p, y = sample()
    found = aurocs(average_ranks(p), y > 0).value_R
    want = [roc_auc_score(y_X > 0, p_X) for p_X, y_X in zip(p.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_aurocs_by_hand() -> None:
    """Perfect, reversed, one pair of four wrong, all tied; only zeros or none at all: no AUROC."""
    y = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]) > 0
    p = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [5, 5, 5, 5], [1, 2, 3, 4], [1, 2, 3, 4]]).float()
    np.testing.assert_allclose(aurocs(average_ranks(p), y).value_R, [1, 0, 0.75, 0.5, np.nan, np.nan])


def test_resampled_pearson_is_of_the_drawn_columns() -> None:
    """Exactly; weights of 1 give the value itself."""
    p, y = sample()
    weights = resample_weights(80, 30, 0)
    found = resampled_correlations(p, y, torch.from_numpy(weights).float())
    for n, times in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(80), times)
        want = [np.corrcoef(p_X[rows], y_X[rows])[0, 1] for p_X, y_X in zip(p.numpy(), y.numpy(), strict=True)]
        np.testing.assert_allclose(found[n], want, atol=1e-5)
    np.testing.assert_allclose(resampled_correlations(p, y, torch.ones(1, 80))[0], correlations(p, y), atol=1e-6)


@pytest.mark.parametrize("figure", ["spearman", "auroc"])
def test_first_order_resamples_spread_as_exact_ones(figure: str) -> None:
    """Ranks are not made again in each resample: spread and place are near those of a bootstrap that does."""
    p, y = sample(n_rows=4, n=200, seed=1)
    weights = resample_weights(200, 300, 0)
    torch_weights, rank = torch.from_numpy(weights).float(), average_ranks(p)
    if figure == "auroc":
        found = resampled_aurocs(aurocs(rank, y > 0), y > 0, torch_weights).numpy()
    else:
        found = resampled_correlations(rank, average_ranks(y), torch_weights).numpy()
    exact = np.empty_like(found)
    for n, times in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(200), times)
        for r, (p_X, y_X) in enumerate(zip(p.numpy()[:, rows], y.numpy()[:, rows], strict=True)):
            exact[n, r] = roc_auc_score(y_X > 0, p_X) if figure == "auroc" else stats.spearmanr(p_X, y_X).statistic
    np.testing.assert_allclose(found.std(axis=0), exact.std(axis=0), rtol=0.12)
    assert (np.abs(found.mean(axis=0) - exact.mean(axis=0)) < 0.2 * exact.std(axis=0)).all()
