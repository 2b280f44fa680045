"""Networks: the study's and ours."""

from __future__ import annotations

import torch
from torch import Tensor

from sclandmarks.learn.layers import seeded
from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import NetworkLearner, Trained, train
from sclandmarks.params import NetworkPredictor, PaperNetworkPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Network, Spec, build


def fit_paper_network(task: Task, settings: PaperNetworkPredictor, hooks: Hooks) -> Fitted:
    """Train the study's network: Linear, Dropout, ReLU blocks, then Linear, by Adam.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    spec = Spec(
        "paper_network", task.n_landmarks, task.n_targets, settings.width, settings.depth, dropout=settings.dropout
    )
    module = build(spec, settings.seed).to(task.device)
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
    learner = NetworkLearner(module, optimizer, task, settings.loss, settings.seed)
    return finish(spec, train(learner, settings, hooks))


def fit_network(task: Task, settings: NetworkPredictor, hooks: Hooks) -> Fitted:
    """Train our network, by AdamW; it starts as the prediction of the training mean.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    spec = Spec("network", task.n_landmarks, task.n_targets, settings.width, settings.depth, dropout=settings.dropout)
    module = seeded(lambda: Network(spec), settings.seed).to(task.device)
    _start_at_mean(module, task)
    optimizer = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    learner = NetworkLearner(module, optimizer, task, settings.loss, settings.seed)
    return finish(spec, train(learner, settings, hooks))


def finish(spec: Spec, trained: Trained) -> Fitted:
    """Build the fitted predictor from the best weights."""
    module = build(spec)
    module.load_state_dict({name: value.cpu() for name, value in trained.weights.items()})
    chosen = trained.history[trained.best_step - 1].metrics
    return Fitted(module.eval(), spec, trained.history, trained.best_step, {"best_epoch": trained.best_step, **chosen})


@torch.no_grad()
def _start_at_mean(module: Network, task: Task) -> None:
    """Standardise the input by training cells, and start the output at their mean."""
    x, xx, y = _sums(task)
    n_cells = task.train.n_cells
    center = x / n_cells
    deviation = (xx / n_cells - center.square()).clamp(min=0).sqrt()
    module.center.copy_(center.float())
    module.scale.copy_(torch.where(deviation > 1e-6, 1 / deviation, 0.0).float())
    module.last.bias.copy_((y / n_cells).float())
    module.last.weight.mul_(0.1)


def _sums(task: Task) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.zeros(task.n_landmarks, dtype=torch.float64, device=task.device)
    xx, y = torch.zeros_like(x), torch.zeros(task.n_targets, dtype=torch.float64, device=task.device)
    for x_BL, y_BT in task.pairs(task.train.in_order()):
        x += x_BL.sum(0, dtype=torch.float64)
        xx += x_BL.double().square().sum(0)
        y += y_BT.sum(0, dtype=torch.float64)
    return x, xx, y
