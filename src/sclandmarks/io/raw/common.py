"""What all readers share: words for what they find, errors that name the file, arrays that are checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError, SclandmarksError

BLOCK = 1 << 18
MISSING = frozenset({None, "", "NA", "N/A", "NaN", "nan", "<NA>", "None"})
RECOVER = (
    "Or set `reader.normalised: recover` of the entry in datasets.yaml: counts are taken back out of values that were "
    "scaled per cell and log-transformed, where that is exact."
)
Labels = Sequence[str | None]


class Origin(NamedTuple):
    """What the entry in datasets.yaml says of every cell: its name, the tissue, and what else is known."""

    dataset: str
    tissue: str
    donor: str | None = None
    sample: str | None = None
    condition: str | None = None
    organism: str | None = None


class CellLabels(NamedTuple):
    """Labels of the cells in the file's order; None where the file has no such column."""

    cell_type: Labels | None = None
    donor: Labels | None = None
    tissue: Labels | None = None
    sample: Labels | None = None
    condition: Labels | None = None


@contextmanager
def naming(path: Path, origin: Origin) -> Iterator[None]:
    """Add data set and file to an error raised inside the block."""
    try:
        yield
    except SclandmarksError as error:
        where = f"data set {origin.dataset}, file "
        if not any(note.startswith(where) for note in getattr(error, "__notes__", [])):  # of a block inside this one
            error.add_note(f"{where}{path}")
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


def texts(values: Any) -> list[str]:
    """Names stored as bytes or text, as str.

    Raises
    ------
    DataError
        If bytes are not UTF-8.
    """
    with reading("names in UTF-8"):
        return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
