"""From a file of counts and a stored model to a file of predictions."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy import sparse

from sclandmarks.errors import DataError, PanelError, SchemaError, SclandmarksError, SourceError
from sclandmarks.io.atomic import write_aside
from sclandmarks.io.cohorts import make
from sclandmarks.io.inspect import Inspection
from sclandmarks.io.inspect.isolated import inspect_isolated
from sclandmarks.io.inspect.magic import EXPORT
from sclandmarks.io.models import ABOUT, SavedModel, load_model
from sclandmarks.io.registry.datasets import Dataset, Recipe
from sclandmarks.io.sources.fetched import Fetched
from sclandmarks.matrix import ExpressionMatrix, IntArray
from sclandmarks.prep.scprep_adapter import log_normalise

BLOCK = 1024
CELL = "cell_id"
REGISTRY = "datasets.yaml"
AGAIN = "Copy the model's folder again from where it was fitted, or fit it again with this version of sclandmarks."
_log = logging.getLogger(__name__)


class Predicted(NamedTuple):
    """What was written, and what the model took."""

    n_cells: int
    n_targets: int
    normalised_by: str


def predict_file(folder: Path, file: Path, out: Path) -> Predicted:
    """Predict the targets of a stored model for every cell of a file, and write them as Parquet, whole or not at all.

    A model whose panel is normalised by its own total, or of counts, needs the panel's counts alone. Any other needs
    all genes that it was made with: the values are normalised by all reads of a cell in them, as its model.json says.
    A cell without any read of the panel gets what the model gives for a panel of zeros; a warning says how many.

    Parameters
    ----------
    folder : Path
        Of the model.
    file : Path
        Raw counts in any format that `inspect` knows.
    out : Path
        One row a cell, `cell_id` and a float32 column a target, named by its id.

    Raises
    ------
    SchemaError
        If there is no sound model, or it needs a normalisation and does not say which.
    SourceError
        If the file is not there, or may not be read.
    DataError
        If it is not one of raw counts, or predictions are not finite.
    PanelError
        If it lacks genes that the model needs.
    """
    model = _model(folder)
    matrix = read_counts(file)
    values_CL = panel_values(model, matrix, file)
    _warn_of_silent(values_CL, file)
    ids = [name.partition("/")[2] for name in matrix.cells[CELL]]
    _write(out, ids, model.targets, _blocks(model, values_CL))
    return Predicted(matrix.n_cells, len(model.targets), normalised_by(model))


def _model(folder: Path) -> SavedModel:
    try:
        model = load_model(folder)
    except SchemaError as error:
        raise SchemaError(error.expected, error.got, AGAIN) from error
    if needs_whole_cells(model) and model.normalisation is None:
        expected = f"a model that says how its values were made (normalisation, in {folder / ABOUT})"
        raise SchemaError(expected, "none, as older versions wrote it", AGAIN)
    return model


def needs_whole_cells(model: SavedModel) -> bool:
    """Whether the panel's counts alone do not tell the model's inputs."""
    return model.unit == "log" and not model.by_own_total


def normalised_by(model: SavedModel) -> str:
    """Say in words what the model's inputs are normalised by."""
    if needs_whole_cells(model):
        return "all reads of a cell"
    return "the panel's own total" if model.by_own_total else "nothing"


def read_counts(file: Path) -> ExpressionMatrix:
    """Read a file as `ingest` would, without keeping it.

    Raises
    ------
    SourceError
        If it is not there, or may not be read.
    DataError
        If something stands in the way of reading it.
    """
    try:
        found = inspect_isolated(file)
        _check_fit(found, file)
        dataset = Dataset.model_validate(found.entry)
        return make(Recipe(found.name, dataset, {found.name: dataset}), Fetched()).matrix
    except (DataError, SourceError) as error:
        if REGISTRY not in error.remedy:
            raise
        raise _without_registry(error) from error


def _without_registry(error: DataError | SourceError) -> SclandmarksError:
    """Leave out of a remedy what an entry of datasets.yaml could say: here there is none."""
    sentences = [one for one in re.split(r"(?<=[.!?])\s+", error.remedy) if REGISTRY not in one]
    other = "Correct the path, or put the file there." if isinstance(error, SourceError) else EXPORT
    mended = type(error)(error.expected, error.got, " ".join(sentences) or other)
    for note in getattr(error, "__notes__", ()):
        mended.add_note(note)
    return mended


def _check_fit(found: Inspection, file: Path) -> None:
    if not found.is_fit:
        faults = [problem for problem in found.problems if problem.fatal]
        got = "; ".join(problem.what for problem in faults)
        raise DataError(f"raw counts of cells x genes in {file}", got, " ".join(one.remedy for one in faults))


def panel_values(model: SavedModel, matrix: ExpressionMatrix, file: Path) -> sparse.csr_matrix:
    """Counts of the panel, or for a model of whole cells its processed values, shape (n_cells, n_landmarks)."""
    if not needs_whole_cells(model):
        remedy = "Give counts of the whole panel, or fit to a panel that the file holds."
        return matrix.X_CG[:, gene_places(matrix.genes, model.landmarks, file, remedy)]
    remedy = "Give counts of whole cells, or fit with panel_total: true of the predictor in params.yaml."
    places = gene_places(matrix.genes, [*model.landmarks, *model.targets], file, remedy)
    made = model.normalisation
    assert made is not None  # noqa: S101 (`_model` has refused it)
    values_CG = log_normalise(sparse.csr_matrix(matrix.X_CG[:, places]), made.scale, made.log_base)
    return values_CG[:, : len(model.landmarks)]


def _warn_of_silent(values_CL: sparse.csr_matrix, file: Path) -> None:
    n_silent = int((values_CL.getnnz(axis=1) == 0).sum())
    if n_silent:
        _log.warning(
            "%d of %d cells of %s have no read of the panel: each gets what the model gives for a panel of zeros",
            n_silent, values_CL.shape[0], file,
        )  # fmt: skip


def gene_places(genes: pl.DataFrame, wanted: Sequence[str], file: Path, remedy: str) -> IntArray:
    """Columns of genes by id, or by the symbol or Ensembl id of one gene of the file.

    Raises
    ------
    PanelError
        If one is not there.
    """
    known: dict[str, int] = {}
    for column in ("ensembl_id", "symbol", "gene_id"):  # the later have the last word
        names = genes[column]
        known |= {name: i for i, (name, once) in enumerate(zip(names, names.is_unique(), strict=True)) if name and once}
    absent = [gene for gene in wanted if gene not in known]
    if absent:
        got = f"{len(absent)} that are not in {file}, first {', '.join(absent[:5])}"
        raise PanelError(f"counts of {len(wanted)} genes of the model", got, remedy)
    return np.array([known[gene] for gene in wanted], dtype=np.int64)


@torch.no_grad()
def _blocks(model: SavedModel, values_CL: sparse.csr_matrix) -> Iterator[torch.Tensor]:
    of_counts = not needs_whole_cells(model)
    for start in range(0, values_CL.shape[0], BLOCK):
        x_BL = torch.from_numpy(values_CL[start : start + BLOCK].toarray())
        y_BT = model.predict_counts(x_BL) if of_counts else model.module(x_BL)
        if not y_BT.isfinite().all():
            got = f"others among cells {start + 1} to {start + len(x_BL)}"
            raise DataError(
                "predictions that are finite", got, "Look at the counts: are they of this size? Or fit again."
            )
        yield y_BT


def _write(out: Path, ids: Sequence[str], targets: Sequence[str], blocks: Iterator[torch.Tensor]) -> None:
    fields = [pa.field(CELL, pa.string()), *(pa.field(gene, pa.float32()) for gene in targets)]
    done = 0
    with write_aside(out) as aside, pq.ParquetWriter(aside, pa.schema(fields), compression="zstd") as writer:
        for block_BT in blocks:
            cells = pa.array(ids[done : done + len(block_BT)])
            columns = [pa.array(column) for column in np.ascontiguousarray(block_BT.numpy().T)]
            writer.write_table(pa.Table.from_arrays([cells, *columns], schema=pa.schema(fields)))
            done += len(block_BT)
