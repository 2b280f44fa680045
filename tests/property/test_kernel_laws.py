"""Laws of the kernel regression that hold for any panel, adapted or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import KernelPredictor
from sclandmarks.predict.kernel import fit_kernel
from sclandmarks.predict.kernel_metric import stretched_axes
from sclandmarks.predict.modules import Kernel, Spec, build

PLAIN = KernelPredictor(method="kernel", max_cells=80, max_rank=6, bandwidth=1.4, axes=3, folds=0, seed=0)
SETTINGS = {"plain": PLAIN, "adaptive": PLAIN.model_copy(update={"adaptive": True})}


def fit(planted: Any, landmarks: list[int], name: str) -> Kernel:
    """Fit to 80 cells, 60 held back."""
    train, held_back = MemoryBatches(planted.values[:80], 32), MemoryBatches(planted.values[80:140], 64)
    module = fit_kernel(Task(train, held_back, *split_genes(80, landmarks)), SETTINGS[name], Hooks()).module
    assert isinstance(module, Kernel)
    return module


@pytest.mark.parametrize("name", SETTINGS)
@settings(max_examples=5)
@given(seed=st.integers(0, 999))
def test_the_order_of_the_landmarks_decides_nothing(planted: Any, name: str, seed: int) -> None:
    """Another order of the panel, the same predictions."""
    order = np.random.default_rng(seed).permutation(len(planted.positions))
    x_BL = torch.from_numpy(planted.values[140:160][:, planted.positions].toarray())
    want_BT = fit(planted, list(planted.positions), name)(x_BL)
    again = fit(planted, [planted.positions[i] for i in order], name)
    torch.testing.assert_close(again(x_BL[:, order.tolist()]), want_BT, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("is_adaptive", [False, True])
@given(x_BL=hnp.arrays(np.float32, (6, 5), elements=st.floats(0, 100, width=32)), seed=st.integers(0, 99))
def test_cells_are_alike_by_no_more_than_one(is_adaptive: bool, x_BL: np.ndarray, seed: int) -> None:
    """And by no less than zero, whatever the weights and the cells."""
    module = build(Spec("kernel", 5, 7, width=9, rank=2, axes=3, adaptive=is_adaptive))
    generator = torch.Generator().manual_seed(seed)
    module.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in module.state_dict().items()})
    alike_BK = module.alike(torch.from_numpy(x_BL))
    assert alike_BK.shape == (6, 9)
    assert ((alike_BK >= 0) & (alike_BK <= 1)).all()


@given(J_BL=hnp.arrays(np.float64, (7, 5), elements=st.integers(-9, 9).map(float)), n_axes=st.integers(1, 5))
def test_axes_stretch_nothing(J_BL: np.ndarray, n_axes: int) -> None:
    """No axis is longer than a landmark's own, and gradients in another unit give the same distances."""
    M_LL = torch.from_numpy(J_BL.T @ J_BL)
    T_LA = stretched_axes(M_LL, n_axes)
    assert T_LA.shape == (5, n_axes)
    assert torch.linalg.matrix_norm(T_LA, 2) <= 1 + 1e-5
    far = [T_LA @ T_LA.T for T_LA in (stretched_axes(M_LL, 5), stretched_axes(M_LL * 4, 5))]
    torch.testing.assert_close(*far, rtol=1e-4, atol=1e-4)
