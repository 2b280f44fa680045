"""Dropout by bytes, and the ReLU layer with it, against their plain forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sclandmarks.predict.dropout import ByteDropout, relu_layer


@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_dropout_drops_its_part_and_keeps_the_mean(p: float) -> None:
    """Each value by itself, to the chance of a hundred thousand; nothing in eval mode, and by torch's seed."""
    dropout, ones = ByteDropout(p), torch.ones(100, 1003)
    torch.manual_seed(0)
    first = dropout(ones)
    torch.manual_seed(0)
    assert torch.equal(dropout(ones), first)
    assert float((first == 0).float().mean()) == pytest.approx(p, abs=0.01)
    assert float(first.mean()) == pytest.approx(1, abs=0.02)
    for axis in (0, 1):
        assert float(((first == 0).float().mean(axis) - p).abs().max()) < 0.25
    assert torch.equal(dropout.eval()(ones), ones)


def test_zeros_are_where_the_bytes_are_small() -> None:
    """The part of values that stays is multiplied by the factor, and nothing else happens to it."""
    dropout, x = ByteDropout(0.3), torch.randn(7, 9)
    torch.manual_seed(0)
    noise = dropout.noise(x)
    assert noise is not None
    torch.manual_seed(0)
    torch.testing.assert_close(dropout(x), torch.where(noise >= dropout.n_dropped, x * dropout.factor, 0.0))


def test_copies_have_zeros_of_their_own() -> None:
    """In eval mode they are the values themselves."""
    dropout, ones = ByteDropout(0.5), torch.ones(40, 50)
    first, second = dropout(ones, 2)
    assert 0.4 < float((first == second).float().mean()) < 0.6
    assert torch.equal(dropout.eval()(ones, 2), torch.ones(2, 40, 50))


def layer(p: float) -> tuple[list[Tensor], ByteDropout]:
    """Inputs, weights and biases of two members, and dropout."""
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 6, 5), (2, 5, 7), (2, 1, 7)
    values = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    return values, ByteDropout(p)


def plain(x_EBI: Tensor, W_EIO: Tensor, c_EO: Tensor, dropout: ByteDropout) -> Tensor:
    """The layer as it is written in books."""
    h_EBO = torch.relu(x_EBI @ W_EIO + c_EO)
    noise = dropout.noise(h_EBO)
    return h_EBO if noise is None else h_EBO * (noise >= dropout.n_dropped) * dropout.factor


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7])
def test_the_layer_is_the_plain_one(p: float) -> None:
    """Values and gradients, by the same seed."""
    values, dropout = layer(p)
    found = []
    for form in (relu_layer, plain):
        torch.manual_seed(1)
        h_EBO = form(*values, dropout)
        found.append((h_EBO, *torch.autograd.grad((h_EBO * torch.arange(7)).square().sum(), values)))
    torch.testing.assert_close(found[0], found[1])
    assert (found[0][0] == 0).any()


def test_gradients_of_the_layer_against_differences() -> None:
    """With the noise held still."""
    values, dropout = layer(0.4)

    def still(*each: Tensor) -> Tensor:
        torch.manual_seed(2)
        return relu_layer(*each, dropout)

    assert torch.autograd.gradcheck(still, values)


def test_inputs_that_learn_nothing_get_no_gradient() -> None:
    """The first layer's inputs are data."""
    (x_EBI, W_EIO, c_EO), dropout = layer(0.4)
    relu_layer(x_EBI.detach(), W_EIO, c_EO, dropout).sum().backward()
    assert x_EBI.grad is None
    assert W_EIO.grad is not None
