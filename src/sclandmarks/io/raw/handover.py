"""How a reader's process hands over what it read: arrays and tables in open files, the rest as lines of JSON."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sclandmarks import errors
from sclandmarks.errors import SclandmarksError
from sclandmarks.io.raw.common import compressed_rows
from sclandmarks.matrix import ExpressionMatrix

ARRAYS = ("data", "indices", "indptr")
TABLES = ("cells", "genes")
PARTS = ARRAYS + TABLES


def save_matrix(matrix: ExpressionMatrix, parts: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    """Write a matrix to files: the arrays bare, the tables as Arrow.

    Parameters
    ----------
    matrix : ExpressionMatrix
    parts : mapping of str to file
        One for each of PARTS, empty, open for writing.

    Returns
    -------
    dict
        What `load_matrix` has to know besides; it can be written as JSON.
    """
    arrays = {name: getattr(matrix.X_CG, name) for name in ARRAYS}
    for name, values in arrays.items():
        values.tofile(parts[name])
    for name in TABLES:
        getattr(matrix, name).write_ipc(parts[name])
    for part in parts.values():
        part.flush()
    return {
        "shape": [int(n) for n in matrix.X_CG.shape],
        "arrays": {name: [str(values.dtype), len(values)] for name, values in arrays.items()},
    }


def load_matrix(parts: Mapping[str, IO[bytes]], told: Mapping[str, Any]) -> ExpressionMatrix:
    """Take a matrix over; the arrays stay in the files, which may be closed or removed, until they are looked at.

    Parameters
    ----------
    parts : mapping of str to file
        As `save_matrix` wrote them.
    told : mapping
        What `save_matrix` returned.

    Returns
    -------
    ExpressionMatrix

    Raises
    ------
    DataError
        If the arrays are not a sound sparse matrix.
    """
    data, indices, indptr = (_mapped(parts[name], *told["arrays"][name]) for name in ARRAYS)
    cells, genes = (_table(parts[name]) for name in TABLES)
    n_cells, n_genes = told["shape"]
    return ExpressionMatrix(compressed_rows(data, indices, indptr, (n_cells, n_genes)), cells, genes)


def _mapped(file: IO[bytes], dtype: str, n: int) -> NDArray[Any]:
    """Array in a file, read as it is needed; what is changed in it is changed in memory alone."""
    if n == 0:
        return np.empty(0, dtype=dtype)
    return np.asarray(np.memmap(cast(Any, file), dtype=dtype, mode="c", shape=(n,)))


def _table(file: IO[bytes]) -> pl.DataFrame:
    file.seek(0)
    return pl.read_ipc(io.BytesIO(file.read()))


def pack_error(error: SclandmarksError) -> dict[str, Any]:
    """An error as a dict that can be written as JSON; `unpack_error` undoes it."""
    notes = list(getattr(error, "__notes__", []))
    return {"kind": type(error).__name__, "parts": [error.expected, error.got, error.remedy], "notes": notes}


def unpack_error(packed: Mapping[str, Any]) -> SclandmarksError:
    """The error that was packed, with its notes."""
    error = cast(SclandmarksError, getattr(errors, packed["kind"])(*packed["parts"]))
    for note in packed["notes"]:
        error.add_note(note)
    return error
