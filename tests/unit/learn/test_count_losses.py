"""Likelihoods of counts against scipy, and their gradients against central differences."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from sclandmarks.learn.count_link import Link, make_link
from sclandmarks.learn.count_losses import count_loss, likelihood, negative_binomial, poisson
from sclandmarks.learn.counts import ValueScale
from sclandmarks.learn.layers import above_zero

THETAS = (0.25, 2.0, 64.0)
N_B1 = torch.tensor([[0.0], [1.0], [3.0], [40.0], [2000.0]]).double()
MEAN_T = torch.tensor([1e-4, 0.3, 1.0, 12.0, 900.0]).double()


def link_of(thetas: tuple[float, ...]) -> Link:
    """Tables in float64, for cells of three depths."""
    made = make_link(thetas, ValueScale(10.0, 1e4, np.array([0.2, 0.5, 1.5])))
    return Link(made.theta_K.double(), made.rate_KU.double(), made.slope_KU.double(), made.step)


@pytest.mark.parametrize("theta", [None, 0.03, 1.0, 128.0])
def test_losses_are_the_log_likelihoods_of_scipy(theta: float | None) -> None:
    """Differences between means, so that what depends on counts alone falls out."""
    n_BT, mean_BT = N_B1.expand(5, 5), MEAN_T.expand(5, 5)
    loss_BT = poisson(mean_BT, n_BT)[0] if theta is None else negative_binomial(mean_BT, n_BT, torch.tensor(theta))[0]
    law = stats.poisson(MEAN_T) if theta is None else stats.nbinom(theta, theta / (theta + MEAN_T.numpy()))
    want_BT = -torch.from_numpy(law.logpmf(N_B1.numpy()))
    torch.testing.assert_close(loss_BT.diff(dim=1), want_BT.diff(dim=1), rtol=1e-6, atol=1e-6)


def test_the_negative_binomial_of_a_large_size_is_poisson() -> None:
    """In loss and derivative, up to a constant that depends on counts alone."""
    n_BT, mean_BT = N_B1[:4].expand(4, 4), MEAN_T[:4].expand(4, 4)
    first, second = poisson(mean_BT, n_BT), negative_binomial(mean_BT, n_BT, torch.tensor(1e9).double())
    torch.testing.assert_close(first[0], second[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(first[1], second[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("theta", [None, 0.2, 30.0])
def test_derivatives_by_the_mean(theta: float | None) -> None:
    """Those that are returned are those of autograd."""
    mean_BT = MEAN_T.expand(5, 5).clone().requires_grad_()
    n_BT = N_B1.expand(5, 5)
    loss_BT, got = (
        poisson(mean_BT, n_BT) if theta is None else negative_binomial(mean_BT, n_BT, torch.tensor(theta).double())
    )
    torch.testing.assert_close(torch.autograd.grad(loss_BT.sum(), mean_BT)[0], got, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("thetas", [(math.inf,), THETAS])
def test_gradients_by_the_outputs(thetas: tuple[float, ...]) -> None:
    """Of members, from below zero to large values, against central differences."""
    rng = torch.Generator().manual_seed(0)
    u_EBT = (torch.rand(2, 3, 6, generator=rng).double() * 2 - 0.3).requires_grad_()
    n_BT = torch.poisson(torch.full((3, 6), 2.0), generator=rng).double()
    depth_B1, floor_T = torch.tensor([[0.2], [0.7], [2.0]]).double(), torch.full((6,), 0.05).double()
    link, row_T = link_of(thetas), torch.arange(6) % len(thetas)

    def loss(u: torch.Tensor) -> torch.Tensor:
        return count_loss(u, floor_T, n_BT, depth_B1, link, row_T)

    assert torch.autograd.gradcheck(loss, u_EBT, eps=1e-7, atol=1e-5)


def test_the_loss_is_the_mean_over_members_cells_and_targets() -> None:
    """Each member's own loss, at the rate that the link gives and the cell's depth."""
    u_EBT, n_BT = torch.rand(2, 3, 4).double(), torch.tensor([[0.0, 1, 2, 5]]).double().expand(3, 4)
    depth_B1, floor_T, row_T = torch.tensor([[0.3], [1.0], [2.0]]).double(), torch.full((4,), 0.01), torch.arange(4) % 3
    link = link_of(THETAS)
    got = count_loss(u_EBT, floor_T, n_BT, depth_B1, link, row_T)
    rate_EBT, _ = link.rates(above_zero(u_EBT, floor_T), row_T)
    want = negative_binomial(rate_EBT * depth_B1, n_BT, link.theta_K[row_T])[0].mean()
    assert got.item() == pytest.approx(want.item(), rel=1e-9)


def test_blocks_of_targets_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradient of 50 targets, 16 at a time and at once."""
    rng = torch.Generator().manual_seed(2)
    n_BT = torch.poisson(torch.full((4, 50), 1.5), generator=rng).double()
    link, row_T, found = link_of(THETAS), torch.arange(50) % 3, []
    start_EBT = torch.rand(2, 4, 50, generator=rng).double()
    for size in (1, 2**20):
        monkeypatch.setattr("sclandmarks.learn.count_losses.BLOCK_VALUES", size)
        u_EBT = start_EBT.clone().requires_grad_()
        loss = count_loss(u_EBT, torch.full((50,), 0.01).double(), n_BT, torch.ones(4, 1).double(), link, row_T)
        found.append((loss, *torch.autograd.grad(loss, u_EBT)))
    for blocks, whole in zip(*found, strict=True):
        torch.testing.assert_close(blocks, whole, rtol=1e-10, atol=1e-14)


def test_a_gradient_far_below_zero_is_finite() -> None:
    """In float32, where a count meets a prediction of less than nothing: it pulls up, and by no more than 1 / floor."""
    made = make_link(THETAS, ValueScale(10.0, 1e4, np.array([0.5, 1.0])))
    u_EBT = torch.full((1, 1, 3), -4.0, requires_grad=True)
    floor_T = torch.full((3,), 1e-3)
    count_loss(u_EBT, floor_T, torch.full((1, 3), 5.0), torch.ones(1, 1), made, torch.arange(3)).backward()
    assert u_EBT.grad.isfinite().all()
    assert (u_EBT.grad < 0).all()
    assert (u_EBT.grad.abs() <= 5 / 1e-3).all()


def test_the_likelihood_of_sizes_is_that_of_scipy() -> None:
    """Differences between sizes, gene by gene."""
    link, rng = link_of(THETAS), torch.Generator().manual_seed(1)
    u_BT = torch.rand(20, 5, generator=rng).double() + 0.05
    n_BT = torch.poisson(torch.full((20, 5), 3.0), generator=rng).double()
    depth_B1 = torch.rand(20, 1, generator=rng).double() + 0.1
    got = [likelihood(u_BT, n_BT, depth_B1, link, row) for row in range(3)]
    want = []
    for row, theta in enumerate(THETAS):
        rate_BT, _ = link.rates(u_BT, torch.full((5,), row))
        law = stats.nbinom(theta, theta / (theta + (rate_BT * depth_B1).numpy()))
        want.append(torch.from_numpy(law.logpmf(n_BT.numpy())).sum(0))
    for (a, b), (c, d) in zip(pairwise(got), pairwise(want), strict=True):
        torch.testing.assert_close(b - a, d - c, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("output", [math.nan, math.inf, 1e12])
def test_outputs_that_diverge_give_a_loss_that_says_so(output: float) -> None:
    """Training ends with its own error, not with a place outside the tables."""
    u_EBT = torch.full((1, 2, 3), output, dtype=torch.float64)
    row_T = torch.zeros(3, dtype=torch.int64)
    n_BT, depth_B1 = torch.ones(2, 3).double(), torch.ones(2, 1).double()
    loss = count_loss(u_EBT, torch.full((3,), 0.1).double(), n_BT, depth_B1, link_of((math.inf,)), row_T)
    assert not math.isfinite(float(loss)) or float(loss) > 1e12
