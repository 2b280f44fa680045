"""The penalised network: what is capped, what a step does, what the gradient is."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from sclandmarks.learn.task import Task
from sclandmarks.matrix import MemoryBatches
from sclandmarks.select import prox
from sclandmarks.select.penalised import Block, GroupAdam, PathNetwork, PenalisedTraining


def random_weights(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_training(planted, depth: int = 2, loss: str = "mse", batch_size: int = 64) -> PenalisedTraining:
    """All 80 planted genes, four axes, seeded weights."""
    batches = MemoryBatches(planted.values, batch_size)
    every = torch.arange(80)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        axes_GH = torch.linalg.qr(torch.randn(80, 4)).Q
        network = PathNetwork(torch.zeros(80), torch.ones(80), axes_GH, torch.ones(80), depth, 0.2)
    return PenalisedTraining(network, Task(batches, batches, every, every), loss, seed=0)  # type: ignore[arg-type]


def test_a_block_starts_as_the_identity() -> None:
    """So that the network starts as the linear one."""
    z_BH = random_weights(5, 3)
    assert torch.equal(Block(3, 0.5).eval()(z_BH), z_BH)


def test_a_block_at_most_doubles_its_input() -> None:
    """Without its bias, whatever its weights, once capped: the penalised layer cannot hand its size on."""
    block = Block(3, 0.0)
    with torch.no_grad():
        block.inner.weight.copy_(50 * random_weights(3, 3))
        block.outer.weight.copy_(50 * random_weights(3, 3, seed=1))
    block.cap()
    z_BH = random_weights(200, 3, seed=2)
    added_BH = block(z_BH).detach() - z_BH
    assert float((added_BH.norm(dim=1) / z_BH.norm(dim=1)).max()) <= 1 + 1e-6
    small = [layer.weight.clone() for layer in (block.inner, block.outer)]
    block.cap()
    torch.testing.assert_close([block.inner.weight, block.outer.weight], small)


def test_a_step_minimises_its_model_exactly() -> None:
    """<m, W> + |W - W0|^2 / (2 eta_g) + strength sum |W_g|: no subgradient is left over, for any gene."""
    W_GH, gradient_GH = random_weights(6, 3) / 10, random_weights(6, 3, seed=1)
    before_GH = W_GH.clone()
    GroupAdam(W_GH).step(gradient_GH, rate=0.1, strength=1.8)
    rate_G1 = 0.1 / (gradient_GH.square().mean(1, keepdim=True).sqrt() + 1e-8)
    model_GH = gradient_GH + (W_GH - before_GH) / rate_G1
    assert float(prox.distance(W_GH, model_GH, 1.8).max()) < 1e-5
    assert 0 < int((prox.norms(W_GH) == 0).sum()) < 6


def test_without_penalty_and_width_one_it_is_adam() -> None:
    """A second moment a gene is then one a weight."""
    W_GH = random_weights(6, 1)
    theirs = torch.nn.Parameter(W_GH.clone())
    ours, adam = GroupAdam(W_GH), torch.optim.Adam([theirs], lr=0.05, betas=(0.9, 0.99))
    for step in range(7):
        theirs.grad = random_weights(6, 1, seed=step + 1)
        ours.step(theirs.grad, 0.05, 0.0)
        adam.step()
    torch.testing.assert_close(W_GH, theirs.data)


@pytest.mark.parametrize("loss", ["mse", "weighted_mse"])
@pytest.mark.parametrize("batch_size", [64, 400])
def test_the_gradient_is_that_of_the_definition(planted, loss: str, batch_size: int) -> None:
    """n_genes / 2 times the mean loss over all cells, by finite differences, dropout off."""
    training = make_training(planted, loss=loss, batch_size=batch_size)
    network = training.network.double()
    network.W_GH.data.copy_(random_weights(80, 4).double() / 10)
    for block in training.blocks():
        block.outer.weight.data.copy_(random_weights(4, 4).double() / 5)
    t_CG = torch.from_numpy(planted.values.toarray()).double()

    def smooth(W_GH: torch.Tensor) -> float:
        network.W_GH.data.copy_(W_GH)
        error_CG = (network(t_CG) - t_CG).square()
        return float(40 * ((t_CG + 1) * error_CG if loss == "weighted_mse" else error_CG).mean())

    W_GH, step_GH = network.W_GH.detach().clone(), random_weights(80, 4, seed=3).double()
    network.eval()
    with torch.no_grad():
        want = (smooth(W_GH + 1e-5 * step_GH) - smooth(W_GH - 1e-5 * step_GH)) / 2e-5
    network.W_GH.data.copy_(W_GH)
    network.float()
    assert float((training.gradient() * step_GH).sum()) == pytest.approx(want, rel=1e-3)


def test_a_state_put_back_goes_on_alike(planted) -> None:
    """The same epoch after it, to the last bit, dropout included."""
    first, second = make_training(planted), make_training(planted)
    for number in (1, 2):
        first.epoch(number, 0.01, 0.1)
    second.restore(deepcopy(first.state()))
    assert second.epoch(3, 0.01, 0.1) == first.epoch(3, 0.01, 0.1)
    assert torch.equal(second.network.W_GH, first.network.W_GH)
    assert float(first.network.sizes().max()) > 0
