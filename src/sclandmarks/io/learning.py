"""What learning stages read: batches of the processed matrix by subset, and a checkpoint keyed by all inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from sclandmarks import paths, schema
from sclandmarks.errors import DataError, PanelError
from sclandmarks.io.batches import ParquetBatches
from sclandmarks.io.checkpoints import FileCheckpoint, training_key
from sclandmarks.io.matrices import MatrixFile, Values
from sclandmarks.io.normalisation import made_of
from sclandmarks.io.tables import read_table
from sclandmarks.learn.task import split_genes
from sclandmarks.matrix import gene_positions
from sclandmarks.params import PrepareParams, Section, Unit
from sclandmarks.prep.split import Subset

BATCH_SIZE = 256
LEARNING: tuple[Subset, Subset] = ("train", "validation")


def batch_order(settings: Section | None) -> tuple[int, int]:
    """Batch size and seed of the settings that have them, else 256 and 0."""
    return getattr(settings, "batch_size", BATCH_SIZE), getattr(settings, "seed", 0)


class LearningData:
    """The processed matrix and the split of its cells."""

    def __init__(self) -> None:
        self.file = MatrixFile(paths.EXPRESSION)

    @cached_property
    def subsets(self) -> pl.Series:
        """Subset of every cell of the matrix, in its order."""
        split = read_table(paths.SPLIT, schema.SPLIT)
        return self.file.cells.join(split, on="cell_id", how="left", maintain_order="left")["subset"]

    @property
    def genes(self) -> pl.DataFrame:
        """Table of genes, in the order of the columns."""
        return self.file.genes

    def made(self, unit: Unit, prepare: PrepareParams) -> dict[str, Any]:
        """What a model of all genes keeps of how its values were made, see `normalisation.made_of`."""
        return made_of(unit, prepare, self.genes.height)

    def cells(self, subset: Subset) -> pl.DataFrame:
        """Table of the cells of a subset, in the order in which `batches(subset).in_order()` yields them."""
        return self.file.cells.filter(self.subsets == subset)

    def names(self, positions: torch.Tensor) -> list[str]:
        """Ids of the genes at these columns."""
        return [str(gene) for gene in self.genes["gene_id"].gather(positions.numpy())]

    def genes_at(self, gene_ids: Iterable[str], file: Path) -> list[int]:
        """Columns of genes named by id in a file, see `matrix.gene_positions`; its errors name the file."""
        try:
            return [int(place) for place in gene_positions(self.genes, list(gene_ids))]
        except PanelError as error:
            error.add_note(f"file: {file}")
            raise

    def split_at(self, gene_ids: Iterable[str], file: Path) -> tuple[torch.Tensor, torch.Tensor]:
        """Columns of these genes, in their order, and of all others, see `learn.task.split_genes`."""
        return split_genes(self.genes.height, self.genes_at(gene_ids, file))

    def batches(self, subset: Subset, settings: Section | None = None, unit: Unit = "log") -> ParquetBatches:
        """Batches of the cells of a subset, with batch size, seed and unit of the settings that have them.

        Parameters
        ----------
        subset : {"train", "validation", "test"}
        settings : Section, optional
            Of a panel or a predictor.
        unit : {"log", "counts"}
            Processed values or raw counts, unless the settings say.

        Raises
        ------
        DataError
            If the subset has no cell in the matrix.
        """
        rows = np.flatnonzero((self.subsets == subset).fill_null(False).to_numpy())
        if not len(rows):
            raise DataError(
                f"cells of the subset {subset} in {self.file.folder}",
                "none",
                "Change split.test or split.validation, or lower prepare.min_library_size, in params.yaml.",
            )
        size, seed = batch_order(settings)
        values: Values = "count" if getattr(settings, "unit", unit) == "counts" else "value"
        return ParquetBatches(self.file, rows, size, seed=seed, values=values)

    def counts(self, settings: Section) -> ParquetBatches:
        """Raw counts of the training cells, in the batches that these settings give."""
        return replace(self.batches("train", settings), values="count", _cache={})

    def checkpoint(self, name: str, settings: Section, inputs: Sequence[Path] = ()) -> FileCheckpoint:
        """Checkpoint of a training that depends on the settings, the matrix, the split and further files."""
        key = training_key(settings.model_dump(), [self.file.path, paths.SPLIT, *inputs])
        return FileCheckpoint(paths.CHECKPOINTS, name, key)
