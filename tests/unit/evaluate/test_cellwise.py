"""Sums and correlations within cells, gathered over blocks, against numpy and scipy on the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse, stats

from sclandmarks.evaluate.cellwise import CellPass, CellSums, baselines, gather_cells
from sclandmarks.learn.task import dense_pairs

N_CELLS, N_TARGETS = 50, 8
SETS = {"own": np.ones(N_TARGETS, bool), "common": np.isin(np.arange(N_TARGETS), [1, 3, 6, 7])}
PAIRS_TS = np.random.default_rng(3).random((N_TARGETS, 3)) < 0.6


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and measured values, many of them zero."""
    rng = np.random.default_rng(seed)
    y_CT = rng.gamma(1.0, 1.0, (N_CELLS, N_TARGETS)) * (rng.random((N_CELLS, N_TARGETS)) < 0.6)
    return y_CT + rng.normal(0, 0.5, y_CT.shape), y_CT


def passed(know, p_CT: np.ndarray, y_CT: np.ndarray, block: int = 17) -> CellPass:
    """Ours."""
    known = know(p_CT, y_CT, block)
    loadings = (torch.full((1, 2), 0.5), torch.arange(2.0 * N_TARGETS).reshape(N_TARGETS, 2))
    pairs = dense_pairs(known.test.in_order(), known.inputs, known.outputs, torch.device("cpu"))
    return gather_cells(known.module, pairs, CellSums(SETS, PAIRS_TS, loadings), torch.device("cpu"))


@pytest.mark.parametrize("block", [1, 17, 50])
@pytest.mark.parametrize("target_set", SETS)
def test_sums_are_numpys(know, block: int, target_set: str) -> None:
    """Per cell, for either set of targets, whatever the blocks."""
    p_CT, y_CT = made()
    found = passed(know, p_CT, y_CT, block).errors[target_set]
    p_CT, y_CT = p_CT[:, SETS[target_set]], y_CT[:, SETS[target_set]]
    np.testing.assert_allclose(found.sse_C, ((p_CT - y_CT) ** 2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.weighted_C, ((y_CT + 1) * (p_CT - y_CT) ** 2).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.absolute_C, np.abs(p_CT - y_CT).sum(axis=1), rtol=1e-5)
    assert found.n_targets == p_CT.shape[1]


@pytest.mark.parametrize("target_set", SETS)
def test_correlations_are_scipys(know, target_set: str) -> None:
    """Of every cell over its targets; a cell without variance has none."""
    p_CT, y_CT = made()
    y_CT[4] = 0
    found = passed(know, p_CT, y_CT).errors[target_set]
    for cell, (p_T, y_T) in enumerate(zip(p_CT[:, SETS[target_set]], y_CT[:, SETS[target_set]], strict=True)):
        if np.ptp(y_T) == 0:
            assert np.isnan(found.pearson_C[cell])
            assert np.isnan(found.spearman_C[cell])
        else:
            assert found.pearson_C[cell] == pytest.approx(stats.pearsonr(p_T, y_T).statistic, abs=1e-5)
            assert found.spearman_C[cell] == pytest.approx(stats.spearmanr(p_T, y_T).statistic, abs=1e-5)


def test_pair_sets_hold_their_targets_only(know) -> None:
    """Squared errors over each set of targets."""
    p_CT, y_CT = made()
    np.testing.assert_allclose(passed(know, p_CT, y_CT).pair_CS, (p_CT - y_CT) ** 2 @ PAIRS_TS, rtol=1e-5)


def test_scores_are_of_the_imputed_cell(know) -> None:
    """Panel genes as measured, targets as predicted."""
    p_CT, y_CT = made()
    want_CK = 0.5 * np.arange(N_CELLS)[:, None] + p_CT @ np.arange(2 * N_TARGETS).reshape(N_TARGETS, 2)
    np.testing.assert_allclose(passed(know, p_CT, y_CT).scores_CK, want_CK, rtol=1e-5)


def test_baselines_are_errors_of_the_means() -> None:
    """Summed over each set of genes, in every cell."""
    _, y_CT = made()
    mean_T = np.linspace(0, 1, N_TARGETS)
    blocks = [sparse.csr_matrix(y_CT[:20]), sparse.csr_matrix(y_CT[20:])]
    found_CS = baselines(blocks, torch.from_numpy(mean_T).float(), PAIRS_TS)
    np.testing.assert_allclose(found_CS, (y_CT - mean_T) ** 2 @ PAIRS_TS, rtol=1e-5)


def test_no_targets_have_no_correlation(know) -> None:
    """A set of none or one gene has sums, and NaN for what needs two."""
    p_CT, y_CT = made()
    known = know(p_CT, y_CT)
    sets = {"one": np.arange(N_TARGETS) == 2, "none": np.zeros(N_TARGETS, bool)}
    sums = CellSums(sets, PAIRS_TS, (torch.zeros(1, 0), torch.zeros(N_TARGETS, 0)))
    pairs = dense_pairs(known.test.in_order(), known.inputs, known.outputs, torch.device("cpu"))
    found = gather_cells(known.module, pairs, sums, torch.device("cpu"))
    assert np.isnan(found.errors["one"].pearson_C).all()
    np.testing.assert_allclose(found.errors["one"].sse_C, ((p_CT - y_CT) ** 2)[:, 2], rtol=1e-4, atol=1e-6)
    assert (found.errors["none"].sse_C == 0).all()
    assert found.scores_CK.shape == (N_CELLS, 0)
