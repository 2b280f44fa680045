"""The one sparse matrix in an R workspace (.RData), parsed as data: no R, and nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import compressed_rows, reading, texts
from sclandmarks.io.raw.text import open_text

MATRIX_CLASS = "dgCMatrix"
SLOTS = ("i", "p", "x", "Dim", "Dimnames")
MAX_BYTES = 8 << 30
CHUNK = 1 << 24
REMEDY = "Give PanglaoDB's own {SRA}_{SRS}.sparse.RData."
NIL = 254


class Workspace(NamedTuple):
    """A sparse matrix of R, turned over.

    Parameters
    ----------
    X_CR : scipy.sparse.csr_matrix, shape (n_columns, n_rows)
        Float64.
    columns, rows : list of str
        Names.
    """

    X_CR: sparse.csr_matrix
    columns: list[str]
    rows: list[str]


def read_workspace(path: Path, objects: tuple[str, ...], max_bytes: int = MAX_BYTES) -> Workspace:
    """Read a dgCMatrix out of an R workspace in the RDX2 or RDX3 form, plain or gzip.

    Parameters
    ----------
    path : Path
    objects : tuple of str
        Names the matrix may have; the first that is there is taken.
    max_bytes : int
        Most that the unpacked file may hold.

    Returns
    -------
    Workspace

    Raises
    ------
    DataError
        If the file is broken, too large, has no such object, or the object is no whole dgCMatrix.
    """
    import rdata

    data = _unpacked(path, max_bytes)
    with reading("a readable R workspace (.RData)"):
        root = rdata.parser.parse_data(data).object
        del data
        there = dict(_pairs(root))
    for name in objects:
        if name in there:
            return _matrix(there[name], name)
    got = ", ".join(there) or "nothing"
    raise DataError(f"an object {' or '.join(objects)} in the workspace", f"a file with {got}", REMEDY)


def _unpacked(path: Path, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    with reading("a readable R workspace (.RData)"), open_text(path) as file:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise DataError(f"at most {max_bytes} bytes when unpacked", "more", "Check the file.")
            chunks.append(chunk)
    if not chunks or chunks[0][:5] not in (b"RDX2\n", b"RDX3\n"):
        got = repr(chunks[0][:5]) if chunks else "an empty file"
        raise DataError("an R workspace, which begins with RDX2 or RDX3", got, REMEDY)
    return b"".join(chunks)


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of R's linked list."""
    while node is not None and node.info.type.value != NIL:
        tag = node.tag.referenced_object or node.tag
        value, rest = node.value
        yield tag.value.value.decode("utf-8"), value
        node = rest


def _matrix(node: Any, name: str) -> Workspace:
    with reading(f"an S4 object {name} of class {MATRIX_CLASS}", REMEDY):
        slots = dict(_pairs(node.attributes))
        kind = _names(slots["class"])[0] if "class" in slots else "none"
    if kind != MATRIX_CLASS or (lacking := [slot for slot in SLOTS if slot not in slots]):
        got = f"class {kind}" if kind != MATRIX_CLASS else f"one without {', '.join(lacking)}"
        raise DataError(f"{name} to be a {MATRIX_CLASS} with {', '.join(SLOTS)}", got, REMEDY)
    with reading(f"{name} to be a whole {MATRIX_CLASS}", REMEDY):
        n_rows, n_columns = (int(n) for n in _array(slots["Dim"]))
        rows, columns = (_names(names) for names in slots["Dimnames"].value)
        if (len(rows), len(columns)) != (n_rows, n_columns):
            got = f"{len(rows)} and {len(columns)}"
            raise DataError(f"names of {n_rows} rows and {n_columns} columns", got, REMEDY)
        values, indices, starts = (_array(slots[slot]) for slot in ("x", "i", "p"))
        X_CR = compressed_rows(values, indices, starts, (n_columns, n_rows))
    return Workspace(X_CR, columns, rows)


def _array(node: Any) -> NDArray[Any]:
    """Numbers of a vector; R's NA in whole numbers, which come masked, are refused by what they are filled with."""
    return np.atleast_1d(np.ma.filled(node.value, -1))


def _names(node: Any) -> list[str]:
    """Texts of a character vector; none where the node is NULL, an empty one for NA."""
    return texts(char.value or "" for char in node.value or [])
