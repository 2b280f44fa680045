"""Fits whose predictions are known: a table of them behind a row number."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import sparse

from sclandmarks.matrix import MemoryBatches


class Table(torch.nn.Module):
    """Predicts what stands behind the first input, a row number."""

    def __init__(self, p_CT: torch.Tensor) -> None:
        super().__init__()
        self.p_CT = p_CT

    def forward(self, x_BL: torch.Tensor) -> torch.Tensor:
        """Look the rows up."""
        return self.p_CT[x_BL[:, 0].long()]


class Known(NamedTuple):
    """A fit of the targets 1, 2, ... from gene 0, which holds the number of the cell."""

    module: Table
    test: MemoryBatches
    inputs: torch.Tensor
    outputs: torch.Tensor


@pytest.fixture(scope="session")
def know() -> Callable[..., Known]:
    """Make a fit of these predictions and measured values, shape (n_cells, n_targets)."""

    def made(p_CT: np.ndarray, y_CT: np.ndarray, block: int = 17) -> Known:
        number_C1 = np.arange(len(y_CT))[:, None]
        X_CG = sparse.csr_matrix(np.hstack([number_C1, y_CT]).astype(np.float32))
        outputs = torch.arange(1, y_CT.shape[1] + 1)
        module = Table(torch.from_numpy(p_CT.astype(np.float32)))
        return Known(module, MemoryBatches(X_CG, block), torch.tensor([0]), outputs)

    return made
