"""The study's network, shared by its selection and its prediction."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def paper_layers(n_inputs: int, n_outputs: int, width: int, depth: int, dropout: float) -> nn.Sequential:
    """Build the study's network: `depth` blocks of Linear, Dropout, ReLU, then Linear."""
    sizes = [n_inputs] + [width] * depth
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.Dropout(dropout), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))


def seeded(make: Callable[[], Module], seed: int) -> Module:
    """Call `make` with torch's random stream seeded, and leave the stream as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def cuda_devices(device: torch.device) -> list[int]:
    """CUDA devices whose random stream must be kept, for torch.random.fork_rng."""
    return [device.index or 0] if device.type == "cuda" else []


def above_zero(u_BT: Tensor, floor_T: Tensor) -> Tensor:
    """Bend values above zero: (u + sqrt(u^2 + floor^2)) / 2, half a floor at 0 and u where u is many floors."""
    large_BT = (u_BT.abs() + torch.sqrt(u_BT * u_BT + floor_T * floor_T)) / 2
    return torch.where(u_BT >= 0, large_BT, floor_T * floor_T / (4 * large_BT))
