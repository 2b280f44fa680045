"""The controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import MeanPredictor, ZeroPredictor
from sclandmarks.predict.constant import fit_mean, fit_zero


@pytest.fixture
def task(planted) -> Task:
    """300 cells to learn from; the 100 held back have other means."""
    train, held_back = planted.values[:300], planted.values[300:] * 2
    return Task(MemoryBatches(train, 64), MemoryBatches(held_back, 64), *split_genes(80, [5, 3]))


def test_zero_is_zero_for_any_cell(task: Task) -> None:
    """Whatever the panel says."""
    module = fit_zero(task, ZeroPredictor(method="zero"), Hooks()).module
    assert torch.equal(module(torch.full((3, 2), 7.0)), torch.zeros(3, 78))


def test_mean_is_that_of_the_training_cells(task: Task, planted) -> None:
    """Of each target, over training cells alone."""
    module = fit_mean(task, MeanPredictor(method="mean"), Hooks()).module
    want_T = planted.values[:300].toarray().astype(np.float64).mean(axis=0)[task.outputs]
    predicted_BT = module(torch.rand(4, 2))
    assert predicted_BT.shape == (4, 78)
    np.testing.assert_allclose(predicted_BT.detach(), np.tile(want_T, (4, 1)), rtol=1e-6)
