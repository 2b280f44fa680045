"""What every selector takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl
import torch
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import PanelError
from sclandmarks.genes import measured_landmarks
from sclandmarks.learn.task import Step, require_cells
from sclandmarks.matrix import Batches
from sclandmarks.params import Section, SelectParams


@dataclass(frozen=True)
class SelectionTask:
    """From which cells and genes a panel is chosen.

    Parameters
    ----------
    train, validation : Batches
        Training cells; held-back cells, for early stopping alone.
    genes : polars.DataFrame
        As `schema.GENES`, in the order of the columns of the batches.
    n_landmarks : int
        Size of the panel.
    device : torch.device
    cells : polars.DataFrame, optional
        As `schema.CELLS`, of the training cells in the order of `train.in_order()`; for weights of cell types.
    counts : Batches, optional
        Raw counts of the training cells, in the same order; for what tells their noise.
    normalise : callable, optional
        Makes processed values of counts, as those of `train` were made.
    lists : mapping of str to mapping of str to float
        Genes and weights of the files that the settings name.

    Raises
    ------
    PanelError
        If the panel would not leave a gene to predict.
    DataError
        If there are no training cells.
    """

    train: Batches
    validation: Batches
    genes: pl.DataFrame
    n_landmarks: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    cells: pl.DataFrame | None = None
    counts: Batches | None = None
    normalise: Callable[[sparse.csr_matrix], sparse.csr_matrix] | None = None
    lists: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the size of the panel."""
        if not 0 < self.n_landmarks < self.genes.height:
            raise PanelError(
                f"a panel smaller than the {self.genes.height} genes of the matrix",
                f"select.n_landmarks = {self.n_landmarks}",
                "Lower select.n_landmarks in params.yaml, or relax the gene filter of prepare.",
            )
        require_cells(self.train, "training")


@dataclass(frozen=True)
class Selected:
    """A ranked panel.

    Parameters
    ----------
    panel : polars.DataFrame
        As `schema.PANEL`, first choice first.
    history : list of Step
        Epochs of a training, or places on a path.
    facts : dict
        Certificates and counts: duality gap, landmarks missing, ...
    path : polars.DataFrame
        As `schema.PANEL_PATH`, without rows where the selector walks no path.
    """

    panel: pl.DataFrame
    history: list[Step] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    path: pl.DataFrame = field(default_factory=schema.PANEL_PATH.empty)

    @property
    def metrics(self) -> dict[str, float]:
        """Size of the panel, and the facts."""
        return {"n_landmarks": self.panel.height} | self.facts


def no_variance() -> PanelError:
    """Say that training cells which are all alike give no panel."""
    return PanelError(
        "genes that vary over the training cells", "none", "Check the values of the data set, and the split."
    )


def panel_size(panel: Section, select: SelectParams, genes: pl.DataFrame) -> int:
    """Size of a panel: its own, that of L1000's measured genes where it says `l1000`, else what all panels share."""
    own = getattr(panel, "n_landmarks", None)
    return len(measured_landmarks(genes)) if own == "l1000" else int(own or select.n_landmarks)


def nested_task(task: SelectionTask, panel: Section) -> SelectionTask:
    """The task of a panel inside another's settings: of its own size where it has one, else of the outer's."""
    size = panel_size(panel, SelectParams(n_landmarks=task.n_landmarks), task.genes)
    return task if size == task.n_landmarks else replace(task, n_landmarks=size)


def rank_genes(
    genes: pl.DataFrame, order: Sequence[int], scores: Sequence[float | None], reasons: Sequence[str]
) -> pl.DataFrame:
    """Make the panel table of the genes at positions `order`, with the score and the reason of each."""
    return genes[list(order)].select(
        pl.int_range(1, len(order) + 1, dtype=pl.Int32).alias("rank"),
        "gene_id",
        "symbol",
        "ensembl_id",
        pl.Series("score", scores, dtype=pl.Float64),
        pl.Series("reason", reasons, dtype=pl.String),
    )
