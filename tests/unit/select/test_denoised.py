"""Targets of reproducible variance."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.errors import PanelError
from sclandmarks.learn.task import Hooks
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import GreedyPanel
from sclandmarks.prep.scprep_adapter import log_normalise
from sclandmarks.select.denoised import reproducible_axes
from sclandmarks.select.greedy import select_greedy

SETTINGS = GreedyPanel(selector="greedy", ridge=0.1, denoised=True, n_axes=6)


@pytest.fixture(scope="module")
def noisy(make_task):
    """600 cells: genes 0 to 9 follow one factor; gene 20 varies most, by counting noise alone."""
    rng = np.random.default_rng(0)
    level_C = rng.uniform(-1, 1, 600)
    rate_CG = np.full((600, 40), 3.0)
    rate_CG[:, :10] *= np.exp(level_C[:, None])
    rate_CG[:, 20] = 0.7
    counts = rng.poisson(rate_CG)
    normalise = partial(log_normalise, scale=100, base="e")
    raw = sparse.csr_matrix(counts.astype(np.int32))
    return make_task(normalise(raw).toarray(), 3, counts=MemoryBatches(raw, 64), normalise=normalise)


def test_the_first_axis_is_the_factor_and_noise_is_below_the_level(noisy) -> None:
    axes = reproducible_axes(noisy, torch.ones(40).double(), 4, seed=0)
    first_G = axes.V_GT[:, 0].abs()
    assert float(first_G[:10].min()) > 2 * float(first_G[10:].max())
    assert axes.level > 0
    assert len(axes.th_T) >= 1
    assert (axes.th_T > axes.level).all()
    torch.testing.assert_close(axes.V_GT.T @ axes.V_GT, torch.eye(len(axes.th_T)).double())


def test_the_diagonal_is_free_of_counting_noise(noisy) -> None:
    """The variance of the genes without a programme is noise; the halves agree on none of it."""
    axes = reproducible_axes(noisy, torch.ones(40).double(), 39, seed=0)
    values_CG = noisy.train.X_CG.toarray()
    assert float(axes.th_T.sum()) < 0.5 * float(values_CG.var(0).sum())


def test_the_seed_and_the_blocks_of_cells_are_as_documented(noisy) -> None:
    one, same, other = (reproducible_axes(noisy, torch.ones(40).double(), 2, seed) for seed in (0, 0, 1))
    assert torch.equal(one.V_GT, same.V_GT)
    assert not torch.allclose(one.th_T, other.th_T)


def test_cells_count_by_their_weights(noisy) -> None:
    """Without any weight they might as well not be there."""
    weight_C = torch.zeros(600).double()
    weight_C[:256] = 600 / 256
    parts = {name: MemoryBatches(getattr(noisy, name).X_CG[:256], 64) for name in ("train", "counts")}
    one_G = torch.ones(40).double()
    weighted = reproducible_axes(noisy, one_G, 4, 0, weight_C)
    alone = reproducible_axes(replace(noisy, **parts), one_G, 4, 0)
    torch.testing.assert_close(weighted.th_T, alone.th_T)
    torch.testing.assert_close(weighted.V_GT.abs(), alone.V_GT.abs())
    assert not torch.allclose(weighted.th_T, reproducible_axes(noisy, one_G, 4, 0).th_T)


def test_planted_landmarks_are_found(planted_task, planted) -> None:
    panel = select_greedy(planted_task, SETTINGS, Hooks()).panel
    assert set(panel["gene_id"]) == set(planted.landmarks)


def test_explained_rises_and_exchanges_only_raise_it(planted_task) -> None:
    """A set function of fixed targets."""
    plain = select_greedy(planted_task, SETTINGS, Hooks())
    explained = [step.metrics["explained"] for step in plain.history]
    assert explained == sorted(explained)
    assert 0 < explained[-1] <= 1
    swapped = select_greedy(planted_task, SETTINGS.model_copy(update={"sweeps": 20}), Hooks())
    assert swapped.facts["settled"] == 1
    assert swapped.facts["explained"] >= plain.facts["explained"] - 1e-12


def test_counts_are_needed(planted_task) -> None:
    with pytest.raises(PanelError, match="counts beside the task"):
        select_greedy(replace(planted_task, counts=None), SETTINGS, Hooks())


def test_counts_without_a_common_part_are_refused(make_task) -> None:
    """One read a cell cannot be in both halves."""
    rng = np.random.default_rng(0)
    raw = sparse.csr_matrix((np.ones(50, np.int32), (np.arange(50), rng.integers(0, 8, 50))), (50, 8))
    normalise = partial(log_normalise, scale=10, base="e")
    task = make_task(normalise(raw).toarray(), 2, counts=MemoryBatches(raw), normalise=normalise)
    axes = reproducible_axes(task, torch.ones(8).double(), 3, 0)
    assert axes.level >= 0
