"""The study's network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import NetworkLearner, Trained, train
from sclandmarks.params import PaperNetworkPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Spec, build


def fit_paper_network(task: Task, settings: PaperNetworkPredictor, hooks: Hooks) -> Fitted:
    """Train the study's network: Linear, Dropout, ReLU blocks, then Linear, by Adam.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    module = start(task, settings)
    learner = NetworkLearner(module, optimizer_of(settings, module.parameters()), task, settings.loss, settings.seed)
    return finish(spec_of(task, settings), train(learner, settings, hooks))


def spec_of(task: Task, settings: PaperNetworkPredictor) -> Spec:
    """Shape of the network of these settings."""
    sizes = (task.n_landmarks, task.n_targets, settings.width, settings.depth)
    return Spec(settings.method, *sizes, dropout=settings.dropout)


def start(task: Task, settings: PaperNetworkPredictor) -> nn.Module:
    """Make an untrained network on the task's device, as its settings and its seed say."""
    return build(spec_of(task, settings), settings.seed).to(task.device)


def optimizer_of(settings: PaperNetworkPredictor, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Adam, as in the study."""
    return torch.optim.Adam(weights, lr=settings.learning_rate)


def finish(spec: Spec, trained: Trained) -> Fitted:
    """Build the fitted predictor from the best weights."""
    module = build(spec)
    module.load_state_dict({name: value.cpu() for name, value in trained.weights.items()})
    chosen = next(step.metrics for step in trained.history if step.step == trained.best_step)
    return Fitted(module.eval(), spec, trained.history, trained.best_step, {"best_epoch": trained.best_step, **chosen})
