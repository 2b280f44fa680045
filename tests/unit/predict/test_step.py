"""A training step of our network against one that is written out, each operation by itself."""

from __future__ import annotations

import pytest
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks.learn.losses import LOSSES, LossName
from sclandmarks.learn.task import Pair, Task, split_genes
from sclandmarks.learn.train import NetworkLearner
from sclandmarks.matrix import MemoryBatches
from sclandmarks.params import NetworkPredictor
from sclandmarks.predict.coded import CodedLearner, coding_of
from sclandmarks.predict.dropout import ByteDropout
from sclandmarks.predict.modules import Network, Spec
from sclandmarks.predict.residual import KEPT, LINEAR, ResidualLearner

SETTINGS = NetworkPredictor(
    method="network",
    members=2,
    width=8,
    depth=2,
    input_dropout=0.4,
    dropout=0.3,
    weight_decay=0.5,
    loss="mse",
    learning_rate=1e-2,
    batch_size=16,
    max_epochs=1,
    patience=1,
    max_cells=100,
    max_rank=4,
    axes=5,
    bandwidth=1.8,
    folds=0,
    seed=0,
)
N_LANDMARKS, N_TARGETS, RANK = 6, 30, 4


def network() -> Network:
    """Our network in double precision, with an orthonormal head and no zeros."""
    shape = {name: getattr(SETTINGS, name) for name in ("width", "depth", "dropout", "input_dropout", "members")}
    torch.manual_seed(0)
    module = Network(Spec("network", N_LANDMARKS, N_TARGETS, rank=RANK, **shape)).double()
    for value in module.state_dict().values():
        value.copy_(0.5 * torch.randn(value.shape, dtype=torch.float64))
    torch.nn.init.orthogonal_(module.B_RT)
    return module


@pytest.fixture(scope="module")
def task(planted) -> Task:
    """A task whose cells are not asked for."""
    cells = MemoryBatches(planted.values, 32)
    return Task(cells, cells, *split_genes(N_LANDMARKS + N_TARGETS, range(N_LANDMARKS)))


def plain_dropout(h: Tensor, dropout: ByteDropout) -> Tensor:
    """Times a mask."""
    noise = dropout.noise(h)
    assert noise is not None
    return h * (noise >= dropout.n_dropped) * dropout.factor


def plain_loss(module: Network, pair: Pair, loss: LossName) -> Tensor:
    """Mean over members, cells and targets, on predictions of all targets."""
    deviation_BL = pair.x_BL - module.center
    z_EBL = plain_dropout((deviation_BL * module.scale).repeat(SETTINGS.members, 1, 1), module.input_dropout)
    h_EBH = plain_dropout(torch.relu(z_EBL @ module.first_ELH + module.c_EH), module.dropout)
    for block in module.blocks:
        h_EBH = h_EBH + plain_dropout(torch.relu(h_EBH @ block.W_EHH + block.c_EH), block.dropout)
    codes_EBR = deviation_BL @ module.A_LR + module.unit * (h_EBH @ module.last_EHR)
    return LOSSES[loss](codes_EBR @ module.B_RT + module.bias, pair.y_BT)


def plain_adamw(weight: Tensor, slope: Tensor, moments: tuple[Tensor, Tensor], step: int) -> None:
    """One step of Loshchilov and Hutter's algorithm 2, in place."""
    first, second = moments
    first.copy_(0.9 * first + 0.1 * slope)
    second.copy_(0.999 * second + 0.001 * slope**2)
    rate = SETTINGS.learning_rate
    weight -= rate * SETTINGS.weight_decay * weight
    weight -= rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-12)


def plain_training(pairs: list[Pair], loss: LossName) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights, and their running means, after a step on each pair."""
    module, still = network(), {"A_LR", "B_RT", "bias"} if loss == "mse" else {"A_LR"}
    learned = {name: weight for name, weight in module.named_parameters() if name not in still}
    moments = {name: (torch.zeros_like(weight), torch.zeros_like(weight)) for name, weight in learned.items()}
    means = {name: weight.detach().clone() for name, weight in learned.items()}
    torch.manual_seed(1)
    for step, pair in enumerate(pairs, 1):
        slopes = torch.autograd.grad(plain_loss(module, pair, loss), list(learned.values()))
        with torch.no_grad():
            for (name, weight), slope in zip(learned.items(), slopes, strict=True):
                plain_adamw(weight, slope, moments[name], step)
                means[name] = KEPT * means[name] + (1 - KEPT) * weight
    return dict(module.state_dict()), means


def some_pairs(n_pairs: int) -> list[Pair]:
    """Batches of cells, the last smaller."""
    generator = torch.Generator().manual_seed(3)

    def cells(n_cells: int, n_genes: int) -> Tensor:
        return torch.randn((n_cells, n_genes), generator=generator, dtype=torch.float64).relu()

    sizes = [16] * (n_pairs - 1) + [5]
    return [Pair(cells(size, N_LANDMARKS), cells(size, N_TARGETS)) for size in sizes]


def pairs_of(learner: ResidualLearner, pairs: list[Pair], task: Task) -> list[Pair]:
    """The pairs as the learner gets them: targets, or codes of them."""
    if not isinstance(learner, CodedLearner):
        return pairs
    coding = coding_of(learner.network, task)

    def recoded(pair: Pair) -> Pair:
        cells = torch.zeros(len(pair.x_BL), task.train.n_genes, dtype=torch.float64)
        cells[:, task.inputs], cells[:, task.outputs] = pair
        return Pair(
            *torch.from_numpy(coding(sparse.csr_matrix(cells.numpy())).toarray()).split([N_LANDMARKS, RANK + 1], 1)
        )

    return [recoded(pair) for pair in pairs]


EVERY = pytest.mark.parametrize(
    ("kind", "loss"), [(ResidualLearner, "mse"), (ResidualLearner, "weighted_mse"), (CodedLearner, "mse")]
)


@EVERY
def test_steps_are_those_of_the_plain_form(kind: type[ResidualLearner], loss: LossName, task: Task) -> None:
    """The same seed, the same weights and running means after ten steps, but for rounding."""
    learner = kind(network(), task, SETTINGS.model_copy(update={"loss": loss}))
    pairs = some_pairs(10)
    torch.manual_seed(1)
    for pair in pairs_of(learner, pairs, task):
        one_step(learner, pair)
    weights, means = plain_training(pairs, loss)
    torch.testing.assert_close(dict(learner.module.state_dict()), weights, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(learner.means, means, rtol=1e-7, atol=1e-9)
    changed = [name for name, value in network().state_dict().items() if not torch.equal(value, weights[name])]
    assert set(changed) == set(learner.means)
    assert not set(changed) & set(LINEAR)


def one_step(learner: NetworkLearner, pair: Pair) -> None:
    """As `NetworkLearner.epoch` takes it."""
    learner.optimizer.zero_grad(set_to_none=True)
    learner.objective(*pair).backward()
    learner.optimizer.step()
    learner.after_step()


@EVERY
def test_the_loss_of_a_step_is_that_of_the_plain_form(kind: type[ResidualLearner], loss: LossName, task: Task) -> None:
    """What an epoch reports."""
    module, pairs = network(), some_pairs(1)
    learner = kind(module, task, SETTINGS.model_copy(update={"loss": loss}))
    torch.manual_seed(1)
    got = learner.objective(*pairs_of(learner, pairs, task)[0])
    torch.manual_seed(1)
    torch.testing.assert_close(got, plain_loss(module, pairs[0], loss))
