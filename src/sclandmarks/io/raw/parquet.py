"""Counts in Parquet: our own folder, a wide table (a column a gene or a cell) or a long one (a row a count)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from sclandmarks.errors import DataError
from sclandmarks.io.matrices import MATRIX, MatrixFile
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import CellLabels, Origin, naming, reading
from sclandmarks.io.raw.labels import KEYS, Own, cell_labels
from sclandmarks.io.raw.long_table import LongColumns, read_long
from sclandmarks.io.raw.names import GeneNames, named_genes
from sclandmarks.io.raw.orientation import detect
from sclandmarks.io.raw.settings import Column, ReaderSettings
from sclandmarks.io.raw.wide_table import read_wide
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.schema import UNKNOWN

OURS = {"gene_index", "count"}
CELLS = ("cell", "cell_id", "barcode", "cell_barcode", "cellid", "bc")
GENES = ("gene", "gene_id", "ensembl_id", "gene_name", "symbol", "gene_symbol", "feature", "feature_id")
COUNTS = ("count", "counts", "umi", "umis", "umi_count", "n", "reads", "value", "expression")
N_SHOWN = 20
logger = logging.getLogger(__name__)


class ParquetSettings(ReaderSettings):
    """How a Parquet file or folder of them is laid out.

    Parameters
    ----------
    layout : {"auto", "ours", "wide", "long"}
        `auto` takes a folder of `io.matrices.write_matrix` as ours, a table with a column each for cell, gene and
        count under usual names, or the names given, as long, and any other as wide.
    orientation : {"auto", "genes_by_cells", "cells_by_genes"}
        What a row of a wide table is.
    cell, gene, count : str, optional
        Columns of a long table; of a wide one, `cell` or `gene` is the column of the rows' names, else the first
        column of text.
    ignore : tuple of str
        Columns of numbers in a wide table that are neither genes nor cells, such as totals.
    """

    format: Literal["parquet"]
    layout: Literal["auto", "ours", "wide", "long"] = "auto"
    orientation: Literal["auto", "genes_by_cells", "cells_by_genes"] = "auto"
    cell: Column | None = None
    gene: Column | None = None
    count: Column | None = None
    ignore: tuple[Column, ...] = ()


class _Found(NamedTuple):
    X_CG: Any
    barcodes: list[str]
    genes: GeneNames
    own: Own


def read_parquet(files: Mapping[str, Path], settings: ParquetSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from Parquet, by row groups, so that memory holds the non-zeros and one block of rows.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the file, a folder of files of one table, or our own folder. `labels`, optional, see
        `labels.cell_labels`; columns of the table itself can be named too.
    settings : ParquetSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes; in a long table counts of the same cell and gene are added up.

    Raises
    ------
    DataError
        If a file is no Parquet, columns are missing or of another type, a field is empty, it is not clear which side
        is the genes, names repeat, or the values are not counts; a note names the file.
    SchemaError
        If a folder of ours is not whole.
    """
    import pyarrow.parquet as pq

    path = files["counts"]
    with naming(path, origin):
        with reading("a readable .parquet file, or a folder of them"):
            parts = parts_of(path)
            names = pq.read_schema(parts[0]).names
            layout = settings.layout if settings.layout != "auto" else layout_of(parts[0], names, settings)
            logger.info("read as the layout `%s`", layout)
            found = _read(parts, names, layout, settings)
        labels = cell_labels(files, settings, found.barcodes, origin, found.own)
        return to_matrix(found.X_CG, found.barcodes, labels, found.genes, settings, origin)


def parts_of(path: Path) -> list[Path]:
    """The files of a table; of our own folder the matrix.

    Raises
    ------
    DataError
        If a folder has none.
    """
    if not path.is_dir():
        return [path]
    parts = [path / MATRIX] if (path / MATRIX).is_file() else sorted(path.glob("*.parquet"))
    if not parts:
        raise DataError("a .parquet file, or a folder with some", "a folder without", "Name the file.")
    return parts


def layout_of(path: Path, names: list[str], settings: ParquetSettings) -> str:
    """Layout of a table of these columns: `ours`, `wide` or `long`."""
    if path.name == MATRIX and set(names) >= OURS:
        return "ours"
    return "wide" if long_columns(names, settings) is None else "long"


def long_columns(names: list[str], settings: ParquetSettings) -> LongColumns | None:
    """Columns of a long table, by the settings or usual names; None where one is lacking."""
    usual = ((settings.cell, CELLS), (settings.gene, GENES), (settings.count, COUNTS))
    found = [_one_of(names, asked, words) for asked, words in usual]
    return None if None in found else LongColumns(*(str(name) for name in found))


def _one_of(names: list[str], asked: str | None, words: tuple[str, ...]) -> str | None:
    if asked in names:
        return asked
    return next((name for word in words for name in names if name.lower() == word), None)


def _read(parts: list[Path], names: list[str], layout: str, settings: ParquetSettings) -> _Found:
    if layout == "ours":
        return _ours(parts[0].parent)
    for key in ("cell", "gene", "count"):
        if (name := getattr(settings, key)) not in (None, *names):
            remedy = f"Set `reader.{key}` of the entry in datasets.yaml to one of these."
            raise DataError(f"a column {name}", f"a table with {', '.join(names[:N_SHOWN])}", remedy)
    asked = [name for key in KEYS if (name := getattr(settings, key)) is not None]
    if layout == "wide":
        return _wide(parts, names, asked, settings)
    columns = long_columns(names, settings)
    if columns is None:
        remedy = "Set `reader.cell`, `reader.gene` and `reader.count` of the entry in datasets.yaml to these."
        raise DataError("columns of cells, genes and counts", f"a table with {', '.join(names[:N_SHOWN])}", remedy)
    long = read_long(parts, columns, asked)
    return _Found(long.X_CG, long.cells, named_genes(long.genes), Own(names, long.labels.__getitem__))


def _wide(parts: list[Path], names: list[str], asked: list[str], settings: ParquetSettings) -> _Found:
    of_rows = next((name for name in (settings.cell, settings.gene) if name), None)
    wide = read_wide(parts, of_rows, asked, settings.ignore)
    orientation = settings.orientation if settings.orientation != "auto" else detect(wide.columns, wide.rows)
    if orientation == "genes_by_cells":
        return _Found(wide.X.T, wide.columns, named_genes(wide.rows), Own())
    return _Found(wide.X, wide.rows, named_genes(wide.columns), Own(list(wide.labels), wide.labels.__getitem__))


def _ours(folder: Path) -> _Found:
    """What `io.matrices.write_matrix` wrote; its names of data set go off the cells' names where these stay apart."""
    file = MatrixFile(folder)
    X_CG = file.read(range(file.n_groups), "count")
    ids = file.cells["cell_id"].to_list()
    bare = [one.partition("/")[2] if "/" in one else one for one in ids]
    known = CellLabels(**{key: file.cells[key].replace(UNKNOWN, None).to_list() for key in KEYS})
    own = Own(file.cells.columns, lambda name: file.cells[name].cast(pl.String).to_list(), known)
    genes = GeneNames(*(file.genes[name].to_list() for name in ("original", "symbol", "ensembl_id")))
    return _Found(X_CG, bare if len(set(bare)) == len(ids) else ids, genes, own)
