"""The group lasso of a network with blocks behind the penalised first layer, along a warm-started path in lambda.

With layers behind the first the problem is not convex, so a place of the path has no duality gap. Each reports how
stationary it is instead: the largest distance of a gene's gradient over all training cells, dropout off, to minus the
penalty's subdifferential, as a part of the strength (`kkt`). With `depth: 0` and the MSE the problem is that of
`group_lasso`.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from torch import Tensor

from sclandmarks.errors import TrainingError
from sclandmarks.learn.layers import seeded
from sclandmarks.learn.task import Hooks, NoCheckpoint, Step, Task
from sclandmarks.learn.train import NetworkLearner, train
from sclandmarks.params import GroupLassoNetworkPanel
from sclandmarks.select import prox
from sclandmarks.select.base import Selected, SelectionTask
from sclandmarks.select.lasso_path import PathRecord, adaptive_scale, nearness
from sclandmarks.select.lasso_solver import Layout, largest, lay_out, ratios
from sclandmarks.select.penalised import PathNetwork, PenalisedTraining

log = logging.getLogger(__name__)

RATES = (1.0, 0.3)  # parts of the learning rate, one after the other at each place of the path
LAST = 0.05  # of the last of them: where the steps over all cells end
LEAST = 1e-4  # of the objective: an epoch that lowers it by less has not


def select_group_lasso_network(task: SelectionTask, settings: GroupLassoNetworkPanel, hooks: Hooks) -> Selected:
    """Walk down the path until enough genes are in, then rank them by the norms of their weights.

    An adaptive second path starts from the norms of a first one that goes on to twice as many genes; it is the one
    that is reported, and the one that goes on after an interruption.

    Raises
    ------
    TrainingError
        If the objective is not finite.
    PanelError
        If no gene varies over the training cells.
    """
    layout, first = lay_out(task, settings, settings.seed), None
    if settings.adaptive:
        first = Walk(task, settings, layout, Hooks())
        first.down(min(2 * task.n_landmarks, task.genes.height))
        layout = layout._replace(scale_G=layout.scale_G * adaptive_scale(first.network.sizes()))
    walk = Walk(task, settings, layout, hooks)
    walk.down(task.n_landmarks)
    size_G = walk.network.sizes()
    near_G = prox.norms(walk.training.gradient())
    if first is not None:
        near_G = nearness(near_G, layout.scale_G, prox.norms(first.training.gradient()))
    panel = walk.record.rank(task, size_G, near_G)
    last = walk.history[-1].metrics
    facts = {name: last[name] for name in ("kkt", "n_active", "lambda_ratio", "validation_mse")}
    if settings.refit:
        facts["refit_validation_mse"] = _refit(walk, settings)
    return Selected(panel, walk.history, facts, walk.record.table(task.genes))


class Walk:
    """A path and where on it we are.

    Parameters
    ----------
    task : SelectionTask
    settings : GroupLassoNetworkPanel
    layout : Layout
    hooks : Hooks
        Told about each place; its checkpoint keeps the state there.
    """

    def __init__(self, task: SelectionTask, settings: GroupLassoNetworkPanel, layout: Layout, hooks: Hooks) -> None:
        every = torch.arange(task.genes.height)
        self.settings, self.hooks = settings, hooks
        self.network = _network(task, settings, layout)
        whole = Task(task.train, task.validation, every, every, task.device)
        self.training = PenalisedTraining(self.network, whole, settings.loss, settings.seed)
        self.strength = largest(self.training.gradient())
        self.record, self.history, self.n_epochs = PathRecord(task.genes.height), list[Step](), 0

    def down(self, n_landmarks: int) -> None:
        """Go down to `n_landmarks` genes, or to the end of the path."""
        self._resume()
        places = ratios(self.settings)
        for step in range(len(self.history), len(places)):
            if self._done(n_landmarks):
                break
            self._place(step, places[step])
        if self.history[-1].metrics["n_active"] < n_landmarks:
            log.warning("the path ended with fewer than %d genes: those nearest to entering follow", n_landmarks)

    def _done(self, n_landmarks: int) -> bool:
        n_active = self.history[-1].metrics["n_active"] if self.history else 0
        return self.settings.lambda_ratio is None and n_active >= n_landmarks

    def _place(self, step: int, ratio: float) -> None:
        strength, before = ratio * self.strength, self.n_epochs
        seen = {"objective": self._settle(strength)} if step else {}  # at lambda_max there is nothing to train
        size_G = self.network.sizes()
        distance_G = prox.distance(self.network.W_GH.detach(), self.training.gradient(), strength)
        metrics = {
            "lambda_ratio": ratio,
            "n_active": float((size_G > 0).sum()),
            **seen,
            "kkt": float(distance_G.max()) / strength,
            "validation_mse": self.training.held_back(),
            "epochs": float(self.n_epochs - before),
        }
        self.record.note(step, ratio, size_G)
        self.history.append(Step(step, metrics))
        self.hooks.on_epoch(metrics, step)
        self.hooks.checkpoint.save(self._state())

    def _settle(self, strength: float) -> float:
        """Train at one strength: epochs of mini-batches at two rates, then as many steps over all cells.

        The gradient of a batch is noisy, and so is which genes the last batches leave in; the steps over all cells,
        at a rate that falls to nothing, decide that. Returns the objective before the last of them.
        """
        most, rate = -(-self.settings.max_epochs // 4), self.settings.learning_rate
        for part in RATES:
            self._phase(strength, part * rate, most)
        objective = math.inf
        for step in range(2 * most):
            falling = RATES[-1] * LAST ** ((step + 1) / (2 * most))
            objective = self.training.whole_step(falling * rate, strength, first=step == 0)
            self.n_epochs += 1
        _check_finite(objective, self.n_epochs, self.settings)
        return objective

    def _phase(self, strength: float, rate: float, most: int) -> None:
        best, best_epoch = math.inf, 0
        for epoch in range(1, most + 1):
            self.n_epochs += 1
            objective = self.training.epoch(self.n_epochs, rate, strength)
            _check_finite(objective, self.n_epochs, self.settings)
            if objective < best * (1 - LEAST):
                best, best_epoch = objective, epoch
            if epoch - best_epoch >= self.settings.patience:
                break

    def _state(self) -> dict[str, Any]:
        history = [(step.step, step.metrics) for step in self.history]
        places = [list(place) for place in self.record.places]
        return {
            "training": self.training.state(), "history": history, "places": places, "n_epochs": self.n_epochs,
        }  # fmt: skip

    def _resume(self) -> None:
        saved = self.hooks.checkpoint.load()
        if saved is None:
            return
        self.training.restore(saved["training"])
        self.n_epochs = int(saved["n_epochs"])
        for step, metrics in saved["history"]:
            self.history.append(Step(int(step), dict(metrics)))
            self.hooks.on_epoch(metrics, int(step))
        for step, ratio, active, size_A in saved["places"]:
            size_G = torch.zeros(len(self.record.entered_G))
            size_G[active] = size_A
            self.record.note(int(step), float(ratio), size_G)


def _check_finite(objective: float, epoch: int, settings: GroupLassoNetworkPanel) -> None:
    if not math.isfinite(objective):
        raise TrainingError(
            "a finite objective",
            f"{objective} at epoch {epoch} with learning rate {settings.learning_rate:g}",
            "Lower this panel's learning_rate in params.yaml.",
        )


def _network(task: SelectionTask, settings: GroupLassoNetworkPanel, layout: Layout) -> PathNetwork:
    """The network before any training: no gene in, and the constant of least loss as its prediction."""
    bias_G = layout.mean_G if settings.loss == "mse" else _weighted_mean(layout)
    make = lambda: PathNetwork(  # noqa: E731
        layout.mean_G, layout.scale_G, layout.axes_GH, bias_G, settings.depth, settings.dropout
    )
    return seeded(make, settings.seed).to(task.device)


def _weighted_mean(layout: Layout) -> Tensor:
    """Constant b of least sum (t + 1)(b - t)^2: (E t^2 + E t) / (E t + 1)."""
    mean_G = layout.mean_G
    return (layout.S_GG.diagonal() + mean_G.square() + mean_G) / (mean_G + 1)


def _refit(walk: Walk, settings: GroupLassoNetworkPanel) -> float:
    """Held-back MSE after the genes that are in were trained on without penalty, stopped by the held-back cells."""
    inside_G1 = (walk.network.sizes() > 0).unsqueeze(1)
    walk.network.W_GH.register_hook(lambda gradient_GH: gradient_GH * inside_G1)  # type: ignore[no-untyped-call]
    optimizer = torch.optim.Adam(walk.network.parameters(), lr=settings.learning_rate)
    learner = NetworkLearner(walk.network, optimizer, walk.training.task, settings.loss, settings.seed)
    trained = train(learner, settings, Hooks(checkpoint=NoCheckpoint()))
    return trained.history[trained.best_step - 1].metrics["validation_mse"]
