"""Long tables in Parquet: a row for each count, with columns for the cell, the gene and the count."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import Labels

BLOCK_ROWS = 1 << 20


class LongColumns(NamedTuple):
    """Names of the three columns."""

    cells: str
    genes: str
    counts: str


class Long(NamedTuple):
    """A long table as a matrix.

    Parameters
    ----------
    X_CG : scipy.sparse.csr_matrix, shape (n_cells, n_genes)
        Counts of the same cell and gene are added up.
    cells, genes : list of str
        In the order in which they first come.
    labels : dict of str to list of str or None
        Columns of annotations that were asked for, one value a cell.
    """

    X_CG: sparse.csr_matrix
    cells: list[str]
    genes: list[str]
    labels: dict[str, Labels]


class _Codes:
    """Names as numbers, counted up from 0 as they come."""

    def __init__(self) -> None:
        self.code_of: dict[str, int] = {}

    def of(self, column: Any, name: str) -> NDArray[np.int32]:
        """Codes of the names in a column."""
        import pyarrow as pa

        if column.null_count:
            raise DataError(f"a name in every field of {name}", f"{column.null_count} empty ones", "Name all of them.")
        encoded = column.cast(pa.string()).dictionary_encode()
        codes = [self.code_of.setdefault(one, len(self.code_of)) for one in encoded.dictionary.to_pylist()]
        places = encoded.indices.to_numpy()
        return np.asarray(np.array(codes, dtype=np.int32)[places], dtype=np.int32)


class _Cells:
    """The label of each cell that one column gives."""

    def __init__(self, name: str) -> None:
        self.name, self.codes, self.label = name, _Codes(), np.empty(0, dtype=np.int32)

    def add(self, cells: NDArray[np.int32], column: Any, n_cells: int) -> None:
        """Take in the labels of some rows; a cell has one label in all its rows."""
        labels = self.codes.of(column.cast("string").fill_null(""), self.name)
        self.label = np.concatenate([self.label, np.full(n_cells - len(self.label), -1, dtype=np.int32)])
        self.label[cells] = np.where(self.label[cells] < 0, labels, self.label[cells])
        if (self.label[cells] != labels).any():
            raise DataError(f"one {self.name} for each cell", "several for some", "Name a column that labels cells.")

    @property
    def labels(self) -> Labels:
        """Label of each cell."""
        names = list(self.codes.code_of)
        return [names[code] for code in self.label]


def read_long(parts: Sequence[Path], columns: LongColumns, labels: Collection[str]) -> Long:
    """Read a long table, in blocks of rows; memory holds the entries and one block.

    Parameters
    ----------
    parts : sequence of Path
        Files with these columns.
    columns : LongColumns
    labels : collection of str
        Columns that label cells; those that are not there are passed over.

    Raises
    ------
    DataError
        If a column is missing, a field is empty, counts are no numbers, or a cell has two labels in one column.
    """
    cells, genes = _Codes(), _Codes()
    rows, places, values = [], [], []
    kept = [_Cells(name) for name in dict.fromkeys(labels) if all(name in _names(part) for part in parts)]
    for batch in _batches(parts, [*columns, *(one.name for one in kept)]):
        rows.append(cells.of(batch.column(columns.cells), columns.cells))
        places.append(genes.of(batch.column(columns.genes), columns.genes))
        values.append(_numbers(batch.column(columns.counts), columns.counts))
        for one in kept:
            one.add(rows[-1], batch.column(one.name), len(cells.code_of))
    shape = (len(cells.code_of), len(genes.code_of))
    if not rows:
        raise DataError("rows of a cell, a gene and a count", "none", "Check the file.")
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(places)))
    X_CG = sparse.coo_matrix(entries, shape=shape).tocsr()
    return Long(X_CG, list(cells.code_of), list(genes.code_of), {one.name: one.labels for one in kept})


def _names(part: Path) -> list[str]:
    import pyarrow.parquet as pq

    return list(pq.read_schema(part).names)


def _batches(parts: Sequence[Path], columns: Sequence[str]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    for part in parts:
        if lacking := [name for name in columns if name not in _names(part)]:
            raise DataError(f"columns {', '.join(lacking)} in {part.name}", "none", "Give files of one table.")
        with pq.ParquetFile(part) as file:
            yield from file.iter_batches(batch_size=BLOCK_ROWS, columns=list(dict.fromkeys(columns)))


def _numbers(column: Any, name: str) -> NDArray[Any]:
    """Values of a column, of a type whose sums do not overflow."""
    values = column.to_numpy(zero_copy_only=False)
    if column.null_count or values.dtype.kind not in "iuf":
        got = f"{column.null_count} empty fields" if column.null_count else f"values of type {column.type}"
        raise DataError(f"a number in every field of {name}", got, "Give one count a row.")
    wide = np.float64 if values.dtype.kind == "f" or values.dtype == np.uint64 else np.int64
    return np.asarray(values, dtype=wide)
