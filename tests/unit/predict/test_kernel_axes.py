"""Axes on which a panel shows more than noise, and how alike cells are on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.learn.task import Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import KernelPredictor
from sclandmarks.predict.kernel_axes import clean_axes, open_similar, scatter

SETTINGS = KernelPredictor(method="kernel", max_cells=99, max_rank=3, bandwidth=1.4, axes=2, folds=0, seed=0)


def task_of(X_CG: np.ndarray, n_landmarks: int) -> Task:
    """The first genes as the panel, all cells both to learn from and held back."""
    cells = MemoryBatches(sparse.csr_matrix(X_CG.astype(np.float32)), 16)
    return Task(cells, cells, *split_genes(X_CG.shape[1], range(n_landmarks)))


@pytest.fixture
def noisy() -> Task:
    """Two states on the first three of thirty landmarks, noise on all; the last gene is the target."""
    rng = np.random.default_rng(0)
    state_C = np.repeat([0.0, 1.0], 40)
    X_CG = rng.uniform(0.5, 1.5, (80, 31))
    X_CG[:, :3] += 1.5 * state_C[:, None]
    X_CG[:, 30] = state_C
    return task_of(X_CG, 30)


def test_axes_are_shrunk_by_the_first_one_left_out() -> None:
    """Directions by their variance; the parts are 1 - s / s_a."""
    S_LL = torch.diag(torch.tensor([1.0, 8.0, 2.0, 4.0]).double())
    V_LA = clean_axes(S_LL, 2).abs()
    want = torch.zeros(4, 2)
    want[3, 0], want[1, 1] = 1 - 2 / 4, 1 - 2 / 8
    torch.testing.assert_close(V_LA, want)


@pytest.mark.parametrize("n_axes", [4, 9])
def test_where_no_axis_is_left_out_nothing_is_shrunk(n_axes: int) -> None:
    """All axes of a small panel: distances stay as they are."""
    z_BL = torch.rand(6, 4)
    V_LA = clean_axes((z_BL.T @ z_BL).double(), n_axes)
    assert V_LA.shape == (4, 4)
    torch.testing.assert_close(torch.cdist(z_BL @ V_LA, z_BL @ V_LA), torch.cdist(z_BL, z_BL))


def test_scatter_is_that_of_all_blocks(noisy: Task) -> None:
    """Centred and scaled, over blocks of cells."""
    X_CL = noisy.train.X_CG[:, :30].toarray()
    z_CL = (X_CL - X_CL.mean(0)) * 2
    got = scatter(noisy, torch.from_numpy(X_CL.mean(0)), torch.full((30,), 2.0))
    np.testing.assert_allclose(got, z_CL.T @ z_CL, rtol=1e-4, atol=1e-3)


def test_cells_of_a_state_are_more_alike_on_the_axes(noisy: Task) -> None:
    """Noise on many landmarks hides the state from distances over all of them."""
    x_CL = torch.from_numpy(noisy.train.X_CG[:, :30].toarray())
    similar = open_similar(noisy, x_CL, SETTINGS)

    def apart(z_CA: torch.Tensor) -> float:
        far_CC = torch.cdist(z_CA, z_CA)
        return float(far_CC[:40, 40:].mean() / far_CC[:40, :40].mean())

    assert apart(similar.U_KA) > 1.5 * apart(similar.Z_KL)
    alike_CC = similar.alike(x_CL)
    assert alike_CC.min() > 0
    torch.testing.assert_close(alike_CC.diagonal(), torch.ones(80))


def test_the_depth_of_cells_without_reads_or_without_differences() -> None:
    """No value is infinite, and where all cells have the same least value it tells nothing."""
    X_CG = np.tile([[0.5, 0.0, 1.0, 2.0], [0.5, 1.0, 0.0, 1.0]], (6, 1))
    task = task_of(X_CG, 3)
    similar = open_similar(task, torch.from_numpy(X_CG[:, :3]).float(), SETTINGS)
    assert similar.depth[1] == 0
    assert (similar.U_KA[:, -1] == 0).all()
    assert similar.alike(torch.zeros(2, 3)).isfinite().all()


def test_deeper_cells_are_told_from_shallow_ones() -> None:
    """The least value lies lower; the weight is a fifth of the norm of the scores."""
    rng = np.random.default_rng(1)
    X_CG = rng.integers(0, 5, (60, 5)) * np.repeat([0.1, 0.4], 30)[:, None]
    X_CG[:, 0] = np.repeat([0.1, 0.4], 30)
    similar = open_similar(task_of(X_CG, 4), torch.from_numpy(X_CG[:, :4]).float(), SETTINGS)
    norm = similar.U_KA[:, :-1].square().sum(1).mean().sqrt()
    assert similar.depth[2].item() == pytest.approx(0.2 * norm.item(), rel=1e-5)
    assert similar.U_KA[:30, -1].max() < similar.U_KA[30:, -1].min()
