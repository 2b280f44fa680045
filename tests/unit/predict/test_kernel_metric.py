"""The kernel adapted to the gradients of a first fit: gradients, axes, and what they are good for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import KernelPredictor
from sclandmarks.predict import kernel_metric
from sclandmarks.predict.kernel import fit_kernel, solve
from sclandmarks.predict.kernel_metric import adapted, dependence, stretched_axes
from sclandmarks.predict.modules import Kernel, Spec, build

SETTINGS = KernelPredictor(
    method="kernel", max_cells=200, max_rank=3, bandwidth=1.4, axes=3, folds=0, seed=0, adaptive=True
)


def task_of(X_CG: np.ndarray, n_landmarks: int, n_train: int) -> Task:
    """The first genes as the panel, the first cells to learn from, the others held back."""
    train, held_back = (
        MemoryBatches(sparse.csr_matrix(part.astype(np.float32)), 16) for part in (X_CG[:n_train], X_CG[n_train:])
    )
    return Task(train, held_back, *split_genes(X_CG.shape[1], range(n_landmarks)))


@pytest.fixture(scope="module")
def bent() -> Task:
    """Targets bend with the first two of twelve landmarks; the next four vary more, together, and tell nothing."""
    rng = np.random.default_rng(0)
    X_CG = rng.uniform(0.5, 1.5, (160, 16))
    X_CG[:, 2:6] += 2 * rng.uniform(0, 1, (160, 1))
    for gene, turns in enumerate((2, 3, 4, 5), start=12):
        X_CG[:, gene] = 1 + np.sin(turns * X_CG[:, 0]) * X_CG[:, 1] + rng.normal(0, 0.05, 160)
    return task_of(X_CG, 12, 100)


@pytest.fixture(scope="module")
def first(bent: Task) -> Kernel:
    """The fit before, whose kernel is not adapted."""
    return solve(bent, SETTINGS.model_copy(update={"adaptive": False}))[0]


@pytest.fixture(scope="module")
def x_KL(bent: Task) -> torch.Tensor:
    """All training cells, the cells kept."""
    return torch.from_numpy(bent.train.X_CG[:, :12].toarray())


def test_gradients_are_those_of_autograd(first: Kernel, x_KL: torch.Tensor) -> None:
    """Of the predictions, at every cell, in landmarks times their scale; the depth taken for fixed."""
    depth_K1 = first.deep(x_KL)

    def predicted(x_L: torch.Tensor, depth_1: torch.Tensor) -> torch.Tensor:
        z_1L = ((x_L - first.center) * first.scale)[None]
        u_1A = torch.cat([z_1L @ first.V_LA, depth_1[None]], 1)
        parts = ((first.gamma, z_1L, first.Z_KL), (first.gamma_axes, u_1A, first.U_KA))
        alike_1K = sum(torch.exp(-gamma * (z - Z).square().sum(1)) for gamma, z, Z in parts)[None] / 2
        return (alike_1K @ first.A_KR @ first.B_RT)[0]

    M_LL = torch.zeros(12, 12)
    for x_L, depth_1 in zip(x_KL, depth_K1, strict=True):
        J_TL = torch.autograd.functional.jacobian(lambda x, d=depth_1: predicted(x, d), x_L) / first.scale
        M_LL += J_TL.T @ J_TL
    torch.testing.assert_close(dependence(first, x_KL), M_LL.double(), rtol=1e-3, atol=1e-3 * float(M_LL.max()))


def test_no_more_cells_are_looked_at_than_set(
    first: Kernel, x_KL: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spread evenly from the first to the last."""
    monkeypatch.setattr(kernel_metric, "MAX_CELLS", 4)
    got_LL = dependence(first, x_KL)
    monkeypatch.setattr(kernel_metric, "MAX_CELLS", 100)
    torch.testing.assert_close(got_LL, dependence(first, x_KL[[0, 33, 66, 99]]))


def test_axes_are_stretched_by_their_share() -> None:
    """The leading eigenvectors, the largest as it is."""
    T_LA = stretched_axes(torch.diag(torch.tensor([1.0, 16.0, 4.0]).double()), 2).abs()
    want = torch.zeros(3, 2)
    want[1, 1], want[2, 0] = 1, 0.25**0.35
    torch.testing.assert_close(T_LA, want)


def test_what_depends_on_nothing_is_finite() -> None:
    """No gradient at all: no division by zero."""
    assert (stretched_axes(torch.zeros(4, 4).double(), 2) == 0).all()


def test_landmarks_that_matter_weigh_most(first: Kernel, x_KL: torch.Tensor) -> None:
    """The two that the targets bend with, ahead of those that vary more; the largest weight is 1."""
    similar = adapted(first, x_KL, SETTINGS)
    order = similar.weight.argsort(descending=True)
    assert set(order[:2].tolist()) == {0, 1}
    assert similar.weight.max() == 1
    assert (similar.weight >= 0).all()
    share_L = similar.T_LA.square().sum(1)
    assert share_L[:2].sum() > 0.8 * share_L.sum()


def test_depth_weighs_alike_on_both_axes(first: Kernel, x_KL: torch.Tensor) -> None:
    """A fifth of the root mean square norm of the scores beside it."""
    similar = adapted(first, x_KL, SETTINGS)
    norms = [each[:, :-1].square().sum(1).mean().sqrt() for each in (similar.U_KA, similar.H_KA)]
    torch.testing.assert_close(similar.H_KA[:, -1] / norms[1], similar.U_KA[:, -1] / norms[0])


def test_the_axes_of_the_panel_stay_as_they_were(first: Kernel, x_KL: torch.Tensor) -> None:
    """And a cell kept is as alike as can be to itself."""
    similar = adapted(first, x_KL, SETTINGS)
    for name in ("center", "scale", "depth", "V_LA", "U_KA", "gamma_axes"):
        assert torch.equal(getattr(similar, name), getattr(first, name))
    torch.testing.assert_close(similar.alike(x_KL).diagonal(), torch.ones(100))


def test_the_second_fit_is_better_where_few_landmarks_matter(bent: Task) -> None:
    """By a tenth of the error at least, held back."""
    plain, again = (solve(bent, SETTINGS.model_copy(update={"adaptive": is_on}))[2] for is_on in (False, True))
    assert again.errors[again.best] < 0.9 * plain.errors[plain.best]


def test_without_the_setting_nothing_is_added(bent: Task) -> None:
    """The module has no further weights, and its spec says so."""
    fitted = fit_kernel(bent, SETTINGS.model_copy(update={"adaptive": False}), Hooks())
    assert not fitted.spec.adaptive
    assert fitted.module.state_dict().keys().isdisjoint({"weight", "T_LA", "t", "gamma_learned", "H_KA"})


def test_the_module_by_hand(bent: Task, x_KL: torch.Tensor) -> None:
    """Three Gaussians in place of two, each of what it compares."""
    module = fit_kernel(bent, SETTINGS, Hooks()).module
    z_BL, depth_B1 = (x_KL - module.center) * module.scale, module.deep(x_KL)
    views = (
        (module.gamma, z_BL * module.weight, module.Z_KL),
        (module.gamma_axes, torch.cat([z_BL @ module.V_LA, depth_B1], 1), module.U_KA),
        (module.gamma_learned, torch.cat([z_BL @ module.T_LA, depth_B1 * module.t], 1), module.H_KA),
    )
    want_BK = sum(torch.exp(-gamma * torch.cdist(z, Z).square()) for gamma, z, Z in views) / 3
    torch.testing.assert_close(module.alike(x_KL), want_BK, rtol=1e-4, atol=1e-5)


def test_an_old_spec_builds_what_it_built() -> None:
    """Models that were stored without the field."""
    assert build(Spec("kernel", 5, 7, width=9, rank=2, axes=3)).weight is None
