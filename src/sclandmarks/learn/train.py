"""Epochs with early stopping, the best weights kept, and exact resume after an interruption."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from sclandmarks.errors import TrainingError
from sclandmarks.learn.layers import cuda_devices
from sclandmarks.learn.losses import LOSSES, LossName
from sclandmarks.learn.task import Hooks, Step, Task
from sclandmarks.params import EpochParams


class Learner(Protocol):
    """Something that learns epoch by epoch and whose whole state can be taken out and put back."""

    def epoch(self, epoch: int) -> float:
        """Train one epoch, return the mean training loss."""

    def validate(self) -> dict[str, float]:
        """Return figures on the held-back cells; `loss` decides."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights (not copied)."""

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a state back."""


class Trained(NamedTuple):
    """The best weights, every epoch's figures, and the epoch the weights come from."""

    weights: dict[str, Tensor]
    history: list[Step]
    best_step: int


def train(learner: Learner, settings: EpochParams, hooks: Hooks, from_start: bool = False) -> Trained:
    """Train until the held-back loss has not fallen for `patience` epochs, or `max_epochs`.

    Parameters
    ----------
    learner : Learner
    settings : EpochParams
    hooks : Hooks
    from_start : bool
        Judge the learner before its first epoch too, as step 0: where nothing learned is better, it is what it was.

    Raises
    ------
    TrainingError
        If a loss is not finite; the epoch and the learning rate are named.
    """
    done = _resume(learner, hooks)
    if from_start and not done.history:
        start = Step(0, _named(learner.validate()))
        done = advance(done, start, learner.weights())
        hooks.on_epoch(start.metrics, 0)
    first = done.history[-1].step + 1 if done.history else 1
    for epoch in range(first, settings.max_epochs + 1):
        if epoch - 1 - done.best_step >= settings.patience:
            break
        train_loss = learner.epoch(epoch)
        held_back = learner.validate()
        check_finite(epoch, settings.learning_rate, train_loss, held_back["loss"])
        metrics = {"train_loss": train_loss, **_named(held_back)}
        done = advance(done, Step(epoch, metrics), learner.weights())
        hooks.on_epoch(metrics, epoch)
        hooks.checkpoint.save({"learner": learner.state(), **_pack(done)})
    return done


def _named(held_back: Mapping[str, float]) -> dict[str, float]:
    return {f"validation_{name}": value for name, value in held_back.items()}


def advance(done: Trained, step: Step, weights: Mapping[str, Tensor]) -> Trained:
    """Add an epoch; its weights are copied where its held-back loss is the best so far."""
    best = min((past.metrics["validation_loss"] for past in done.history), default=math.inf)
    history = [*done.history, step]
    if step.metrics["validation_loss"] < best:
        return Trained({name: value.detach().clone() for name, value in weights.items()}, history, step.step)
    return done._replace(history=history)


def _resume(learner: Learner, hooks: Hooks) -> Trained:
    saved = hooks.checkpoint.load()
    if saved is None:
        return Trained({}, [], 0)
    learner.restore(saved["learner"])
    history = [Step(int(step), dict(metrics)) for step, metrics in saved["history"]]
    for step in history:
        hooks.on_epoch(step.metrics, step.step)
    return Trained(dict(saved["weights"]), history, int(saved["best_step"]))


def _pack(done: Trained) -> dict[str, Any]:
    history = [(step.step, step.metrics) for step in done.history]
    return {"weights": done.weights, "history": history, "best_step": done.best_step}


def check_finite(epoch: int, learning_rate: float, *losses: float) -> None:
    """Raise a TrainingError that names epoch and learning rate if a loss is NaN or infinite."""
    if not all(math.isfinite(loss) for loss in losses):
        raise TrainingError(
            "a finite loss",
            f"{losses} at epoch {epoch} with learning rate {learning_rate:g}",
            "Lower this predictor's or panel's learning_rate in params.yaml.",
        )


class NetworkLearner:
    """A torch module trained by an optimiser on mini-batches.

    Randomness (dropout) is seeded by (seed, epoch), so that a resumed training repeats an uninterrupted one.

    Parameters
    ----------
    module : torch.nn.Module
        On the task's device.
    optimizer : torch.optim.Optimizer
    task : Task
    loss : {"mse", "weighted_mse"}
    seed : int
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, task: Task, loss: LossName, seed: int
    ) -> None:
        self.module, self.optimizer, self.task, self.seed = module, optimizer, task, seed
        self.loss = LOSSES[loss]

    def epoch(self, epoch: int) -> float:
        """Train one epoch, return the mean training loss (dropout on)."""
        self.module.train()
        total, n_cells = torch.zeros((), device=self.task.device), 0
        with torch.random.fork_rng(devices=cuda_devices(self.task.device)):
            torch.manual_seed(self.seed * 1_000_003 + epoch)
            for loss, size in self.losses(epoch):
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
                self.after_step()
                total += loss.detach() * size
                n_cells += size
        return float(total) / n_cells

    def losses(self, epoch: int) -> Iterator[tuple[Tensor, int]]:
        """Yield what is minimised on each batch of an epoch, and the cells in it."""
        for x_BL, y_BT in self.task.pairs(self.task.train.epoch(epoch)):
            yield self.objective(x_BL, y_BT), len(x_BL)

    def objective(self, x_BL: Tensor, y_BT: Tensor) -> Tensor:
        """Return what is minimised on a batch."""
        return self.loss(self.module(x_BL), y_BT)

    def after_step(self) -> None:
        """Do what follows a step of the optimiser; here nothing."""

    def predict(self, x_BL: Tensor) -> Tensor:
        """Return predictions of held-back cells."""
        predicted_BT: Tensor = self.module(x_BL)
        return predicted_BT

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the loss and the MSE on the held-back cells (dropout off)."""
        self.module.eval()
        sums = torch.zeros(2, dtype=torch.float64)
        for x_BL, y_BT in self.task.pairs(self.task.validation.in_order()):
            p_BT = self.predict(x_BL)
            losses = [float(self.loss(p_BT, y_BT)), float((p_BT - y_BT).square().mean())]
            sums += torch.tensor(losses, dtype=torch.float64) * len(x_BL)
        loss, mse = (sums / self.task.validation.n_cells).tolist()
        return {"loss": loss, "mse": mse}

    def weights(self) -> dict[str, Tensor]:
        """Return the module's state."""
        return dict(self.module.state_dict())

    def state(self) -> dict[str, Any]:
        """Return module and optimiser state."""
        return {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put module and optimiser state back."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
