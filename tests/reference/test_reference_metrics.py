"""Metrics against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import (
    adjusted_rand_score,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.cellwise import CellErrors, CellSums
from sclandmarks.evaluate.clusters import agreement
from sclandmarks.evaluate.figures import Figure, cell_figures, error_figures, gene_figures
from sclandmarks.evaluate.genewise import GenePass, GeneSums
from sclandmarks.evaluate.predictions import Block

N_CELLS, N_TARGETS, CONSTANT = 60, 9, [2, 5]
WEIGHTS_NC = resample_weights(N_CELLS, 30, seed=1)
EVERY = np.ones(N_TARGETS, bool)


@pytest.fixture(scope="module")
def values() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, measured values (some zero) and training means; two genes are constant among these cells."""
    rng = np.random.default_rng(2)
    y_CT = rng.gamma(1, 1, (N_CELLS, N_TARGETS)) * (rng.random((N_CELLS, N_TARGETS)) < 0.7)
    y_CT[:, CONSTANT] = 0.3
    return y_CT + rng.normal(0, 0.4, y_CT.shape), y_CT, rng.uniform(0, 2, N_TARGETS)


def judged(p_CT: np.ndarray, y_CT: np.ndarray, mean_T: np.ndarray) -> tuple[CellErrors, GenePass]:
    """Ours, by cells and by genes."""
    p, y, mean = (torch.from_numpy(part).float() for part in (p_CT, y_CT, mean_T))
    cells = CellSums({"own": EVERY}, EVERY[:, None], (torch.zeros(1, 0), torch.zeros(N_TARGETS, 0)))
    cells.add(torch.zeros(N_CELLS, 1), p, y)
    genes = GeneSums(mean, WEIGHTS_NC)
    genes.add(Block(np.arange(N_TARGETS), p.T.contiguous(), y.T.contiguous()))
    return cells.result().errors["own"], genes.result()


def figures_of(p_CT: np.ndarray, y_CT: np.ndarray, mean_T: np.ndarray) -> dict[str, Figure]:
    """All figures but captured."""
    errors, genes = judged(p_CT, y_CT, mean_T)
    base_C = ((y_CT - mean_T) ** 2).sum(axis=1)
    found = error_figures(errors, base_C, None, WEIGHTS_NC) | gene_figures(genes, EVERY)
    return found | cell_figures(errors, WEIGHTS_NC)


def test_figures_are_scikit_learns_and_scipys(values) -> None:
    """Each over all cells; medians without constant genes."""
    p_CT, y_CT, mean_T = values
    found = figures_of(p_CT, y_CT, mean_T)
    mse = mean_squared_error(y_CT, p_CT)
    weighted = mean_squared_error(y_CT.ravel(), p_CT.ravel(), sample_weight=(y_CT + 1).ravel()) * (y_CT + 1).mean()
    baseline = mean_squared_error(y_CT, np.tile(mean_T, (N_CELLS, 1)))
    varying = np.delete(np.arange(N_TARGETS), CONSTANT)
    genes = [(p_CT[:, gene], y_CT[:, gene]) for gene in varying]
    cells = list(zip(p_CT, y_CT, strict=True))
    want = {
        "mse": mse,
        "weighted_mse": weighted,
        "mae": mean_absolute_error(y_CT, p_CT),
        "explained": 1 - mse / baseline,
        "r2_median": np.median(r2_score(y_CT, p_CT, multioutput="raw_values")[varying]),
        "pearson_gene": np.median([stats.pearsonr(*pair).statistic for pair in genes]),
        "spearman_gene": np.median([stats.spearmanr(*pair).statistic for pair in genes]),
        "auroc_gene": np.median([roc_auc_score(y_C > 0, p_C) for p_C, y_C in genes]),
        "pearson_cell": np.median([stats.pearsonr(*pair).statistic for pair in cells]),
        "spearman_cell": np.median([stats.spearmanr(*pair).statistic for pair in cells]),
        "n_constant": len(CONSTANT),
        "n_without_auroc": len(CONSTANT),
    }
    assert {name: figure.value for name, figure in found.items()} == pytest.approx(want, rel=1e-4)


def by_gene(y_CT, p_CT, weights_C):
    return mean_squared_error(y_CT, p_CT, sample_weight=weights_C, multioutput="raw_values")


def test_resampled_figures_are_scikit_learns_with_weights(values) -> None:
    """Every resample is the metric over weighted cells."""
    p_CT, y_CT, mean_T = values
    found = figures_of(p_CT, y_CT, mean_T)
    varying = np.delete(np.arange(N_TARGETS), CONSTANT)
    mse = [mean_squared_error(y_CT, p_CT, sample_weight=weights_C) for weights_C in WEIGHTS_NC]
    mae = [mean_absolute_error(y_CT, p_CT, sample_weight=weights_C) for weights_C in WEIGHTS_NC]
    means_CT = np.tile(y_CT.mean(axis=0), (N_CELLS, 1))  # R^2 is about the mean over all test cells
    r2 = [
        np.median(1 - (by_gene(y_CT, p_CT, weights_C) / by_gene(y_CT, means_CT, weights_C))[varying])
        for weights_C in WEIGHTS_NC
    ]
    r2 = np.array(r2) - np.median(r2) + found["r2_median"].value  # centred
    cell_C = [stats.pearsonr(p_T, y_T).statistic for p_T, y_T in zip(p_CT, y_CT, strict=True)]
    cell = [np.median(np.repeat(cell_C, weights_C.astype(int))) for weights_C in WEIGHTS_NC]
    for name, resampled in {"mse": mse, "mae": mae, "r2_median": r2, "pearson_cell": cell}.items():
        np.testing.assert_allclose(found[name].resampled_N, resampled, rtol=1e-3)


def test_each_genes_r_squared_is_scikit_learns(values) -> None:
    """Where a gene varies; NaN where it does not."""
    _, genes = judged(*values)
    p_CT, y_CT, _ = values
    want_T = r2_score(y_CT, p_CT, multioutput="raw_values")
    want_T[CONSTANT] = np.nan
    np.testing.assert_allclose(genes.r2_T, want_T, rtol=1e-4, atol=1e-5)


def test_the_rand_index_is_scikit_learns() -> None:
    """Of labellings from equal to unrelated; weights drop cells."""
    rng = np.random.default_rng(0)
    left_C = rng.integers(0, 5, 90)
    for kept in (1.0, 0.6, 0.0):
        right_C = np.where(rng.random(90) < kept, left_C, rng.integers(0, 3, 90))
        here_C = np.arange(90) < 70
        found = agreement(left_C, right_C, np.stack([np.ones(90), here_C.astype(float)]))
        want = [adjusted_rand_score(left_C, right_C), adjusted_rand_score(left_C[here_C], right_C[here_C])]
        np.testing.assert_allclose(found, want, atol=1e-12)
