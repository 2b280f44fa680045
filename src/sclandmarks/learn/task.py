"""What is to be learned, and how learning reports and is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import polars as pl
import torch
from scipy import sparse
from torch import Tensor

from sclandmarks import schema
from sclandmarks.errors import DataError, PanelError
from sclandmarks.matrix import Batches, Cells, to_torch
from sclandmarks.params import LogBase


class Pair(NamedTuple):
    """Panel and targets of some cells, dense on the device."""

    x_BL: Tensor
    y_BT: Tensor


@dataclass(frozen=True)
class Task:
    """What is to be learned: panel genes in, target genes out.

    Parameters
    ----------
    train, validation : Batches
        Training cells, and the held-back cells for early stopping and every choice.
    inputs : torch.Tensor, shape (n_landmarks,), int64
        Columns of the panel genes.
    outputs : torch.Tensor, shape (n_targets,), int64
        Columns of the target genes.
    device : torch.device
    log_base : {2, 10, "e"}, optional
        Of the values, which are log(1 + rate); predictors with `panel_total` need it.
    counts : Batches, optional
        Raw counts of the training cells in the same order, for losses on counts.

    Raises
    ------
    PanelError
        If there is no input or no output.
    DataError
        If there are no training or no held-back cells.
    """

    train: Batches
    validation: Batches
    inputs: Tensor
    outputs: Tensor
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    log_base: LogBase | None = None
    counts: Batches | None = None

    def __post_init__(self) -> None:
        """Check that there is something to learn from, and something to learn."""
        if not self.n_landmarks or not self.n_targets:
            raise PanelError(
                "a panel that holds some genes of the matrix and leaves others to predict",
                f"{self.n_landmarks} genes in the panel, {self.n_targets} others",
                "Choose a smaller panel (select.n_landmarks, or n_extremes of paper_f910, in params.yaml).",
            )
        require_cells(self.train, "training")
        require_cells(self.validation, "held-back")

    @property
    def n_landmarks(self) -> int:
        """Genes in the panel."""
        return len(self.inputs)

    @property
    def n_targets(self) -> int:
        """Genes to predict."""
        return len(self.outputs)

    def example(self, n_cells: int = 4) -> Tensor:
        """Panel values of a few held-back cells, on the CPU, shape (n_cells, n_landmarks)."""
        return next(self.pairs(self.validation.in_order())).x_BL[:n_cells].cpu()

    def pairs(self, blocks: Iterable[sparse.csr_matrix]) -> Iterator[Pair]:
        """Turn CSR blocks of all genes into dense pairs of panel and targets on the device."""
        return dense_pairs(blocks, self.inputs, self.outputs, self.device)


def require_cells(cells: Cells, kind: str) -> None:
    """Check that there are cells of a kind.

    Raises
    ------
    DataError
        If there are none.
    """
    if not cells.n_cells:
        raise DataError(
            f"at least one {kind} cell", "none", "Check the parts of split and the cell filter in params.yaml."
        )


def dense_pairs(
    blocks: Iterable[sparse.csr_matrix], inputs: Tensor, outputs: Tensor, device: torch.device
) -> Iterator[Pair]:
    """Turn CSR blocks of all genes into dense pairs: columns `inputs`, columns `outputs`."""
    inputs, outputs = inputs.to(device), outputs.to(device)
    for block in blocks:
        D_BG = to_torch(block, device)
        yield Pair(D_BG.index_select(1, inputs), D_BG.index_select(1, outputs))


def split_genes(n_genes: int, landmarks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Positions of the panel in its own order, and of all other genes in the order of the matrix."""
    inputs = torch.as_tensor(landmarks, dtype=torch.int64)
    rest = torch.ones(n_genes, dtype=torch.bool)
    rest[inputs] = False
    return inputs, torch.nonzero(rest).squeeze(1)


class Checkpoint(Protocol):
    """Where a training keeps its state, so that a killed one goes on."""

    def load(self) -> dict[str, Any] | None:
        """Return the last state of this very training, or None."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state; the one before is replaced whole."""


class NoCheckpoint:
    """Keeps nothing."""

    def load(self) -> None:
        """Return None."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Forget the state."""


def _silent(metrics: Mapping[str, float], step: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Hooks:
    """How a fit reports, and where it keeps its state.

    Parameters
    ----------
    on_epoch : callable
        Called as `on_epoch(metrics, step)`.
    checkpoint : Checkpoint
    """

    on_epoch: Callable[[Mapping[str, float], int], None] = _silent
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)


class Step(NamedTuple):
    """Figures of one epoch, or of one place on a grid."""

    step: int
    metrics: dict[str, float]


def history_table(history: Sequence[Step]) -> pl.DataFrame:
    """Epochs as a tidy table, `schema.HISTORY`."""
    rows = [
        {"step": step.step, "metric": metric, "value": value}
        for step in history
        for metric, value in step.metrics.items()
    ]
    return schema.frame(schema.HISTORY, rows)
