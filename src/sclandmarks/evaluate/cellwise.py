"""What is summed up or correlated within each test cell, gathered in one pass over blocks of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn

from sclandmarks.errors import DataError
from sclandmarks.evaluate.ranks import average_ranks, centre, centred_correlations
from sclandmarks.evaluate.targets import BoolArray
from sclandmarks.learn.task import Pair
from sclandmarks.matrix import to_torch

FloatArray = NDArray[np.float64]
Ranker = Callable[[str, int, Tensor], Tensor]


@dataclass(frozen=True)
class CellErrors:
    """Errors of one fit on one set of targets, in each test cell.

    Parameters
    ----------
    n_targets : int
    sse_C, weighted_C, absolute_C : numpy.ndarray, shape (n_cells,)
        Summed over targets: (p - t)^2, (t + 1)(p - t)^2 and |p - t|.
    pearson_C, spearman_C : numpy.ndarray, shape (n_cells,)
        Correlation of predicted and measured values over the targets; NaN where a cell's targets do not vary.
    """

    n_targets: int
    sse_C: FloatArray
    weighted_C: FloatArray
    absolute_C: FloatArray
    pearson_C: FloatArray
    spearman_C: FloatArray


@dataclass(frozen=True)
class CellPass:
    """All that one pass over blocks of cells gives.

    Parameters
    ----------
    errors : dict of str to CellErrors
        Target set -> errors.
    pair_CS : numpy.ndarray, shape (n_cells, n_sets)
        Squared errors summed over each pair set of targets.
    scores_CK : numpy.ndarray, shape (n_cells, n_components)
        Imputed cells (panel as measured, targets as predicted) on given loadings.
    """

    errors: dict[str, CellErrors]
    pair_CS: FloatArray
    scores_CK: FloatArray


class CellSums:
    """Adds up what `CellPass` holds.

    Parameters
    ----------
    sets : mapping of str to numpy.ndarray of bool, shape (n_targets,)
        Target set -> which targets are in it.
    pairs_TS : numpy.ndarray of bool, shape (n_targets, n_sets)
        Pair sets.
    loadings : tuple of torch.Tensor
        Of the panel genes and of the targets, shapes (n_landmarks, K) and (n_targets, K).
    rank : callable, optional
        Target set, first cell of a block and its measured values -> `centred_ranks` of these.
    """

    def __init__(
        self, sets: Mapping[str, BoolArray], pairs_TS: BoolArray, loadings: tuple[Tensor, Tensor],
        rank: Ranker = lambda _, __, y_BS: centred_ranks(y_BS),
    ) -> None:  # fmt: skip
        self.rank, self._n_cells = rank, 0
        self.places = {name: torch.from_numpy(np.flatnonzero(mask_T)) for name, mask_T in sets.items()}
        self.pairs_TS, self.loadings = torch.from_numpy(pairs_TS).float(), loadings
        self._parts: dict[str, list[Tensor]] = {name: [] for name in sets}
        self._pairs: list[Tensor] = []
        self._scores: list[Tensor] = []

    def add(self, x_BL: Tensor, p_BT: Tensor, y_BT: Tensor) -> None:
        """Add a block: panel values, predictions and measured values."""
        square_BT = (p_BT - y_BT).square()
        for name, places in self.places.items():
            p_BS, y_BS, square_BS = (
                values if len(places) == values.shape[1] else values[:, places] for values in (p_BT, y_BT, square_BT)
            )
            y_rank = self.rank(name, self._n_cells, y_BS)
            self._parts[name].append(_within_cells(p_BS, y_BS, square_BS, y_rank))
        self._n_cells += len(p_BT)
        self._pairs.append(square_BT @ self.pairs_TS)
        self._scores.append(x_BL @ self.loadings[0] + p_BT @ self.loadings[1])

    def result(self) -> CellPass:
        """Return the sums of every set of targets."""
        errors = {
            name: CellErrors(len(self.places[name]), *torch.cat(parts, dim=1).numpy())
            for name, parts in self._parts.items()
        }
        return CellPass(errors, torch.cat(self._pairs).double().numpy(), torch.cat(self._scores).double().numpy())


def centred_ranks(values_BS: Tensor) -> Tensor:
    """Ranks within every row, centred; same shape."""
    return centre(average_ranks(values_BS))


def _within_cells(p_BS: Tensor, y_BS: Tensor, square_BS: Tensor, y_rank: Tensor) -> Tensor:
    """Sums and correlations of every cell of a block, shape (5, B), float64."""
    sums = [part.sum(1, dtype=torch.float64) for part in (square_BS, (y_BS + 1) * square_BS, (p_BS - y_BS).abs())]
    if p_BS.shape[1] < 2:
        return torch.stack([*sums, *[torch.full_like(sums[0], torch.nan)] * 2])
    linear = centred_correlations(centre(p_BS), centre(y_BS))
    return torch.stack([*sums, linear, centred_correlations(centred_ranks(p_BS), y_rank)])


@torch.no_grad()
def gather_cells(module: nn.Module, pairs: Iterable[Pair], sums: CellSums, device: torch.device) -> CellPass:
    """Predict every block of test cells and return what is summed up in them.

    Raises
    ------
    DataError
        If a prediction is NaN or infinite.
    """
    module.to(device).eval()
    for x_BL, y_BT in pairs:
        sums.add(x_BL.cpu(), _finite(module(x_BL).cpu()), y_BT.cpu())
    module.cpu()
    return sums.result()


def _finite(p_BT: Tensor) -> Tensor:
    if not bool(p_BT.isfinite().all()):
        raise DataError(
            "predictions that are finite numbers",
            f"{int((~p_BT.isfinite()).sum())} of {p_BT.numel()} that are NaN or infinite",
            "Fit it again with a smaller learning rate or more regularisation, or take it out of fits in params.yaml.",
        )
    return p_BT


def baselines(blocks: Iterable[sparse.csr_matrix], mean_G: Tensor, sets_GS: BoolArray) -> FloatArray:
    """Squared errors of the training means in every cell, summed over each set of genes, shape (n_cells, n_sets)."""
    mask_GS = torch.from_numpy(sets_GS).float()
    return torch.cat([(to_torch(block) - mean_G).square() @ mask_GS for block in blocks]).double().numpy()
