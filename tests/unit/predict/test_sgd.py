"""Descent cell by cell, computed in blocks: the same steps as torch's one by one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import PaperLinearPredictor
from sclandmarks.predict.sgd import SgdLearner, fit_paper_linear

RATE = 0.02


@pytest.fixture
def task(planted) -> Task:
    """150 cells in blocks of 64, 64 and 22."""
    train, held_back = MemoryBatches(planted.values[:150], 64, seed=4), MemoryBatches(planted.values[150:200], 64)
    return Task(train, held_back, *split_genes(80, planted.positions))


def one_by_one(task: Task, epochs: int) -> tuple[nn.Linear, list[float]]:
    """Plain torch: a Linear from zero, one SGD step a cell on half its squared error; and the errors before steps."""
    module = nn.Linear(task.n_landmarks, task.n_targets).double()
    nn.init.zeros_(module.weight)
    nn.init.zeros_(module.bias)
    optimizer = torch.optim.SGD(module.parameters(), lr=RATE)
    losses = []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for x_BL, y_BT in task.pairs(task.train.epoch(epoch)):
            for x_L, y_T in zip(x_BL.double(), y_BT.double(), strict=True):
                optimizer.zero_grad()
                loss = (y_T - module(x_L)).square().sum() / 2
                loss.backward()
                optimizer.step()
                total += 2 * loss.item()
        losses.append(total / (task.train.n_cells * task.n_targets))
    return module, losses


def test_blocks_take_the_same_steps_as_single_cells(task: Task) -> None:
    """Weights, intercept and training loss of two epochs."""
    module, losses = one_by_one(task, 2)
    learner = SgdLearner(task, RATE)
    assert [learner.epoch(1), learner.epoch(2)] == pytest.approx(losses, rel=1e-5)
    weights = learner.weights()
    torch.testing.assert_close(weights["weight"].double(), module.weight.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights["bias"].double(), module.bias.detach(), rtol=1e-4, atol=1e-5)


def test_the_size_of_a_block_does_not_matter(task: Task, planted) -> None:
    """Only the order of the cells does."""
    weights = []
    for size in (1, 7, 150):
        train = MemoryBatches(planted.values[:150], size, seed=4)
        learner = SgdLearner(Task(train, task.validation, task.inputs, task.outputs), RATE)
        learner.epoch(1)
        weights.append(learner.weights()["weight"].clone())
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights[2], weights[0], rtol=1e-4, atol=1e-5)


def test_the_fit_predicts_what_was_validated(task: Task) -> None:
    """The module of the best epoch has the held-back error that the history says."""
    settings = PaperLinearPredictor(
        method="paper_linear", scale="log", seed=0, learning_rate=RATE, max_epochs=5, patience=2
    )
    fitted = fit_paper_linear(task, settings, Hooks())
    x_BL, y_BT = next(task.pairs([task.validation.X_CG]))
    mse = (fitted.module(x_BL) - y_BT).square().mean().item()
    best = fitted.history[fitted.best_step - 1]
    assert mse == pytest.approx(best.metrics["validation_mse"], rel=1e-5)
    assert fitted.chosen == {"best_epoch": fitted.best_step, **best.metrics}
