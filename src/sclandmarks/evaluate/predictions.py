"""Predictions of the test cells: by blocks of cells, or by blocks of genes over all cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from sclandmarks.learn.task import dense_pairs
from sclandmarks.matrix import Cells
from sclandmarks.predict.modules import ByOwnTotal, Constant, DGex, Kernel, LowRank, Network

MEMORY = 1 << 29  # bytes for one block of genes over all cells, with its ranks
PER_VALUE = 64  # bytes that each predicted value of a block takes at the peak: two values, ranks, places of a sort


class Block(NamedTuple):
    """Some targets of all test cells.

    Parameters
    ----------
    places : numpy.ndarray of int64, shape (n_rows,)
        Positions among the targets of the fit.
    p_TC, y_TC : torch.Tensor, shape (n_rows, n_cells), float32
        Predicted and measured.
    """

    places: np.ndarray
    p_TC: Tensor
    y_TC: Tensor


class Narrow(nn.Module):
    """A module that computes some of the outputs of another, and shares its weights.

    Parameters
    ----------
    module : torch.nn.Module
    outputs : torch.Tensor of int64
        Positions of the outputs.
    """

    def __init__(self, module: nn.Module, outputs: Tensor) -> None:
        super().__init__()
        self.module, self.outputs = module, outputs
        weights = dict(module.named_parameters()) | dict(module.named_buffers())
        self.parts = {name: weights[name].index_select(dim, outputs) for name, dim in output_weights(module).items()}

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return the chosen predictions, shape (B, n_outputs)."""
        if not self.parts:
            whole_BT: Tensor = self.module(x_BL)
            return whole_BT[:, self.outputs]
        some_BT: Tensor = functional_call(self.module, self.parts, (x_BL,))
        return some_BT


def output_weights(module: nn.Module) -> Mapping[str, int]:
    """Weights that have one entry an output -> the dimension of the outputs; empty for an unknown module."""
    if isinstance(module, ByOwnTotal):
        return {f"module.{name}": dim for name, dim in output_weights(module.module).items()}
    if isinstance(module, nn.Linear):
        return {"weight": 0, "bias": 0}
    if isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Linear):
        last = len(module) - 1
        return {f"{last}.weight": 0, f"{last}.bias": 0}
    if isinstance(module, DGex):
        return {f"layers.{name}": dim for name, dim in output_weights(module.layers).items()} | {
            "mean": 0,
            "deviation": 0,
        }
    if isinstance(module, Kernel | Network) and module.floor is not None:
        return {"B_RT": 1, "bias": 0, "floor": 0}
    if isinstance(module, LowRank | Kernel | Network):
        return {"B_RT": 1, "bias": 0}
    return {"bias": 0} if isinstance(module, Constant) else {}


@torch.no_grad()
def gene_blocks(
    module: nn.Module, test: Cells, inputs: Tensor, outputs: Tensor, device: torch.device, memory: int = MEMORY
) -> Iterator[Block]:
    """Predict blocks of targets for all test cells, as many genes at once as fit the memory.

    Only the last layer is narrowed to the block, so that the work of all blocks grows as cells x genes; what comes
    before it is done again for each block.

    Parameters
    ----------
    module : torch.nn.Module
    test : Cells
    inputs, outputs : torch.Tensor of int64
        Columns of the inputs and of the targets.
    device : torch.device
    memory : int
        Bytes.
    """
    n_rows = max(1, memory // (PER_VALUE * max(test.n_cells, 1)))
    for start in range(0, len(outputs), n_rows):
        places = torch.arange(start, min(start + n_rows, len(outputs)))
        part = Narrow(module.to(device).eval(), places.to(device))
        found = [
            (part(x_BL).cpu(), y_BT.cpu())
            for x_BL, y_BT in dense_pairs(test.in_order(), inputs, outputs[places], device)
        ]
        p_TC, y_TC = (torch.cat(parts).T.contiguous() for parts in zip(*found, strict=True))
        yield Block(places.numpy(), p_TC, y_TC)
