"""Some outputs of a module, computed alone."""

from __future__ import annotations

import pytest
import torch

from sclandmarks.evaluate.predictions import Narrow, output_weights
from sclandmarks.predict.modules import Spec, build

SPECS = {
    "constant": Spec("constant", 5, 7),
    "linear": Spec("linear", 5, 7),
    "low_rank": Spec("low_rank", 5, 7, rank=2),
    "nearest": Spec("nearest", 5, 7, width=9, rank=3),
    "kernel": Spec("kernel", 5, 7, width=9, rank=2),
    "paper_network": Spec("paper_network", 5, 7, width=6, depth=2),
    "network": Spec("network", 5, 7, width=6, depth=1, rank=3, members=2),
    "adapted kernel": Spec("kernel", 5, 7, width=9, rank=2, axes=3, adaptive=True),
    "kernel above zero": Spec("kernel", 5, 7, width=9, rank=2, positive=True),
    "positive": Spec("network", 5, 7, width=6, depth=1, rank=3, members=2, positive=True),
}


@pytest.mark.parametrize("name", SPECS)
@torch.no_grad()
def test_a_narrow_module_gives_those_columns(name: str) -> None:
    """In the order asked for, and with the last layer alone narrowed where its weights are known."""
    module, places = build(SPECS[name], seed=1).eval(), torch.tensor([6, 0, 3])
    for weight in module.state_dict().values():
        weight.copy_(torch.rand(weight.shape, generator=torch.Generator().manual_seed(2)))
    x_BL = torch.rand(4, 5)
    torch.testing.assert_close(Narrow(module, places)(x_BL), module(x_BL)[:, places])
    assert bool(output_weights(module)) == (name != "nearest")
