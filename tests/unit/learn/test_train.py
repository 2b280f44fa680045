"""Epochs: early stopping, the best weights, exact resume, errors that say where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.errors import TrainingError
from sclandmarks.io.checkpoints import FileCheckpoint
from sclandmarks.learn.task import Hooks, Step, Task, split_genes
from sclandmarks.learn.train import NetworkLearner, train
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import (
    DGexPredictor,
    EpochParams,
    NetworkPredictor,
    PaperLinearPredictor,
    PaperNetworkPredictor,
    PaperPanel,
)
from sclandmarks.predict import PREDICTORS
from sclandmarks.predict.modules import Spec, build
from sclandmarks.select import SELECTORS, SelectionTask

SETTINGS = EpochParams(seed=0, learning_rate=0.5, max_epochs=10, patience=3)
EPOCHS = {"seed": 3, "learning_rate": 0.01, "max_epochs": 8, "patience": 4, "batch_size": 64}
NETWORKS = {
    "paper_network": PaperNetworkPredictor(
        method="paper_network", width=12, depth=2, dropout=0.3, loss="weighted_mse", **EPOCHS
    ),
    "network": NetworkPredictor(
        method="network",
        members=2,
        width=12,
        depth=1,
        input_dropout=0.2,
        dropout=0.3,
        weight_decay=0.1,
        loss="mse",
        max_cells=200,
        max_rank=8,
        bandwidth=1.8,
        axes=5,
        folds=0,
        **EPOCHS,
    ),
    "d_gex": DGexPredictor(method="d_gex", width=12, depth=2, dropout=0.3, **EPOCHS | {"learning_rate": 0.03}),
    "paper_linear": PaperLinearPredictor(
        method="paper_linear", scale="log", seed=3, learning_rate=1e-3, max_epochs=8, patience=4
    ),
}
NETWORKS |= {
    f"network, {loss}": NETWORKS["network"].model_copy(update={"loss": loss})
    for loss in ("poisson", "negative_binomial")
}
PANEL = PaperPanel(selector="paper_f910", width=8, depth=1, dropout=0.3, penalty=1e-3, n_extremes=None, **EPOCHS)


class Scripted:
    """A learner whose losses are given and whose one weight is the epoch, changed in place."""

    def __init__(self, held_back: list[float], training: list[float] | None = None) -> None:
        self.held_back, self.training = held_back, training or [1.0] * len(held_back)
        self.weight = torch.zeros(1)

    def epoch(self, epoch: int) -> float:
        """Note the epoch in the weight."""
        self.weight.fill_(epoch)
        return self.training[epoch - 1]

    def validate(self) -> dict[str, float]:
        """Return the loss that the script has for this epoch."""
        return {"loss": self.held_back[int(self.weight) - 1]}

    def weights(self) -> dict[str, Tensor]:
        """Return the epoch, not copied."""
        return {"epoch": self.weight}

    def state(self) -> dict[str, Any]:
        """Return the epoch."""
        return {"epoch": self.weight}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put the epoch back."""
        self.weight = state["epoch"]


class Interrupted(Exception):
    """Stands for a killed process."""


def interrupt_at(epoch: int) -> Callable[[Mapping[str, float], int], None]:
    """Stop before the state of this epoch is kept."""

    def on_epoch(metrics: Mapping[str, float], step: int) -> None:
        if step == epoch:
            raise Interrupted

    return on_epoch


@pytest.mark.parametrize(
    ("held_back", "best", "n_epochs"),
    [
        ([5, 4, 3, 4, 4, 4, 1], 3, 6),
        ([5, 4, 4, 4, 4, 1], 2, 5),
        ([3, 4, 4, 2, 3, 3, 3], 4, 7),
        ([10 - i for i in range(10)], 10, 10),
        ([1, 2, 2, 2], 1, 4),
    ],
    ids=["patience spent", "a tie is no progress", "progress in time", "max_epochs", "first is best"],
)
def test_stops_after_patience_and_keeps_the_best_weights(held_back: list[float], best: int, n_epochs: int) -> None:
    """The weights are those of the best epoch although the learner changes them in place."""
    trained = train(Scripted(held_back), SETTINGS, Hooks())
    assert trained.weights["epoch"].item() == trained.best_step == best
    assert [step.step for step in trained.history] == list(range(1, n_epochs + 1))
    assert [step.metrics["validation_loss"] for step in trained.history] == held_back[:n_epochs]


@pytest.mark.parametrize(("start", "best"), [(1, 0), (5, 3)])
def test_the_weights_before_the_first_epoch_can_count(start: float, best: int) -> None:
    """As step 0, reported and judged like an epoch; patience counts from there."""
    seen, learner = [], Scripted([4, 4, 3, start])  # before the first epoch its weight is 0: the last of the script
    trained = train(learner, SETTINGS.model_copy(update={"max_epochs": 3}), Hooks(lambda *a: seen.append(a)), True)
    assert trained.weights["epoch"].item() == trained.best_step == best
    assert seen[0] == ({"validation_loss": start}, 0)
    assert [step for _, step in seen] == [0, 1, 2, 3] == [step.step for step in trained.history]


def test_every_epoch_is_reported() -> None:
    """Metrics first, then the epoch, as a tracker takes them."""
    seen = []
    trained = train(
        Scripted([2, 1], [9, 8]), SETTINGS.model_copy(update={"max_epochs": 2}), Hooks(lambda *a: seen.append(a))
    )
    assert seen == [(step.metrics, step.step) for step in trained.history]
    assert trained.history[1] == Step(2, {"train_loss": 8, "validation_loss": 1})


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("side", ["held_back", "training"])
def test_a_loss_that_is_not_finite_stops_with_epoch_and_rate(wrong: float, side: str) -> None:
    """The message says which setting to lower."""
    losses = {"held_back": [3.0, 2.0, 1.0], "training": [3.0, 2.0, 1.0]}
    losses[side][1] = wrong
    with pytest.raises(TrainingError, match=r"at epoch 2 with learning rate 0\.5.*Lower"):
        train(Scripted(**losses), SETTINGS, Hooks())


def test_a_rate_far_too_large_is_such_an_error(task: Task) -> None:
    """For a real learner too: cell-by-cell descent that diverges."""
    settings = NETWORKS["paper_linear"].model_copy(update={"learning_rate": 50.0})
    with pytest.raises(TrainingError, match="learning rate 50"):
        PREDICTORS["paper_linear"](task, settings, Hooks())


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """Six landmarks to 74 targets, 300 cells to learn from and 100 held back."""
    train, validation = MemoryBatches(planted.values[:300], 64, seed=3), MemoryBatches(planted.values[300:], 64)
    counts = MemoryBatches(planted.counts.X_CG[:300], 64, seed=3)
    return Task(train, validation, *split_genes(80, planted.positions), counts=counts)


def learn(name: str, task: Task, planted: Any, hooks: Hooks) -> tuple[list[Step], dict[str, Tensor]]:
    """Return history and result of a training: weights, or the panel's scores."""
    if name == "paper_f910":
        selection = SelectionTask(task.train, task.validation, planted.counts.genes, 10)
        selected = SELECTORS[name](selection, PANEL, hooks)
        order = torch.tensor([int(gene[1:]) for gene in selected.panel["gene_id"]])
        return selected.history, {"order": order, "score": selected.panel["score"].to_torch()}
    fitted = PREDICTORS[NETWORKS[name].method](task, NETWORKS[name], hooks)
    return fitted.history, fitted.module.state_dict()


@pytest.mark.parametrize("name", [*NETWORKS, "paper_f910"])
@pytest.mark.parametrize("interrupted", [1, 2, 5, 8])
def test_a_resumed_training_is_bit_for_bit_an_uninterrupted_one(
    name: str, interrupted: int, task: Task, planted, tmp_path: Path
) -> None:
    """Killed in an epoch, before or behind the best one, and gone on from the file of the epoch before."""
    history, weights = learn(name, task, planted, Hooks())
    with pytest.raises(Interrupted):
        learn(name, task, planted, Hooks(interrupt_at(interrupted), FileCheckpoint(tmp_path, "it", "key", 0.0)))
    resumed_from = FileCheckpoint(tmp_path, "it", "key", 0.0)
    assert (resumed_from.load() is None) == (interrupted == 1)
    reported = []
    resumed, resumed_weights = learn(
        name, task, planted, Hooks(lambda metrics, step: reported.append(Step(step, dict(metrics))), resumed_from)
    )
    assert resumed == history == reported
    assert resumed_weights.keys() == weights.keys()
    assert all(torch.equal(resumed_weights[key], weights[key]) for key in weights)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    """Killed between the last epoch and the writing of its result: a learner without a script goes through."""
    checkpoint = FileCheckpoint(tmp_path, "it", "key", 0.0)
    done = train(Scripted([3, 2, 4, 4, 4]), SETTINGS, Hooks(checkpoint=checkpoint))
    again = train(Scripted([]), SETTINGS, Hooks(checkpoint=checkpoint))
    assert again == done
    assert (again.best_step, again.weights["epoch"].item()) == (2, 2)


class Still(MemoryBatches):
    """Cells in the same order in every epoch."""

    def epoch(self, epoch: int) -> Iterator[sparse.csr_matrix]:
        """Yield them in order."""
        return self.in_order()


def test_dropout_is_seeded_by_seed_and_epoch(task: Task) -> None:
    """With weights and order held still, each epoch and each seed drops other units, and repeats its own."""
    still = replace(task, train=Still(task.train.X_CG, 64))
    losses = {}
    for seed in (0, 1):
        module = build(Spec("paper_network", 6, 74, width=12, depth=1, dropout=0.5))
        learner = NetworkLearner(module, torch.optim.SGD(module.parameters(), lr=0.0), still, "mse", seed)
        losses |= {(seed, epoch): learner.epoch(epoch) for epoch in (1, 2)}
        assert learner.epoch(1) == losses[seed, 1]
    assert len(set(losses.values())) == 4


@pytest.mark.parametrize("name", [*NETWORKS, "paper_f910"])
def test_torchs_own_random_stream_is_left_alone(name: str, task: Task, planted) -> None:
    """Training neither uses nor moves it: the result is the same from another place of the stream."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    history, _ = learn(name, task, planted, Hooks())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert learn(name, task, planted, Hooks())[0] == history
