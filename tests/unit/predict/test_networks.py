"""Networks: that both can learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import NetworkPredictor, PaperNetworkPredictor
from sclandmarks.predict import PREDICTORS

EPOCHS = {"seed": 0, "learning_rate": 0.003, "max_epochs": 150, "patience": 150, "batch_size": 4, "loss": "mse"}
SETTINGS = {
    "network": NetworkPredictor(
        method="network",
        members=1,
        width=48,
        depth=1,
        input_dropout=0,
        dropout=0,
        weight_decay=0,
        max_cells=300,
        max_rank=8,
        bandwidth=1.8,
        axes=5,
        folds=0,
        **EPOCHS,
    ),
    "paper_network": PaperNetworkPredictor(method="paper_network", width=256, depth=1, dropout=0, **EPOCHS),
}


def task_of(planted: Any, n_train: int) -> Task:
    """Some cells of the planted data, held back the same ones."""
    cells = MemoryBatches(planted.values[:n_train], 4)
    return Task(cells, cells, *split_genes(80, planted.positions))


def test_a_constant_landmark_does_no_harm(planted) -> None:
    """It is not divided by its zero deviation."""
    X_CG = planted.values[:60].tolil()
    X_CG[:, planted.positions[0]] = 2
    cells = MemoryBatches(X_CG.tocsr(), 12)
    settings = SETTINGS["network"].model_copy(update={"max_epochs": 2})
    fitted = PREDICTORS["network"](Task(cells, cells, *split_genes(80, planted.positions)), settings, Hooks())
    assert fitted.module.scale[0].item() == 0
    assert fitted.module(torch.full((2, 6), 100.0)).isfinite().all()


@pytest.mark.parametrize(("name", "left"), [("network", 0.01), ("paper_network", 0.1)])
def test_a_network_overfits_a_tiny_set(name: str, left: float, planted) -> None:
    """Eight cells by heart: hardly any of their variance is left."""
    task = task_of(planted, 8)
    fitted = PREDICTORS[name](task, SETTINGS[name], Hooks())
    variance = planted.values[:8].toarray()[:, task.outputs].var(axis=0).mean()
    assert fitted.chosen["validation_mse"] < left * variance


@pytest.mark.parametrize("name", SETTINGS)
def test_the_fit_has_the_weights_of_its_best_epoch(name: str, planted) -> None:
    """Its error on the held-back cells is that of the history there, dropout off."""
    task = task_of(planted, 100)
    settings = SETTINGS[name].model_copy(update={"dropout": 0.5, "max_epochs": 15, "learning_rate": 0.05})
    fitted = PREDICTORS[name](task, settings, Hooks())
    x_BL, y_BT = next(task.pairs([task.validation.X_CG]))
    losses = [step.metrics["validation_mse"] for step in fitted.history]
    assert fitted.best_step == fitted.history[int(np.argmin(losses))].step
    assert (fitted.module(x_BL) - y_BT).square().mean().item() == pytest.approx(min(losses), rel=1e-5)
