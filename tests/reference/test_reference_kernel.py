"""Kernel regression against scikit-learn's KernelRidge, cut by numpy's SVD."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import KernelPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.kernel import fit_kernel

N_TRAIN = 150
SETTINGS = KernelPredictor(method="kernel", max_cells=1000, max_rank=12, bandwidth=1.5, axes=3, folds=0, seed=0)


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """Several blocks of training and held-back cells."""
    train, held_back = MemoryBatches(planted.values[:N_TRAIN], 64), MemoryBatches(planted.values[N_TRAIN:], 64)
    return Task(train, held_back, *split_genes(80, planted.positions))


@pytest.fixture(scope="module")
def fitted(task: Task) -> Fitted:
    """Ours, every training cell kept."""
    return fit_kernel(task, SETTINGS, Hooks())


def dense(task: Task, subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Panel and targets of a subset."""
    X_CG = getattr(task, subset).X_CG.toarray().astype(np.float64)
    return X_CG[:, task.inputs], X_CG[:, task.outputs]


def typical(z_CL: np.ndarray) -> float:
    """Twice the (lower) median of the squared norms."""
    return 2 * np.sort(np.square(z_CL).sum(1))[(N_TRAIN - 1) // 2]


def two_inputs(task: Task, x_CL: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the two kernels compare: scaled landmarks, and shrunken principal scores beside the depth; by sklearn."""
    train_CL, _ = dense(task, "train")
    scale_L, n_axes = train_CL.std(0) ** -0.5, SETTINGS.axes
    z_CL = (x_CL - train_CL.mean(0)) * scale_L
    pca = PCA(n_axes + 1).fit((train_CL - train_CL.mean(0)) * scale_L)
    share_A = 1 - pca.explained_variance_[-1] / pca.explained_variance_[:-1]
    scores_CA = pca.transform(z_CL)[:, :-1] * share_A
    least_C, own_C = (np.log(np.where(each > 0, each, np.inf).min(1)) for each in (x_CL, train_CL))
    low, median, high = np.quantile(own_C, [0.25, 0.5, 0.75])
    depth_C = np.clip((least_C - median) / ((high - low) / 1.35), -3, 3)
    norm = np.sqrt(np.square(pca.transform((train_CL - train_CL.mean(0)) * scale_L)[:, :-1] * share_A).sum(1).mean())
    return z_CL, np.c_[scores_CA, 0.2 * norm * depth_C]


def kernels(task: Task, x_CL: np.ndarray, other_CL: np.ndarray) -> np.ndarray:
    """The kernel by its definition."""
    own = two_inputs(task, dense(task, "train")[0])
    parts = zip(two_inputs(task, x_CL), two_inputs(task, other_CL), own, strict=True)
    return np.mean([rbf_kernel(a, b, 1 / (SETTINGS.bandwidth**2 * typical(c))) for a, b, c in parts], axis=0)


def reference(fitted: Fitted, task: Task) -> np.ndarray:
    """Held-back predictions of centred kernel ridge at the chosen lambda, on the leading axes of its fitted values."""
    (x_CL, y_CT), (held_CL, _) = dense(task, "train"), dense(task, "validation")
    centerer = KernelCenterer()
    train_CC = centerer.fit_transform(kernels(task, x_CL, x_CL))
    model = KernelRidge(alpha=fitted.chosen["lambda"], kernel="precomputed").fit(train_CC, y_CT - y_CT.mean(0))
    axes_RT = np.linalg.svd(model.predict(train_CC), full_matrices=False)[2][: int(fitted.chosen["rank"])]
    held_CT = model.predict(centerer.transform(kernels(task, held_CL, x_CL)))
    return y_CT.mean(0) + held_CT @ axes_RT.T @ axes_RT


def test_it_is_kernel_ridge_cut_to_the_rank(fitted: Fitted, task: Task) -> None:
    """The axes are sought among those at a middling lambda, so that predictions agree closely, not exactly."""
    held_CL, y_CT = dense(task, "validation")
    ours, want = fitted.module(torch.from_numpy(held_CL).float()).detach().numpy(), reference(fitted, task)
    assert np.square(ours - want).mean() < 0.01 * np.square(want - y_CT.mean(0)).mean()
    assert np.square(ours - y_CT).mean() == pytest.approx(np.square(want - y_CT).mean(), rel=5e-3)
    assert np.square(ours - y_CT).mean() == pytest.approx(fitted.chosen["validation_mse"], rel=1e-4)


def test_of_all_axes_it_is_kernel_ridge(task: Task) -> None:
    """With as many axes as targets nothing is cut, whatever lambda they were sought at."""
    fitted = fit_kernel(task, SETTINGS.model_copy(update={"max_rank": 74}), Hooks())
    assert fitted.chosen["rank"] <= 74
    errors = [step.metrics["validation_mse"] for step in fitted.history]
    assert fitted.chosen["validation_mse"] == min(errors)


def test_how_alike_cells_are_is_the_mean_of_two_gaussian_kernels(fitted: Fitted, task: Task) -> None:
    """Landmarks over the root of their deviation, and shrunken axes beside the depth; both as wide as set."""
    (x_CL, _), (held_CL, _) = dense(task, "train"), dense(task, "validation")
    np.testing.assert_allclose(fitted.module.scale, x_CL.std(0) ** -0.5, rtol=1e-4)
    ours = fitted.module.alike(torch.from_numpy(held_CL).float())
    np.testing.assert_allclose(ours, kernels(task, held_CL, x_CL), atol=2e-4)


def test_a_sample_of_cells_is_nearly_as_good(fitted: Fitted, task: Task) -> None:
    """Half the cells kept: fitted to all of them all the same, and another seed keeps others."""
    few = SETTINGS.model_copy(update={"max_cells": 75})
    first, second = fit_kernel(task, few, Hooks()), fit_kernel(task, few.model_copy(update={"seed": 1}), Hooks())
    assert first.spec.width == 75
    assert not torch.equal(first.module.Z_KL, second.module.Z_KL)
    assert first.chosen["validation_mse"] < 1.05 * fitted.chosen["validation_mse"]


def test_a_constant_landmark_and_equal_cells_do_no_harm(planted) -> None:
    """No division by zero deviations, distances or eigenvalues."""
    X_CG = planted.values[:20].tolil()
    X_CG[:, planted.positions[0]] = 1
    X_CG[1:10] = X_CG[0]
    cells = MemoryBatches(X_CG.tocsr(), 8)
    fitted = fit_kernel(Task(cells, cells, *split_genes(80, planted.positions)), SETTINGS, Hooks())
    assert fitted.module(torch.full((2, 6), 100.0)).isfinite().all()
    assert fitted.module.scale[0].item() == 0
