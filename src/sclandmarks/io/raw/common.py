"""What all readers share: the checks of cells and genes, and the tables made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError, SclandmarksError
from sclandmarks.genes import gene_table
from sclandmarks.matrix import ExpressionMatrix, check_counts

UNKNOWN = "Unknown"
BLOCK = 1 << 18
CELLS_AT_ONCE = 512
MISSING = frozenset({None, "", "NA", "nan"})
Labels = Sequence[str | None]


class Origin(NamedTuple):
    """What the entry in datasets.yaml says of every cell: its name, the tissue, and what else is known or None."""

    dataset: str
    tissue: str
    donor: str | None = None
    sample: str | None = None
    condition: str | None = None


class CellLabels(NamedTuple):
    """Labels of the cells in the file's order; None where the file has no such column."""

    cell_type: Labels | None = None
    donor: Labels | None = None
    tissue: Labels | None = None
    sample: Labels | None = None
    condition: Labels | None = None


def to_matrix(
    X_CG: sparse.spmatrix,
    barcodes: Sequence[str],
    labels: CellLabels,
    genes: pl.DataFrame,
    origin: Origin,
) -> ExpressionMatrix:
    """Check what a reader found in a file and put it together.

    Parameters
    ----------
    X_CG : scipy.sparse matrix, shape (n_cells, n_genes)
        Counts of any numeric type; its arrays are taken over and changed.
    barcodes : sequence of str, length n_cells
    labels : CellLabels
    genes : polars.DataFrame
        As `named_genes` makes it, n_genes rows.
    origin : Origin
        Tissue and donor stand in where `labels` has none.

    Returns
    -------
    ExpressionMatrix
        int32 counts; library sizes are the sums over all genes of the file.

    Raises
    ------
    DataError
        If a barcode or a gene is empty or there twice, or the values are not counts (see `check_counts`).
    """
    _check_unique("barcode", barcodes, barcodes, "Keep one row of each cell, or make the barcodes distinct.")
    _check_unique("gene", genes["gene_id"].to_list(), genes["original"].to_list(), _GENE_REMEDY)
    csr = as_csr(X_CG)
    csr.sum_duplicates()
    counts = _as_counts(csr)
    cells = pl.DataFrame(
        {
            "cell_id": [f"{origin.dataset}/{barcode}" for barcode in barcodes],
            "dataset": [origin.dataset] * len(barcodes),
            "sample": _filled(labels.sample, origin.sample or UNKNOWN, len(barcodes)),
            "donor": _filled(labels.donor, origin.donor or UNKNOWN, len(barcodes)),
            "tissue": _filled(labels.tissue, origin.tissue, len(barcodes)),
            "condition": _filled(labels.condition, origin.condition or UNKNOWN, len(barcodes)),
            "cell_type": _filled(labels.cell_type, UNKNOWN, len(barcodes)),
            "library_size": _library_sizes(counts),
        },
        schema=schema.CELLS.dtypes,
    )
    return ExpressionMatrix(counts, cells, genes)


def named_genes(originals: Sequence[str], symbols: Labels | None = None, ensembl: Labels | None = None) -> pl.DataFrame:
    """Gene table of a file, see `genes.gene_table`.

    Parameters
    ----------
    originals : sequence of str, length n_genes
        Names in the file.
    symbols : sequence of str or None, optional
        Symbols; the original name stands in where one is missing.
    ensembl : sequence of str or None, optional
        Ensembl ids; without them, the original names that are such ids.
    """
    filled = [
        original if symbol in MISSING else symbol
        for original, symbol in zip(originals, symbols or originals, strict=True)
    ]
    return gene_table(originals, [str(symbol) for symbol in filled], ensembl or originals)


@contextmanager
def naming(path: Path, origin: Origin) -> Iterator[None]:
    """Add data set and file to an error raised inside the block."""
    try:
        yield
    except SclandmarksError as error:
        error.add_note(f"data set {origin.dataset}, file {path}")
        raise


@contextmanager
def reading(what: str, remedy: str = "Get the file again.") -> Iterator[None]:
    """Turn whatever a library raises over a broken file inside the block into a DataError.

    Parameters
    ----------
    what : str
        What was expected, such as `a readable .h5ad file`.
    remedy : str
    """
    try:
        yield
    except SclandmarksError:
        raise
    except Exception as error:  # h5py, zarr, anndata, rdata and the codecs share no base class
        raise DataError(what, f"{type(error).__name__}: {error}", remedy) from error


def compressed_rows(
    values: NDArray[Any], indices: NDArray[Any], starts: NDArray[Any], shape: tuple[int, int]
) -> sparse.csr_matrix:
    """CSR matrix of the three arrays of a file, without a copy.

    Parameters
    ----------
    values, indices : arrays, length n_entries
    starts : array, length n_rows + 1
        Where each row begins, and the end of the last.
    shape : tuple of int
        (n_rows, n_columns)

    Raises
    ------
    DataError
        If lengths disagree, the starts are not rising from 0 to n_entries, or an index is out of range.
    """
    n_rows, n_columns = shape
    if len(starts) != n_rows + 1 or len(values) != len(indices) or int(starts[-1]) != len(values):
        last = int(starts[-1]) if len(starts) else 0
        raise DataError(
            f"{n_rows + 1} starts of {n_rows} rows that end with the number of entries, and an index for each value",
            f"{len(starts)} starts that end with {last}, {len(indices)} indices and {len(values)} values",
            "Get the file again.",
        )
    with reading(f"sound starts of {n_rows} rows, and indices below {n_columns}"):
        return as_csr(sparse.csr_matrix((values, indices, starts), shape=shape, copy=False))


def as_csr(X: sparse.spmatrix) -> sparse.csr_matrix:
    """CSR form of a sparse matrix of numbers whose indices, which scipy's compiled code trusts, are in range.

    Raises
    ------
    DataError
        If they are not, or its values are no numbers.
    """
    if X.dtype.kind not in "biuf":
        raise DataError("a matrix of numbers", f"values of type {X.dtype}", "Get the file again.")
    if X.dtype.itemsize < np.dtype(np.float32).itemsize:  # scipy has no float16; bool and int8 overflow in sums
        X = X.astype(np.float32)
    if X.format in ("csr", "csc"):
        with reading("a sparse matrix with sound indices"):
            X.check_format(full_check=True)
    return sparse.csr_matrix(X)


def int32_of(values: NDArray[Any]) -> NDArray[np.int32] | None:
    """Whole numbers from 0 to 2147483647 as int32, in the memory of `values` where it can hold them.

    Parameters
    ----------
    values : array of numbers
        Taken over and changed.

    Returns
    -------
    array of int32, or None
        None if a value is negative, fractional, too large, NaN or infinite; `values` is then as it was.
    """
    blocks = [slice(at, at + BLOCK) for at in range(0, len(values), BLOCK)]
    if not all(_is_whole(values[block]) for block in blocks):
        return None
    if values.dtype == np.int32:
        return values
    in_place = values.dtype.itemsize == 4 and values.dtype.isnative and values.flags.writeable
    out = values.view(np.int32) if in_place else np.empty(len(values), dtype=np.int32)
    for block in blocks:
        out[block] = values[block].astype(np.int32)
    return out


def _is_whole(values: NDArray[Any]) -> bool:
    """Whether all are whole and within int32, from 0 on; of NaN every comparison is false."""
    if not (values.min() >= 0 and values.max().item() <= np.iinfo(np.int32).max):  # in float32 the limit is 2^31
        return False
    return values.dtype.kind in "iu" or bool((values == np.rint(values)).all())


def _as_counts(csr: sparse.csr_matrix) -> sparse.csr_matrix:
    """What `check_counts` returns, in place and block by block; it says what is wrong where something is."""
    values = int32_of(csr.data) if 0 not in csr.shape else None
    if values is None or not values.any():
        return check_counts(csr.astype(np.float64))  # float32 cannot tell the largest int32 from the next number
    counts = sparse.csr_matrix((values, csr.indices, csr.indptr), shape=csr.shape, copy=False)
    counts.has_canonical_format = True
    if not values.all():
        counts.eliminate_zeros()
    return counts


def texts(values: Any) -> list[str]:
    """Names stored as bytes or text, as str.

    Raises
    ------
    DataError
        If bytes are not UTF-8.
    """
    with reading("names in UTF-8"):
        return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


def _library_sizes(counts: sparse.csr_matrix) -> NDArray[np.int64]:
    """Sum of each row, exactly; numpy and scipy would copy all values to int64 at once."""
    most = int(counts.data.max(initial=0)) * int(np.diff(counts.indptr).max(initial=0))
    if most <= np.iinfo(np.int32).max:
        return np.asarray(counts @ np.ones(counts.shape[1], dtype=np.int32), dtype=np.int64)
    sizes = np.zeros(counts.shape[0], dtype=np.int64)
    for at in range(0, len(sizes), CELLS_AT_ONCE):
        starts = counts.indptr[at : at + CELLS_AT_ONCE + 1]
        sums = np.cumsum(counts.data[starts[0] : starts[-1]], dtype=np.int64)
        sizes[at : at + CELLS_AT_ONCE] = np.diff(np.concatenate([[0], sums])[starts - starts[0]])
    return sizes


_GENE_REMEDY = "Add up or drop the rows of the same gene, or give the file's Ensembl ids."


def _check_unique(kind: str, ids: Sequence[str], names: Sequence[str], remedy: str) -> None:
    if "" in ids:
        raise DataError(f"a name for every {kind}", f"an empty one at place {list(ids).index('') + 1}", remedy)
    if len(set(ids)) == len(ids):
        return
    times = Counter(ids)
    twice = [one for one, n in times.items() if n > 1]
    shown = [" = ".join(dict.fromkeys([one, *(n for i, n in zip(ids, names, strict=True) if i == one)]))
             for one in twice[:5]]  # fmt: skip
    raise DataError(f"each {kind} once", f"{len(twice)} more than once, first {', '.join(shown)}", remedy)


def _filled(labels: Labels | None, default: str, n_cells: int) -> list[str]:
    if labels is None:
        return [default] * n_cells
    return [default if label in MISSING else str(label) for label in labels]
