"""D-GEX in its published shape.

Chen, Li, Narayan, Subramanian and Xie, Gene expression inference with deep learning, Bioinformatics 32:1832 (2016),
doi:10.1093/bioinformatics/btw074; what the paper leaves open is as in the authors' code (github.com/uci-cbcl/D-GEX).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from sclandmarks.learn.task import Hooks, Task
from sclandmarks.learn.train import NetworkLearner, train
from sclandmarks.params import DGexPredictor
from sclandmarks.predict.base import Fitted
from sclandmarks.predict.modules import DGex, Spec, build
from sclandmarks.predict.networks import finish
from sclandmarks.predict.scaling import panel_scale, target_scale

MOMENTUM = 0.5
DECAY = 0.9  # of the learning rate after an epoch in which the training error rose
LEAST_RATE = 1e-5
FASTER = 3.0  # learning rate of the weights of all layers but the first, in units of the others'
MONITORED = 5000  # training cells that the error is taken on, the first of the file, whose rows are shuffled


def fit_d_gex(task: Task, settings: DGexPredictor, hooks: Hooks) -> Fitted:
    """Train a D-GEX: tanh layers with dropout and a linear output on standardised genes, by SGD with momentum.

    What is minimised is the squared error of standardised genes, summed over targets: the published learning rates
    are in its units. The rate falls as in `DGexLearner`. Two things are ours: training ends when the held-back error
    has not fallen for `patience` epochs, and that error is the mean squared one of the log values, by which every
    predictor here is judged (published: the mean absolute error of standardised genes).

    There are n_landmarks w + (d - 1) w^2 + w n_targets weights for width w and depth d, 4 bytes each. Training holds
    them four times: weights, gradients, momenta and the best epoch's. With 943 landmarks, 9,520 targets (published:
    in two halves, one after the other) and width 3,000 this is 0.13 GB a copy at depth 1, with 9,000 and depth 3
    1.0 GB a copy. A checkpoint holds three copies.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    shape = (task.n_landmarks, task.n_targets, settings.width, settings.depth)
    spec = Spec("d_gex", *shape, dropout=settings.dropout)
    learner = DGexLearner(start(task, spec, settings.seed), task, settings)
    return finish(spec, train(learner, settings, hooks))


def start(task: Task, spec: Spec, seed: int) -> DGex:
    """Make an untrained network on the task's device, with the training cells' means and deviations."""
    module = cast(DGex, build(spec, seed))
    names, values = ("center", "scale", "mean", "deviation"), (*panel_scale(task), *target_scale(task))
    module.load_state_dict(module.state_dict() | dict(zip(names, values, strict=True)))
    return module.to(task.device)


class DGexLearner(NetworkLearner):
    """SGD with momentum, whose rate falls by a tenth after every epoch in which the training error rose.

    The training error is the mean absolute error of standardised genes over up to `MONITORED` training cells, dropout
    off, taken after each epoch. Weights behind the first layer learn at three times the rate.

    Parameters
    ----------
    module : DGex
        On the task's device.
    task : Task
    settings : DGexPredictor
    """

    def __init__(self, module: DGex, task: Task, settings: DGexPredictor) -> None:
        groups = [{"params": [weights], "faster": faster} for weights, faster in _paces(module)]
        optimizer = torch.optim.SGD(groups, settings.learning_rate, momentum=MOMENTUM)
        super().__init__(module, optimizer, task, "mse", settings.seed)
        self.set_rate(settings.learning_rate)
        self.error = math.inf

    @property
    def network(self) -> DGex:
        """The module, by its type."""
        return cast(DGex, self.module)

    def epoch(self, epoch: int) -> float:
        """Train one epoch and set the rate of the next; return the mean squared error of standardised genes."""
        loss = super().epoch(epoch) / self.task.n_targets
        self.note(self.training_error())
        return loss

    def objective(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        """Return the squared error of standardised genes, summed over targets, as a mean over cells."""
        return self._residuals(x_BL, y_BT).square().sum(1).mean()

    @torch.no_grad()
    def training_error(self) -> float:
        """Mean absolute error of standardised genes on the monitored training cells, dropout off."""
        self.module.eval()
        total, n_cells = 0.0, 0
        for x_BL, y_BT in self.task.pairs(self.task.train.in_order()):
            some = slice(MONITORED - n_cells)
            total += float(self._residuals(x_BL[some], y_BT[some]).abs().sum(dtype=torch.float64))
            n_cells += len(x_BL[some])
            if n_cells == MONITORED:
                break
        return total / (n_cells * self.task.n_targets)

    def note(self, error: float) -> None:
        """Lower the rate if the training error is larger than after the epoch before."""
        if error > self.error:
            self.set_rate(max(self.rate * DECAY, min(self.rate, LEAST_RATE)))
        self.error = error

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the first layer and of biases; other weights learn `FASTER`."""
        self.rate = rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["faster"]

    def _residuals(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        network = self.network
        wanted_BT = torch.where(network.deviation > 0, (y_BT - network.mean) / network.deviation, 0.0)
        return network.standardised(x_BL) - wanted_BT

    def state(self) -> dict[str, Any]:
        """Return module, optimiser, and what the rate depends on."""
        return super().state() | {"rate": self.rate, "error": self.error}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put module, optimiser and rate back."""
        super().restore(state)
        self.set_rate(state["rate"])
        self.error = state["error"]


def _paces(module: DGex) -> list[tuple[Tensor, float]]:
    """Every weight with its learning rate in units of the first layer's."""
    named = list(module.named_parameters())
    return [(weight, FASTER if weight.ndim == 2 and i else 1.0) for i, (_, weight) in enumerate(named)]
