"""Networks: the study's and ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import NetworkLearner, Trained, train
from sclandmarks.params import NetworkPredictor, PaperNetworkPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import Network, Spec, build

NetworkSettings = PaperNetworkPredictor | NetworkPredictor


def fit_paper_network(task: Task, settings: PaperNetworkPredictor, hooks: Hooks) -> Fitted:
    """Train the study's network: Linear, Dropout, ReLU blocks, then Linear, by Adam.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    return _fit(task, settings, hooks)


def fit_network(task: Task, settings: NetworkPredictor, hooks: Hooks) -> Fitted:
    """Train our network, by AdamW; it starts as the prediction of the training mean.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    return _fit(task, settings, hooks)


def _fit(task: Task, settings: NetworkSettings, hooks: Hooks) -> Fitted:
    (module,) = start(task, [settings])
    learner = NetworkLearner(module, optimizer_of(settings, module.parameters()), task, settings.loss, settings.seed)
    return finish(spec_of(task, settings), train(learner, settings, hooks))


def spec_of(task: Task, settings: NetworkSettings) -> Spec:
    """Shape of the network of these settings."""
    sizes = (task.n_landmarks, task.n_targets, settings.width, settings.depth)
    return Spec(settings.method, *sizes, dropout=settings.dropout)


def start(task: Task, settings: Sequence[NetworkSettings]) -> list[nn.Module]:
    """Make untrained networks on the task's device, each as its settings and its seed say."""
    modules = [build(spec_of(task, each), each.seed).to(task.device) for each in settings]
    ours = [module for module in modules if isinstance(module, Network)]
    if ours:
        sums = _sums(task)
        for module in ours:
            _start_at_mean(module, sums, task.train.n_cells)
    return modules


def optimizer_of(settings: NetworkSettings, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Adam for the study's network, AdamW for ours."""
    if isinstance(settings, PaperNetworkPredictor):
        return torch.optim.Adam(weights, lr=settings.learning_rate)
    return torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def finish(spec: Spec, trained: Trained) -> Fitted:
    """Build the fitted predictor from the best weights."""
    module = build(spec)
    module.load_state_dict({name: value.cpu() for name, value in trained.weights.items()})
    chosen = trained.history[trained.best_step - 1].metrics
    return Fitted(module.eval(), spec, trained.history, trained.best_step, {"best_epoch": trained.best_step, **chosen})


@torch.no_grad()
def _start_at_mean(module: Network, sums: tuple[Tensor, Tensor, Tensor], n_cells: int) -> None:
    """Standardise the input by training cells, and start the output at their mean."""
    x, xx, y = sums
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
