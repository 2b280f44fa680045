"""Codes found once a cell do for the targets: the same losses, the same training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.learn.task import Hooks, Task, split_genes
from sclandmarks.learn.train import train
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import NetworkPredictor
from sclandmarks.predict.coded import CodedLearner, coded, coding_of
from sclandmarks.predict.modules import Network
from sclandmarks.predict.network import open_learner
from sclandmarks.predict.residual import ResidualLearner, start

SETTINGS = NetworkPredictor(
    method="network",
    members=2,
    width=12,
    depth=1,
    input_dropout=0.3,
    dropout=0.2,
    weight_decay=0.1,
    loss="mse",
    learning_rate=3e-3,
    batch_size=32,
    max_epochs=4,
    patience=4,
    max_cells=200,
    max_rank=8,
    axes=5,
    bandwidth=1.8,
    folds=0,
    seed=0,
)


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """Planted landmarks to all other genes."""
    train_, held_back = MemoryBatches(planted.values[:200], 32), MemoryBatches(planted.values[200:], 64)
    return Task(train_, held_back, *split_genes(80, planted.positions))


def network(task: Task, **changes: Any) -> Network:
    """As it starts, but that the members' outputs are not zero."""
    module, _, _ = start(task, SETTINGS.model_copy(update=changes))
    torch.nn.init.normal_(module.last_EHR, generator=torch.Generator().manual_seed(0))
    return module


def test_what_the_coding_gives(task: Task) -> None:
    """Panel values, codes, and the rest of the square, cell by cell; the matrix's type stays."""
    module, X_CG = network(task), task.train.X_CG.astype(np.float64)
    coding = coding_of(module, task)
    found = coding(X_CG)
    x_CL, w_CR, rest_C1 = np.split(found.toarray(), [6, 6 + len(module.B_RT)], axis=1)
    np.testing.assert_array_equal(x_CL, X_CG[:, task.inputs.numpy()].toarray())
    left_CT = X_CG[:, task.outputs.numpy()].toarray() - module.bias.detach().double().numpy()
    np.testing.assert_allclose(w_CR, left_CT @ module.B_RT.detach().double().numpy().T, atol=1e-10)
    np.testing.assert_allclose(rest_C1[:, 0], (left_CT**2).sum(1) - (w_CR**2).sum(1), rtol=1e-8)
    assert (found.shape[1], found.dtype) == (coding.n_genes, np.float64)
    assert coding(task.train.X_CG).dtype == np.float32
    assert coding(X_CG[:0]).shape == (0, coding.n_genes)


def test_cells_without_a_read_are_coded_too(task: Task) -> None:
    """Their targets are zero, not absent."""
    module = network(task)
    empty = coding_of(module, task)(sparse.csr_matrix((2, 80), dtype=np.float64)).toarray()
    bias, B_RT = module.bias.detach().double().numpy(), module.B_RT.detach().double().numpy()
    np.testing.assert_allclose(empty[0, 6:-1], -bias @ B_RT.T, atol=1e-12)
    np.testing.assert_array_equal(empty[0], empty[1])


def test_the_coded_task_has_the_same_batches(task: Task) -> None:
    """Cells, their order in every epoch, and the panel's values."""
    module = network(task)
    other = coded(task, coding_of(module, task))
    assert (other.n_landmarks, other.n_targets) == (6, len(module.B_RT) + 1)
    for source in ("train", "validation"):
        for epoch in (0, 3):
            given, found = (list(each.pairs(getattr(each, source).epoch(epoch))) for each in (task, other))
            assert len(given) == len(found)
            assert all(torch.equal(one.x_BL, two.x_BL) for one, two in zip(given, found, strict=True))


def test_the_loss_on_codes_is_the_loss_on_targets(task: Task) -> None:
    """Up to rounding, and its gradients too: the head's rows are orthonormal."""
    module = network(task, input_dropout=0.0, dropout=0.0)
    found = []
    for kind in (CodedLearner, ResidualLearner):
        learner = kind(module, task, SETTINGS)
        loss = learner.objective(*next(learner.task.pairs(learner.task.train.epoch(1))))
        names = [module.get_parameter(name) for name in ("last_EHR", "first_ELH", "blocks.0.W_EHH")]
        found.append((loss, *torch.autograd.grad(loss, names)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-6)
    assert found[0][0].item() == pytest.approx(found[1][0].item(), rel=1e-5)


def test_held_back_cells_are_judged_as_on_targets(task: Task) -> None:
    """By the running means, whatever the weights are."""
    ours, theirs = (kind(network(task), task, SETTINGS) for kind in (CodedLearner, ResidualLearner))
    ours.network.first_ELH.data.zero_()
    assert ours.validate() == pytest.approx(theirs.validate(), rel=1e-5)


def test_a_training_is_that_on_targets(task: Task) -> None:
    """Every epoch's figures, and the best weights, but for rounding."""
    done = [
        train(kind(network(task), task, SETTINGS), SETTINGS, Hooks(), True) for kind in (CodedLearner, ResidualLearner)
    ]
    for ours, theirs in zip(done[0].history, done[1].history, strict=True):
        assert ours.metrics == pytest.approx(theirs.metrics, rel=1e-4)
    assert done[0].best_step == done[1].best_step > 0
    torch.testing.assert_close(done[0].weights, done[1].weights, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("loss", "kind"), [("mse", CodedLearner), ("weighted_mse", ResidualLearner)])
def test_which_loss_is_learned_on_codes(task: Task, loss: str, kind: type) -> None:
    """The squared error only: others do not split into codes and a rest."""
    assert type(open_learner(network(task), task, SETTINGS.model_copy(update={"loss": loss}))) is kind
