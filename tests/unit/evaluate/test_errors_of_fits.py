"""Sums of errors over blocks, against numpy on the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.errors import Errors, ErrorSums, gather_errors, r_squared
from sclandmarks.learn.task import Pair

N_CELLS, N_TARGETS = 50, 8
WEIGHTS_NC = resample_weights(N_CELLS, 40, seed=0)
SETS = {"own": np.arange(N_TARGETS), "common": np.array([6, 1, 3])}


class Table(torch.nn.Module):
    """Predicts what stands behind the first input, a row number."""

    def __init__(self, p_CT: torch.Tensor) -> None:
        super().__init__()
        self.p_CT = p_CT

    def forward(self, x_BL: torch.Tensor) -> torch.Tensor:
        """Look the rows up."""
        return self.p_CT[x_BL[:, 0].long()]


def errors_of(p_CT: np.ndarray, y_CT: np.ndarray, mean_T: np.ndarray, block: int = 17) -> dict[str, Errors]:
    """Errors of these predictions, gathered in blocks."""
    p, y, mean = (torch.from_numpy(values).float() for values in (p_CT, y_CT, mean_T))
    rows = torch.arange(len(y)).float().unsqueeze(1)
    pairs = (Pair(rows[i : i + block], y[i : i + block]) for i in range(0, len(y), block))
    return gather_errors(Table(p), pairs, ErrorSums(mean, SETS, WEIGHTS_NC), torch.device("cpu"))


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions, measured values and training means."""
    rng = np.random.default_rng(seed)
    y_CT = rng.gamma(1.0, 1.0, (N_CELLS, N_TARGETS))
    return y_CT + rng.normal(0, 0.5, y_CT.shape), y_CT, rng.uniform(0.5, 1.5, N_TARGETS)


@pytest.mark.parametrize("block", [1, 17, 50])
@pytest.mark.parametrize("target_set", SETS)
def test_sums_are_numpys(block: int, target_set: str) -> None:
    """Per cell, per target, for either set of targets, whatever the blocks."""
    p_CT, y_CT, mean_T = made()
    found = errors_of(p_CT, y_CT, mean_T, block)[target_set]
    here = SETS[target_set]
    p_CT, y_CT, mean_T = p_CT[:, here], y_CT[:, here], mean_T[here]
    square_CT = (p_CT - y_CT) ** 2
    np.testing.assert_allclose(found.sse_C, square_CT.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.weighted_C, ((y_CT + 1) * square_CT).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.baseline_C, ((mean_T - y_CT) ** 2).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.mse_T, square_CT.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.variance_T, y_CT.var(axis=0), rtol=1e-4)
    assert found.n_targets == len(here)


@pytest.mark.parametrize("target_set", SETS)
def test_the_median_of_a_resample_is_that_of_the_drawn_cells(target_set: str) -> None:
    """Cells repeated as often as drawn, R^2 of each gene about its mean over all test cells, then the median."""
    p_CT, y_CT, mean_T = made()
    found = errors_of(p_CT, y_CT, mean_T)[target_set].r2_N
    for n, times_C in enumerate(WEIGHTS_NC.astype(int)):
        rows = np.repeat(np.arange(N_CELLS), times_C)
        p_DT, y_DT = p_CT[rows][:, SETS[target_set]], y_CT[rows][:, SETS[target_set]]
        about_T = ((y_DT - y_CT[:, SETS[target_set]].mean(axis=0)) ** 2).mean(axis=0)
        r2_T = 1 - ((p_DT - y_DT) ** 2).mean(axis=0) / about_T
        assert found[n] == pytest.approx(np.median(r2_T), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1.0, 3.3])
@pytest.mark.parametrize("mean", [0.0, 0.013, 0.7])
def test_a_constant_gene_has_no_r_squared(constant: float, mean: float) -> None:
    """At any height and any distance from its training mean, in all cells and in every resample."""
    p_CT, y_CT, mean_T = made()
    y_CT[:, [0, 6]], mean_T[[0, 6]] = constant, mean
    found = errors_of(p_CT, y_CT, mean_T)
    own, common = found["own"], found["common"]
    assert np.isnan(r_squared(own.mse_T, own.variance_T)).tolist() == [gene in (0, 6) for gene in range(N_TARGETS)]
    rest = np.delete(np.arange(N_TARGETS), [0, 6])
    without = {"own": rest, "common": np.array([1, 3])}
    pairs = [Pair(torch.arange(N_CELLS).float().unsqueeze(1), torch.from_numpy(y_CT).float())]
    sums = ErrorSums(torch.from_numpy(mean_T).float(), without, WEIGHTS_NC)
    want = gather_errors(Table(torch.from_numpy(p_CT).float()), pairs, sums, torch.device("cpu"))
    np.testing.assert_allclose(own.r2_N, want["own"].r2_N, rtol=1e-4)
    np.testing.assert_allclose(common.r2_N, want["common"].r2_N, rtol=1e-4)


def test_constant_genes_alone_have_no_median() -> None:
    """No number is made up, and no warning is given."""
    p_CT, y_CT, mean_T = made()
    found = errors_of(p_CT, np.full_like(y_CT, 0.1), mean_T)["own"]
    assert np.isnan(found.r2_N).all()


def test_r_squared_by_hand() -> None:
    """1 - mse / variance; worse than the mean is negative."""
    np.testing.assert_allclose(
        r_squared(np.array([0.0, 1.0, 3.0, 0.0]), np.array([2.0, 2.0, 2.0, 0.0])), [1, 0.5, -0.5, np.nan]
    )


def test_the_interval_of_the_median_holds_the_median() -> None:
    """Of rare genes too, whose variance within a resample is on average too small."""
    rng = np.random.default_rng(0)
    y_CT = (rng.random((300, 400)) < 0.02) * rng.gamma(4.0, 0.2, (300, 400))
    mean_T = y_CT.mean(axis=0)
    weights_NC = resample_weights(300, 200, 0)
    sums = ErrorSums(torch.from_numpy(mean_T).float(), {"own": np.arange(400)}, weights_NC)
    sums.add(torch.from_numpy(0.9 * mean_T + 0.1 * y_CT).float(), torch.from_numpy(y_CT).float())
    found = sums.result()["own"]
    low, high = np.quantile(found.r2_N, [0.025, 0.975])
    assert low <= np.nanmedian(r_squared(found.mse_T, found.variance_T)) <= high
