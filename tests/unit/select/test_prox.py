"""The group-lasso penalty: its four small functions by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sclandmarks.select import prox

W_GH = torch.tensor([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])


def test_value_is_the_weighted_sum_of_norms() -> None:
    """2 x (5 + 0.5 + 0)."""
    assert prox.value(W_GH, 2.0) == pytest.approx(11.0)
    assert prox.norms(W_GH).tolist() == pytest.approx([5.0, 0.5, 0.0])


def test_prox_shortens_groups_and_gives_exact_zeros() -> None:
    """A group longer than the threshold keeps its direction, a shorter one is zero to the last bit."""
    got = prox.prox(W_GH, 1.0)
    torch.testing.assert_close(got[0], torch.tensor([2.4, 3.2]))
    assert torch.equal(got[1:], torch.zeros(2, 2))


def test_prox_at_its_borders() -> None:
    """A threshold of a group's very norm empties it; no threshold changes nothing."""
    assert torch.count_nonzero(prox.prox(W_GH, 5.0)) == 0
    assert torch.equal(prox.prox(W_GH, 0.0), W_GH)


def test_distance_to_the_subdifferential() -> None:
    """Zero at the optimum of every group; else how far the gradient is from it."""
    optimal_GH = -2.0 * torch.tensor([[0.6, 0.8], [0.6, -0.8], [0.3, 0.4]])
    torch.testing.assert_close(prox.distance(W_GH, optimal_GH, 2.0), torch.zeros(3), rtol=0, atol=1e-6)
    wrong_GH = torch.tensor([[0.0, 0.0], [0.6, -0.8], [0.0, 7.0]])
    want = [2.0, math.hypot(1.8, 2.4), 5.0]
    assert prox.distance(W_GH, wrong_GH, 2.0).tolist() == pytest.approx(want)
