"""Every kind of module: built from its spec, filled with weights, exported."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from sclandmarks.predict.modules import Kind, Spec, build, log_least

SPECS = {
    "constant": Spec("constant", 5, 7),
    "linear": Spec("linear", 5, 7),
    "low_rank": Spec("low_rank", 5, 7, rank=2),
    "nearest": Spec("nearest", 5, 7, width=9, rank=3),
    "kernel": Spec("kernel", 5, 7, width=9, rank=2, axes=3),
    "paper_network": Spec("paper_network", 5, 7, width=6, depth=2, dropout=0.4),
    "d_gex": Spec("d_gex", 5, 7, width=6, depth=2, dropout=0.4),
    "kernel above zero": Spec("kernel", 5, 7, width=9, rank=2, axes=3, positive=True),
    "adapted kernel": Spec("kernel", 5, 7, width=9, rank=2, axes=3, adaptive=True),
    "positive": Spec("network", 5, 7, width=6, depth=2, rank=3, members=2, positive=True),
    "network": Spec("network", 5, 7, width=6, depth=2, rank=3, dropout=0.4, input_dropout=0.2, members=2),
}


def filled(spec: Spec) -> torch.nn.Module:
    """Build a module and fill every weight and buffer with numbers."""
    module = build(spec)
    generator = torch.Generator().manual_seed(0)
    module.load_state_dict({k: torch.rand(v.shape, generator=generator) for k, v in module.state_dict().items()})
    return module.eval()


def test_every_kind_has_a_spec_here() -> None:
    """So that a new kind is tested."""
    assert {spec.kind for spec in SPECS.values()} == set(get_args(Kind))


@pytest.mark.parametrize("kind", SPECS)
def test_spec_and_weights_are_the_whole_module(kind: str) -> None:
    """Built again and given the weights, it predicts the same."""
    module, x_BL = filled(SPECS[kind]), torch.rand(3, 5)
    again = build(SPECS[kind], seed=99)
    again.load_state_dict(module.state_dict())
    predicted_BT = module(x_BL)
    assert predicted_BT.shape == (3, 7)
    assert predicted_BT.dtype == torch.float32
    assert torch.equal(again.eval()(x_BL), predicted_BT)


@pytest.mark.parametrize("kind", SPECS)
def test_building_is_seeded_and_leaves_torchs_stream(kind: str) -> None:
    """The same seed gives the same start, and nobody else's numbers change."""
    before = torch.get_rng_state()
    first, again = build(SPECS[kind], seed=3).state_dict(), build(SPECS[kind], seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("kind", SPECS)
def test_exports_for_any_number_of_cells(kind: str) -> None:
    """torch.export with a dynamic batch, as the tracker keeps models."""
    module = filled(SPECS[kind])
    batch = torch.export.Dim("batch")
    exported = torch.export.export(module, (torch.rand(4, 5),), dynamic_shapes=({0: batch},)).module()
    for n_cells in (2, 9):
        x_BL = torch.rand(n_cells, 5)
        torch.testing.assert_close(exported(x_BL), module(x_BL))


def test_formulas_by_hand() -> None:
    """Constant and low rank, from their weights."""
    x_BL = torch.rand(3, 5)
    constant, low_rank = filled(SPECS["constant"]), filled(SPECS["low_rank"])
    torch.testing.assert_close(constant(x_BL), constant.bias.expand(3, 7))
    want_BT = (x_BL - low_rank.center) @ (low_rank.A_LR @ low_rank.B_RT) + low_rank.bias
    torch.testing.assert_close(low_rank(x_BL), want_BT)


def test_kernel_by_hand() -> None:
    """Gaussians of the squared distances of scaled cells, and of their scores beside the depth; two linear maps."""
    module, x_BL = filled(SPECS["kernel"]), torch.rand(3, 5)
    z_BL = (x_BL - module.center) * module.scale
    depth_B1 = (x_BL.min(1, keepdim=True).values.log() - module.depth[0]) * module.depth[1]
    u_BA = torch.cat([z_BL @ module.V_LA, depth_B1.clamp(-3, 3) * module.depth[2]], 1)
    pairs = ((module.gamma, z_BL, module.Z_KL), (module.gamma_axes, u_BA, module.U_KA))
    alike_BK = sum(torch.exp(-gamma * torch.cdist(z, Z).square()) for gamma, z, Z in pairs) / 2
    want_BT = (alike_BK @ module.A_KR - module.offset) @ module.B_RT + module.bias
    torch.testing.assert_close(module(x_BL), want_BT)


def test_the_least_positive_value_of_a_cell() -> None:
    """Zeros are no values; a cell of zeros alone has a finite one, above all others."""
    least_B1 = log_least(torch.tensor([[0.0, 0.5, 0.2], [0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]))
    torch.testing.assert_close(least_B1[[0, 2]], torch.tensor([[0.2], [3.0]]).log())
    assert least_B1[2] < least_B1[1] < torch.inf


def test_our_network_by_hand() -> None:
    """A linear path, and the mean of members with residual blocks, before a common head."""
    module, x_BL = filled(SPECS["network"]), torch.rand(3, 5) - 0.5
    weights = module.state_dict()
    deviation_BL, members = x_BL - weights["center"], []
    for e in range(2):
        hidden_BH = (deviation_BL * weights["scale"] @ weights["first_ELH"][e] + weights["c_EH"][e]).clamp(min=0)
        for i in range(2):
            inner_BH = hidden_BH @ weights[f"blocks.{i}.W_EHH"][e] + weights[f"blocks.{i}.c_EH"][e]
            hidden_BH = hidden_BH + inner_BH.clamp(min=0)
        members.append(weights["unit"] * hidden_BH @ weights["last_EHR"][e])
    codes_BR = deviation_BL @ weights["A_LR"] + (members[0] + members[1]) / 2
    torch.testing.assert_close(module(x_BL), codes_BR @ weights["B_RT"] + weights["bias"])
