"""A module narrowed to some of its targets predicts these as the whole one does, for every kind of module."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from sclandmarks.evaluate.predictions import Narrow, output_weights
from sclandmarks.predict.modules import Kind, Spec, build

SIZES = {"width": 9, "depth": 1, "rank": 3, "members": 2}
WHOLE = ("nearest",)  # kinds without weights of the targets, which predict all and keep some


def filled(spec: Spec) -> torch.nn.Module:
    """Build a module and fill every weight and buffer with numbers."""
    module, generator = build(spec), torch.Generator().manual_seed(0)
    module.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in module.state_dict().items()})
    return module.eval()


def test_the_step_before_a_module_does_not_matter() -> None:
    """A panel normalised by its own total goes before the same weights."""
    plain, own = filled(Spec("kernel", 5, 7, **SIZES)), filled(Spec("kernel", 5, 7, panel_total=True, **SIZES))
    assert output_weights(own) == {f"module.{name}": dim for name, dim in output_weights(plain).items()}
    x_BL, some = torch.rand(4, 5), torch.tensor([6, 0, 3])
    torch.testing.assert_close(Narrow(own, some)(x_BL), own(x_BL)[:, some])


@pytest.mark.parametrize("kind", get_args(Kind))
def test_some_targets_are_predicted_as_among_all(kind: Kind) -> None:
    """In the order asked for; the weights of the whole module stay as they are."""
    module, x_BL, some = filled(Spec(kind, 5, 7, **SIZES)), torch.rand(4, 5), torch.tensor([6, 0, 3])
    whole_BT = module(x_BL)
    torch.testing.assert_close(Narrow(module, some)(x_BL), whole_BT[:, some])
    assert torch.equal(module(x_BL), whole_BT)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_only_the_last_layer_of_these_targets_is_computed(kind: Kind) -> None:
    """All that has an entry a target is named, along its dimension of seven."""
    module = filled(Spec(kind, 5, 7, **SIZES))
    named, state = output_weights(module), module.state_dict()
    assert {name: state[name].shape[dim] for name, dim in named.items()} == dict.fromkeys(named, 7)
    assert named.keys() == (set() if kind in WHOLE else {name for name, value in state.items() if 7 in value.shape})
