"""The loss on a head's predictions by blocks of targets, against the plain one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sclandmarks.learn import blocked
from sclandmarks.learn.blocked import SLOPES, head_loss
from sclandmarks.learn.losses import LOSSES, LossName

EVERY = pytest.mark.parametrize("loss", SLOPES)


def problem(n_members: int = 2, n_cells: int = 5, rank: int = 3, n_targets: int = 70) -> tuple[Tensor, ...]:
    """Codes, head and bias that learn, and targets of which many are zero."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    learned = normal(n_members, n_cells, rank), normal(rank, n_targets), normal(n_targets)
    return *(each.requires_grad_() for each in learned), normal(n_cells, n_targets).relu()


def plain(loss: LossName, codes_EBR: Tensor, B_RT: Tensor, bias: Tensor, t_BT: Tensor) -> Tensor:
    """All predictions at once, by the loss itself."""
    return LOSSES[loss](codes_EBR @ B_RT + bias, t_BT)


@EVERY
@pytest.mark.parametrize("shape", [(2, 5, 3, 70), (1, 1, 1, 1), (3, 7, 4, 16), (1, 4, 2, 33)])
def test_value_and_gradients_are_those_of_the_plain_loss(
    loss: LossName, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the blocks (of 16 targets) fill the targets, and times what follows."""
    monkeypatch.setattr(blocked, "BLOCK_VALUES", 1)
    *learned, t_BT = problem(*shape)
    got, want = 3 * head_loss(*learned, t_BT, SLOPES[loss]), 3 * plain(loss, *learned, t_BT)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, learned), torch.autograd.grad(want, learned))


@EVERY
def test_gradients_against_differences(loss: LossName) -> None:
    """Of codes, head and bias."""
    *learned, t_BT = problem(n_targets=4)
    assert torch.autograd.gradcheck(lambda *each: head_loss(*each, t_BT, SLOPES[loss]), learned)


@EVERY
def test_nothing_given_is_written_to(loss: LossName) -> None:
    """Blocks of targets are views."""
    given = problem()
    before = [each.detach().clone() for each in given]
    head_loss(*given, SLOPES[loss]).backward()
    torch.testing.assert_close([each.detach() for each in given], before, rtol=0, atol=0)


@EVERY
def test_the_width_of_the_blocks_changes_nothing(loss: LossName, monkeypatch: pytest.MonkeyPatch) -> None:
    """But the last digits."""
    *learned, t_BT = problem(n_targets=100)
    once = head_loss(*learned, t_BT, SLOPES[loss])
    monkeypatch.setattr(blocked, "BLOCK_VALUES", 200)
    torch.testing.assert_close(head_loss(*learned, t_BT, SLOPES[loss]), once)
