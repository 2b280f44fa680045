"""Parquet <-> ExpressionMatrix: one row a cell, list columns that are the CSR itself.

A folder holds `matrix.parquet`, `cells.parquet` and `genes.parquet`. The row offsets of the Arrow lists are the
CSR row pointers, so that reading copies nothing. `matrix.parquet` is written last and carries the hash of the
gene table: a folder that was written half is never taken for whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import SchemaError
from sclandmarks.io.atomic import write_aside
from sclandmarks.io.tables import read_table, write_table
from sclandmarks.matrix import ExpressionMatrix

ROWS_PER_GROUP = 1024
MATRIX = "matrix.parquet"
Values = Literal["count", "value"]


def write_matrix(
    folder: Path,
    counts: ExpressionMatrix,
    value: sparse.csr_matrix | None = None,
) -> None:
    """Write counts, and optionally normalised values of the same cells x genes, with both tables.

    Parameters
    ----------
    folder : Path
    counts : ExpressionMatrix
        int32 counts.
    value : scipy.sparse.csr_matrix, optional
        float32 values with the same non-zero places as the counts.

    Raises
    ------
    SchemaError
        If a table does not follow its schema, or the places of value and counts differ.
    """
    counts.X_CG.sort_indices()
    if value is not None:
        value.sort_indices()
        _check_places(counts.X_CG, value)
    (folder / MATRIX).unlink(missing_ok=True)
    write_table(folder / "cells.parquet", counts.cells, schema.CELLS)
    write_table(folder / "genes.parquet", counts.genes, schema.GENES)
    about = {
        "sclandmarks.schema": schema.VERSION,
        "sclandmarks.genes": genes_hash(counts.genes),
        "sclandmarks.cells": hash_ids(counts.cells["cell_id"]),
    }
    with write_aside(folder / MATRIX) as aside:
        _write_groups(aside, counts.X_CG, value, about)


def read_matrix(folder: Path, values: Values = "value") -> ExpressionMatrix:
    """Read a whole matrix; the CSR shares the memory of the Arrow columns.

    Parameters
    ----------
    folder : Path
        As written by `write_matrix`.
    values : {"count", "value"}
        Raw counts (int32) or normalised values (float32).

    Raises
    ------
    SchemaError
        If a file is missing, cut or of another version, or its genes or cells are not those of the tables.
    """
    file = MatrixFile(folder)
    X_CG = file.read(range(file.n_groups), values)
    return ExpressionMatrix(X_CG, file.cells, file.genes)


def genes_hash(genes: pl.DataFrame) -> str:
    """Hash of the gene ids in their order: what makes two matrices' columns the same."""
    return hash_ids(genes["gene_id"])


def hash_ids(ids: pl.Series) -> str:
    """SHA-256 of ids in their order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


@dataclass(frozen=True)
class MatrixFile:
    """A matrix on disk, read by row groups.

    Parameters
    ----------
    folder : Path
        As written by `write_matrix`.

    Raises
    ------
    SchemaError
        On first use, as `read_matrix`.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """The Parquet file of the values."""
        return self.folder / MATRIX

    @cached_property
    def cells(self) -> pl.DataFrame:
        """Table of cells, in the order of the rows."""
        cells = read_table(self.folder / "cells.parquet", schema.CELLS)
        self._expect("sclandmarks.cells", hash_ids(cells["cell_id"]), "the cells of cells.parquet")
        return cells

    @cached_property
    def genes(self) -> pl.DataFrame:
        """Table of genes, in the order of the columns."""
        genes = read_table(self.folder / "genes.parquet", schema.GENES)
        self._expect("sclandmarks.genes", genes_hash(genes), "the genes of genes.parquet")
        return genes

    @property
    def n_groups(self) -> int:
        """Number of row groups."""
        return int(self._file.num_row_groups)

    @cached_property
    def rows_of_groups(self) -> NDArray[np.int64]:
        """First row of every row group, and behind them the number of rows."""
        sizes = [self._file.metadata.row_group(i).num_rows for i in range(self.n_groups)]
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)

    @cached_property
    def _file(self) -> Any:
        path = self.path
        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise SchemaError(
                f"a matrix at {path}", str(error), "Delete the folder and run `dvc repro`, or `dvc pull`."
            ) from error
        return file

    def _expect(self, key: str, want: str, what: str) -> None:
        got = (self._file.schema_arrow.metadata or {}).get(key.encode(), b"").decode()
        if got != want:
            raise SchemaError(
                f"{self.folder / MATRIX} made with {what}",
                "one made with others, or by something else",
                "Delete the folder and run `dvc repro`, or `dvc pull`.",
            )

    def read(self, groups: range | list[int], values: Values = "value") -> sparse.csr_matrix:
        """Read row groups as one CSR, rows in the order of the groups.

        Raises
        ------
        SchemaError
            If the file is cut or holds other columns.
        """
        self._expect("sclandmarks.schema", schema.VERSION, f"schema version {schema.VERSION}")
        try:
            table = self._file.read_row_groups(list(groups), columns=["gene_index", values])
        except (OSError, pa.ArrowException) as error:
            raise SchemaError(
                f"readable row groups in {self.folder / MATRIX}", str(error), "Delete it and run `dvc repro`."
            ) from error
        if values not in table.column_names:
            raise SchemaError(
                f"a column `{values}` in {self.folder / MATRIX}",
                f"columns {self._file.schema_arrow.names}",
                "Raw matrices hold `count`, processed ones `count` and `value`.",
            )
        return _to_csr(table, values, self.genes.height)

    def verify(self, values: Values = "value") -> None:
        """Read every row group once, by its checksums, and keep none.

        Raises
        ------
        SchemaError
            As `read`.
        """
        for group in range(self.n_groups):
            self.read([group], values)


def _to_csr(table: pa.Table, values: str, n_genes: int) -> sparse.csr_matrix:
    index = table.column("gene_index").combine_chunks()
    value = table.column(values).combine_chunks()
    if isinstance(index, pa.ChunkedArray):
        index, value = index.chunk(0), value.chunk(0)
    offsets = index.offsets.to_numpy()
    parts = (value.flatten().to_numpy(), index.flatten().to_numpy(), offsets - offsets[0])
    return sparse.csr_matrix(parts, shape=(table.num_rows, n_genes), copy=False)


def _check_places(counts: sparse.csr_matrix, value: sparse.csr_matrix) -> None:
    if not np.array_equal(value.indices, counts.indices) or not np.array_equal(value.indptr, counts.indptr):
        raise SchemaError("values at the places of the counts", "others", "Normalise without adding zeros.")


def _to_arrow(counts: sparse.csr_matrix, value: sparse.csr_matrix | None) -> pa.Table:
    offsets = pa.array(counts.indptr.astype(np.int32))
    columns = {
        "gene_index": pa.ListArray.from_arrays(offsets, pa.array(counts.indices.astype(np.int32))),
        "count": pa.ListArray.from_arrays(offsets, pa.array(counts.data.astype(np.int32))),
    }
    if value is not None:
        columns["value"] = pa.ListArray.from_arrays(offsets, pa.array(value.data.astype(np.float32)))
    return pa.table(columns)


def _write_groups(
    path: Path, counts: sparse.csr_matrix, value: sparse.csr_matrix | None, about: dict[str, str]
) -> None:
    """Write one row group at a time, so that offsets stay within int32 and memory within a group."""
    names = ["count"] if value is None else ["count", "value"]
    arrow_schema = _to_arrow(counts[:0], None if value is None else value[:0]).schema.with_metadata(about)
    with pq.ParquetWriter(
        path,
        arrow_schema,
        compression="zstd",
        use_dictionary=[f"{name}.list.element" for name in names],
        column_encoding={"gene_index.list.element": "DELTA_BINARY_PACKED"},
        write_statistics=False,
        write_page_checksum=True,
    ) as writer:
        for start in range(0, counts.shape[0], ROWS_PER_GROUP):
            rows = slice(start, start + ROWS_PER_GROUP)
            block = _to_arrow(counts[rows], None if value is None else value[rows])
            writer.write_table(block.replace_schema_metadata(about), row_group_size=ROWS_PER_GROUP)
