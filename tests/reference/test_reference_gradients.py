"""Gradients of the losses and of the study's penalty against finite differences."""

from __future__ import annotations

import pytest
import torch

from sclandmarks.learn.layers import paper_layers, seeded
from sclandmarks.learn.losses import LOSSES
from sclandmarks.select.paper import PenalisedLearner


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_the_losses(name: str) -> None:
    """With respect to predictions, at targets of zero too."""
    generator = torch.Generator().manual_seed(0)
    p_BT = torch.randn(4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    t_BT = torch.rand(4, 3, generator=generator, dtype=torch.float64).round(decimals=1).clamp(min=0.3) - 0.3
    assert torch.autograd.gradcheck(lambda p: LOSSES[name](p, t_BT), p_BT)


def test_gradients_of_loss_and_penalty() -> None:
    """Of the whole objective, with respect to every weight: backward against central differences."""
    module = seeded(lambda: paper_layers(4, 4, width=3, depth=1, dropout=0.0), 0).double()
    learner = PenalisedLearner(module, None, None, "weighted_mse", 0)
    learner.penalty = 0.7
    x_BL = torch.rand(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    learner.objective(x_BL, x_BL).backward()
    for weight in module.parameters():
        flat, numeric = weight.data.view(-1), []
        for place in range(len(flat)):
            ends = []
            for step in (1e-6, -2e-6):
                flat[place] += step
                ends.append(learner.objective(x_BL, x_BL).item())
            flat[place] += 1e-6
            numeric.append((ends[0] - ends[1]) / 2e-6)
        torch.testing.assert_close(
            weight.grad.view(-1), torch.tensor(numeric, dtype=torch.float64), rtol=1e-5, atol=1e-7
        )
    norms = module[0].weight.detach().square().sum(dim=0).sqrt().sum().item()
    with_penalty = learner.objective(x_BL, x_BL).item()
    learner.penalty = 0.0
    assert with_penalty - learner.objective(x_BL, x_BL).item() == pytest.approx(0.7 * norms)
