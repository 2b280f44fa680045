"""D-GEX: the published shape, first weights, objective, rates and rule of the rate; resume and what is kept."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.learn.train import train
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import DGexPredictor
from sclandmarks.predict import PREDICTORS, d_gex
from sclandmarks.predict.d_gex import DGexLearner, start
from sclandmarks.predict.modules import DGex, Spec, build

PUBLISHED = DGexPredictor(method="d_gex", seed=0)
SMALL = PUBLISHED.model_copy(update={"width": 12, "batch_size": 64, "max_epochs": 6, "learning_rate": 3e-3})


def task_of(planted: Any, n_train: int = 300, batch_size: int = 64) -> Task:
    """From the six planted landmarks to all other genes."""
    train_cells = MemoryBatches(planted.values[:n_train], batch_size)
    return Task(train_cells, MemoryBatches(planted.values[300:], 64), *split_genes(80, planted.positions))


def learner_of(task: Task, settings: DGexPredictor = SMALL) -> DGexLearner:
    """An untrained learner."""
    shape = task.n_landmarks, task.n_targets, settings.width, settings.depth
    return DGexLearner(start(task, Spec("d_gex", *shape, dropout=settings.dropout), settings.seed), task, settings)


def test_defaults_are_the_published_settings() -> None:
    """Of the paper's table: the smallest network, dropout 10 %, the rate of one layer, batches of 200, 200 epochs."""
    published = {"width": 3000, "depth": 1, "dropout": 0.1, "learning_rate": 5e-4, "batch_size": 200, "max_epochs": 200}
    assert PUBLISHED.model_dump(include=set(published)) == published
    assert (d_gex.MOMENTUM, d_gex.DECAY, d_gex.LEAST_RATE, d_gex.FASTER) == (0.5, 0.9, 1e-5, 3.0)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_layers_are_linear_tanh_dropout_then_linear(depth: int) -> None:
    """Dropout behind hidden units only, never on the panel; every hidden layer of one width."""
    layers = build(Spec("d_gex", 5, 7, width=30, depth=depth, dropout=0.25)).layers
    assert [type(layer) for layer in layers] == [nn.Linear, nn.Tanh, nn.Dropout] * depth + [nn.Linear]
    assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.25}
    shapes = [tuple(layer.weight.shape) for layer in layers if isinstance(layer, nn.Linear)]
    assert shapes == [(30, 5), *[(30, 30)] * (depth - 1), (7, 30)]


def test_first_weights_are_uniform_within_the_published_limits() -> None:
    """+-sqrt(6 / (n_in + n_out)), the output +-1e-4, biases zero: the limits are reached, and the spread is uniform."""
    layers = build(Spec("d_gex", 60, 700, width=300, depth=2), seed=3).layers
    for place, limit in ((0, (6 / 360) ** 0.5), (3, (6 / 600) ** 0.5), (6, 1e-4)):
        weight = layers[place].weight.detach()
        assert 0.99 * limit < float(weight.abs().max()) <= limit * (1 + 1e-6)
        assert float(weight.std()) == pytest.approx(limit / 3**0.5, rel=0.02)
        assert not layers[place].bias.any()


def test_by_hand() -> None:
    """Standardised in, tanh, linear, and back to the scale of the targets."""
    module = build(Spec("d_gex", 5, 7, width=6, depth=1, dropout=0.4))
    generator = torch.Generator().manual_seed(0)
    module.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in module.state_dict().items()})
    weights, x_BL = module.eval().state_dict(), torch.rand(3, 5)
    hidden_BH = torch.tanh(
        (x_BL - weights["center"]) * weights["scale"] @ weights["layers.0.weight"].T + weights["layers.0.bias"]
    )
    standard_BT = hidden_BH @ weights["layers.3.weight"].T + weights["layers.3.bias"]
    torch.testing.assert_close(module(x_BL), standard_BT * weights["deviation"] + weights["mean"])


def test_genes_are_standardised_by_the_training_cells(planted) -> None:
    """Mean 0 and deviation 1 of landmarks and targets over training cells, numpy's; held-back cells count nothing."""
    task = task_of(planted)
    module, dense_CG = learner_of(task).network, planted.values[:300].toarray().astype(np.float64)
    for columns, center, deviation in (
        (task.inputs, module.center, 1 / module.scale),
        (task.outputs, module.mean, module.deviation),
    ):
        np.testing.assert_allclose(center, dense_CG[:, columns].mean(0), rtol=1e-5)
        np.testing.assert_allclose(deviation, dense_CG[:, columns].std(0), rtol=1e-4)


def test_the_objective_is_summed_over_targets(planted) -> None:
    """So are the published rates meant; an untrained network has an error of 1 a standardised gene."""
    task = task_of(planted, batch_size=300)
    learner, pair = learner_of(task), next(task.pairs(task.train.in_order()))
    learner.module.eval()
    assert float(learner.objective(*pair).detach()) == pytest.approx(task.n_targets, rel=0.01)


def test_weights_behind_the_first_layer_learn_three_times_as_fast(planted) -> None:
    """One step without momentum is rate x gradient, times three for these weights, and not for biases."""
    task = task_of(planted)
    learner = learner_of(task, SMALL.model_copy(update={"depth": 2, "dropout": 0.0}))
    before = {name: weight.detach().clone() for name, weight in learner.module.named_parameters()}
    learner.objective(*next(task.pairs(task.train.in_order()))).backward()
    learner.optimizer.step()
    for name, weight in learner.module.named_parameters():
        pace = 3 if name in ("layers.3.weight", "layers.6.weight") else 1
        torch.testing.assert_close(before[name] - weight.detach(), pace * SMALL.learning_rate * weight.grad)
    assert {group["momentum"] for group in learner.optimizer.param_groups} == {0.5}


def test_the_rate_falls_where_the_training_error_rises(planted) -> None:
    """By a tenth, from the epoch before and not the best, to no less than 1e-5; a lower one of the user's stays."""
    learner = learner_of(task_of(planted), PUBLISHED.model_copy(update={"width": 4}))
    rates = []
    for error in (1.0, 0.9, 0.95, 0.94, 0.94, 0.96):
        learner.note(error)
        rates.append(learner.rate)
    assert rates == pytest.approx([5e-4, 5e-4, 4.5e-4, 4.5e-4, 4.5e-4, 4.05e-4])
    assert {group["lr"] for group in learner.optimizer.param_groups} == {learner.rate, 3 * learner.rate}
    for error in range(1, 100):
        learner.note(error)
    assert learner.rate == 1e-5
    learner.set_rate(4e-6)
    learner.note(1e3)
    assert learner.rate == 4e-6


@pytest.mark.parametrize("monitored", [100, 128, 5000])
def test_the_training_error_is_the_absolute_one_of_some_training_cells(planted, monkeypatch, monitored: int) -> None:
    """Of standardised genes, dropout off, over the first cells of the file, wherever the blocks end."""
    monkeypatch.setattr(d_gex, "MONITORED", monitored)
    task = task_of(planted)
    learner = learner_of(task)
    learner.epoch(1)
    x_BL, y_BT = next(task.pairs([planted.values[: min(monitored, 300)]]))
    module = learner.network.eval()
    errors_BT = (module(x_BL) - y_BT) / module.deviation
    assert learner.error == pytest.approx(errors_BT.detach().abs().mean().item(), rel=1e-5)


def test_the_reported_training_loss_is_a_mean_over_targets(planted) -> None:
    """Comparable over panels: below 1, that of predicting means, once something is learned."""
    history = PREDICTORS["d_gex"](task_of(planted), SMALL, Hooks()).history
    losses = [step.metrics["train_loss"] for step in history]
    assert losses == sorted(losses, reverse=True)
    assert 0.3 < losses[-1] < 1


def test_the_best_epoch_on_held_back_cells_is_kept(planted) -> None:
    """Its error of log values is the least of the history, and that of the module; training ends by patience."""
    task = task_of(planted, n_train=60)
    settings = SMALL.model_copy(update={"max_epochs": 150, "patience": 5, "width": 200, "dropout": 0.0})
    fitted = PREDICTORS["d_gex"](task, settings, Hooks())
    errors = [step.metrics["validation_mse"] for step in fitted.history]
    assert len(errors) == fitted.best_step + 5 < 150
    assert fitted.best_step == int(np.argmin(errors)) + 1
    x_BL, y_BT = next(task.pairs([planted.values[300:]]))
    assert (fitted.module(x_BL) - y_BT).detach().square().mean().item() == pytest.approx(min(errors), rel=1e-5)


def test_constant_genes_do_no_harm(planted) -> None:
    """A landmark without variance counts nothing, a target without variance is predicted by its mean."""
    X_CG = planted.values[:80].tolil()
    target = int(np.setdiff1d(np.arange(80), planted.positions)[0])
    X_CG[:, planted.positions[0]], X_CG[:, target] = 2, 1.5
    cells = MemoryBatches(X_CG.tocsr(), 16)
    task = Task(cells, cells, *split_genes(80, planted.positions))
    fitted = PREDICTORS["d_gex"](task, SMALL, Hooks())
    assert isinstance(fitted.module, DGex)
    assert fitted.module.scale[0].item() == 0
    predicted_BT = fitted.module(torch.full((2, 6), 100.0))
    assert predicted_BT.isfinite().all()
    assert predicted_BT[:, task.outputs.tolist().index(target)].tolist() == [1.5, 1.5]


def test_the_state_holds_the_rate_and_the_error_it_is_judged_by(planted) -> None:
    """Put back into an untrained learner, the next epoch is that of an uninterrupted one."""
    task = task_of(planted)
    first, other = learner_of(task), learner_of(task)
    train(first, SMALL.model_copy(update={"max_epochs": 2}), Hooks())
    first.note(first.error + 1)
    other.restore(deepcopy(first.state()))
    assert (other.rate, other.error) == (first.rate, first.error) == (0.9 * SMALL.learning_rate, first.error)
    assert other.epoch(3) == first.epoch(3)
    assert all(torch.equal(weight, first.weights()[name]) for name, weight in other.weights().items())


def test_it_overfits_a_tiny_set(planted) -> None:
    """Eight cells by heart: hardly any of their variance is left."""
    cells = MemoryBatches(planted.values[:8], 4)
    task = Task(cells, cells, *split_genes(80, planted.positions))
    update = {"width": 200, "dropout": 0.0, "batch_size": 4, "max_epochs": 300, "patience": 300, "learning_rate": 3e-2}
    fitted = PREDICTORS["d_gex"](task, SMALL.model_copy(update=update), Hooks())
    variance = planted.values[:8].toarray()[:, task.outputs].var(axis=0).mean()
    assert fitted.chosen["validation_mse"] < 0.1 * variance
