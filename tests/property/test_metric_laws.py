"""Laws of the metrics: order, bounds, perfect predictions, the mean, the floor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sclandmarks.evaluate.bootstrap import resample_weights
from sclandmarks.evaluate.cellwise import CellSums
from sclandmarks.evaluate.clusters import agreement
from sclandmarks.evaluate.figures import Figure, Pooled, cell_figures, error_figures, gene_figures
from sclandmarks.evaluate.genewise import GeneSums
from sclandmarks.evaluate.multiple import max_t
from sclandmarks.evaluate.predictions import Block

TABLE = hnp.arrays(np.float32, (6, 4), elements=st.floats(0, 5, width=32, allow_subnormal=False))
WEIGHTS_NC = resample_weights(6, 20, seed=0)
EVERY = np.ones(4, bool)
LABELS = hnp.arrays(np.int64, 12, elements=st.integers(0, 3))


def figures_of(
    p_CT: np.ndarray,
    y_CT: np.ndarray,
    mean_T: np.ndarray,
    weights_NC: np.ndarray = WEIGHTS_NC,
    floor: Pooled | None = None,
) -> dict[str, Figure]:
    """All figures of predictions, in two blocks of cells and of genes."""
    p, y, mean = (torch.from_numpy(np.ascontiguousarray(part)) for part in (p_CT, y_CT, mean_T))
    cells = CellSums({"own": EVERY}, EVERY[:, None], (torch.zeros(1, 0), torch.zeros(4, 0)))
    for rows in (slice(0, 4), slice(4, None)):
        cells.add(torch.zeros(len(p[rows]), 1), p[rows], y[rows])
    genes = GeneSums(mean, weights_NC)
    for places in (np.arange(3), np.arange(3, 4)):
        genes.add(Block(places, p.T[places].contiguous(), y.T[places].contiguous()))
    errors, base_C = cells.result().errors["own"], ((y_CT.astype(float) - mean_T) ** 2).sum(axis=1)
    found = error_figures(errors, base_C, floor, weights_NC) | gene_figures(genes.result(), EVERY)
    return found | cell_figures(errors, weights_NC)


@given(seed=st.integers(0, 999), data=st.data())
def test_metrics_do_not_depend_on_the_order(seed: int, data: st.DataObject) -> None:
    """Of cells (resamples drawn alike) or of genes."""
    cells, genes = data.draw(st.permutations(range(6))), data.draw(st.permutations(range(4)))
    mean_T = np.array([0.5, 1, 2, 0], dtype=np.float32)
    p_CT, y_CT = np.random.default_rng(seed).gamma(1, 1, (2, 6, 4)).astype(np.float32)
    first = figures_of(p_CT, y_CT, mean_T)
    second = figures_of(p_CT[cells][:, genes], y_CT[cells][:, genes], mean_T[genes], WEIGHTS_NC[:, cells])
    assert first.keys() == second.keys()
    for name, figure in first.items():
        np.testing.assert_allclose(second[name].value, figure.value, rtol=1e-3, atol=1e-4, err_msg=name)
    for name in ("mse", "weighted_mse", "mae", "explained", "pearson_cell", "spearman_cell"):
        np.testing.assert_allclose(second[name].resampled_N, first[name].resampled_N, rtol=1e-3, atol=1e-4)


@given(p_CT=TABLE, y_CT=TABLE)
def test_bounds(p_CT: np.ndarray, y_CT: np.ndarray) -> None:
    """Errors are not negative, explained is at most 1, correlations and AUROC lie where they can."""
    found = figures_of(p_CT, y_CT, np.ones(4, np.float32))
    assert all(found[name].value >= 0 for name in ("mse", "weighted_mse", "mae"))
    assert not found["explained"].value > 1
    for name in ("pearson_gene", "spearman_gene", "pearson_cell", "spearman_cell"):
        assert not abs(found[name].value) > 1
    assert not abs(found["auroc_gene"].value - 0.5) > 0.5 + 1e-6


@given(y_CT=TABLE)
def test_a_perfect_prediction_explains_all(y_CT: np.ndarray) -> None:
    """Errors 0, and 1 of all else, in every resample that varies."""
    found = figures_of(y_CT, y_CT, y_CT.mean(axis=0) + np.float32(0.5))
    for name in ("mse", "weighted_mse", "mae"):
        assert found[name].value == 0
        assert (found[name].resampled_N == 0).all()
    assert found["explained"].value == 1
    if np.ptp(y_CT, axis=0).min() > 0.1 and np.ptp(y_CT, axis=1).min() > 0.1:
        for name in ("r2_median", "pearson_gene", "spearman_gene", "pearson_cell", "spearman_cell"):
            assert found[name].value == pytest.approx(1, abs=1e-5)
        assert np.isnan(found["auroc_gene"].value) or found["auroc_gene"].value == pytest.approx(1)


@given(y_CT=TABLE)
def test_the_training_mean_explains_nothing(y_CT: np.ndarray) -> None:
    """0 of what varies and of what can be known, in all cells and in every resample, whatever the means."""
    mean_T = np.array([0.5, 1, 2, 0.25], dtype=np.float32)
    assume(np.abs(y_CT - mean_T).min(axis=1).min() > 1e-2)
    base_N = WEIGHTS_NC @ ((y_CT - mean_T) ** 2).sum(axis=1) / 6
    floor = Pooled(0.5 * ((y_CT - mean_T) ** 2).sum() / 6, 0.5 * base_N)
    found = figures_of(np.tile(mean_T, (6, 1)), y_CT, mean_T, floor=floor)
    for name in ("explained", "captured"):
        assert found[name].value == pytest.approx(0, abs=1e-5)
        np.testing.assert_allclose(found[name].resampled_N, 0, atol=1e-5)
    assert found["spearman_gene"].value == 0 or np.isnan(found["spearman_gene"].value)


@given(y_CT=TABLE, p_CT=TABLE)
def test_a_prediction_at_the_floor_captures_all(y_CT: np.ndarray, p_CT: np.ndarray) -> None:
    """Where the floor is the error of the prediction, 1 is captured; at half of the way, a half."""
    mean_T = np.full(4, 9, np.float32)
    sse_C, base_C = ((p_CT - y_CT) ** 2).sum(axis=1), ((y_CT - mean_T) ** 2).sum(axis=1)
    at_floor = Pooled(float(sse_C.mean()), WEIGHTS_NC @ sse_C / 6)
    assume(((base_C - sse_C) > 0.05 * base_C).all())
    found = figures_of(p_CT, y_CT, mean_T, floor=at_floor)["captured"]
    assert found.value == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose(found.resampled_N, 1, rtol=1e-3)
    below = Pooled(*(2 * part - base for part, base in zip(at_floor, (base_C.mean(), WEIGHTS_NC @ base_C / 6))))  # noqa: B905
    assert figures_of(p_CT, y_CT, mean_T, floor=below)["captured"].value == pytest.approx(0.5, rel=1e-3)


@given(left_C=LABELS, right_C=LABELS)
def test_the_rand_index_is_symmetric_and_one_for_equal_labels(left_C: np.ndarray, right_C: np.ndarray) -> None:
    """And does not see the numbers of the labels."""
    ones = np.ones((1, 12))
    there, back = agreement(left_C, right_C, ones), agreement(right_C, left_C, ones)
    np.testing.assert_allclose(there, back, atol=1e-12)
    np.testing.assert_allclose(agreement(3 - left_C, right_C, ones), there, atol=1e-12)
    assert agreement(left_C, 7 - left_C, ones) == 1


@given(gap_UP=hnp.arrays(np.float64, (9, 4), elements=st.integers(-9, 9).map(float)), order=st.permutations(range(4)))
def test_corrected_p_values(gap_UP: np.ndarray, order: list[int]) -> None:
    """Never below those of a pair alone, in the order of |t|, and whatever the order of pairs or the sign."""
    weights_NU = resample_weights(9, 50, 0)
    found = max_t(gap_UP, np.ones((9, 1)), weights_NU)
    assert ((found.p_P <= found.adjusted_P) & (found.adjusted_P <= 1) & (found.p_P > 0)).all()
    moved = max_t(-gap_UP[:, order], np.ones((9, 1)), weights_NU)
    np.testing.assert_allclose(moved.adjusted_P, found.adjusted_P[order])
