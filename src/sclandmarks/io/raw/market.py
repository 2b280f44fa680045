"""Sparse matrices as text, in the coordinate form of MatrixMarket, read block by block."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import compressed_rows
from sclandmarks.io.raw.text import BROKEN, NEWLINE, check_utf8, line_blocks, open_text

BLOCK_BYTES = 1 << 24
SHORTEST_LINE = len("1 1 1")
MOST_GZIP_SAVES = 1032
"""The longest run that deflate packs in a byte; see https://www.zlib.net/zlib_tech.html."""
INT32 = np.iinfo(np.int32)
REMEDY = "Get the file again, or write it again with `scipy.io.mmwrite`."


class Size(NamedTuple):
    """What the header says, and the line it says it in."""

    n_rows: int
    n_columns: int
    n_entries: int
    line: int


class _Entries(NamedTuple):
    """Places from 0, and values, of all entries or of a block."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[Any]


def read_market(path: Path) -> sparse.csr_matrix:
    """Read a MatrixMarket file, plain or compressed, and turn it over.

    Parameters
    ----------
    path : Path
        `%%MatrixMarket matrix coordinate integer|real general`, size and entries, places counted from 1.

    Returns
    -------
    scipy.sparse.csr_matrix, shape (n_columns, n_rows)
        Int32 if all values are whole and fit, else float64; entries of the same place are added up.

    Raises
    ------
    DataError
        If the header is of another kind, entries are fewer or more than it says or out of its range, or anything is
        no number.
    """
    try:
        with open_text(path) as file:
            size = read_size(file)
            _check_possible(path, size)
            entries = _collect(line_blocks(file, b"", BLOCK_BYTES), size)
    except BROKEN as error:
        raise DataError("a readable .mtx file, plain, gzip or zstd", str(error), "Get the file again.") from error
    except MemoryError as error:
        raise DataError(f"room for {size.n_entries} entries", "too little memory", "Take a larger machine.") from error
    return _turned_over(entries, size)


def read_size(file: IO[bytes]) -> Size:
    """Read the header of an open file.

    Raises
    ------
    DataError
        If it is of another kind, or its numbers are none.
    """
    banner = file.readline(1 << 10)
    words = banner.decode("latin-1").lower().split()
    if words[:3] != ["%%matrixmarket", "matrix", "coordinate"] or words[3:] not in (
        ["integer", "general"], ["real", "general"]
    ):  # fmt: skip
        got = banner[:80].decode("ascii", "backslashreplace").strip() or "an empty line"
        raise DataError("%%MatrixMarket matrix coordinate integer (or real) general", got, REMEDY)
    number = 2
    while (line := file.readline(1 << 20)) and (line.startswith(b"%") or not line.strip()):
        number += 1
    try:
        n_rows, n_columns, n_entries = (int(word) for word in line.split())
    except ValueError as error:
        got = line[:80].decode("ascii", "backslashreplace").strip() or "the end of the file"
        raise DataError(f"rows, columns and entries in line {number}", got, REMEDY) from error
    if min(n_rows, n_columns, n_entries) < 0 or max(n_rows, n_columns) > INT32.max:
        got = f"{n_rows} x {n_columns} with {n_entries}"
        raise DataError("rows and columns from 0 to 2147483647", got, REMEDY)
    return Size(n_rows, n_columns, n_entries, number)


def _check_possible(path: Path, size: Size) -> None:
    """Refuse a header that promises more than the file can hold, before room is made for it."""
    most = path.stat().st_size * MOST_GZIP_SAVES // SHORTEST_LINE + 1
    if size.n_entries > most:
        raise DataError(f"{size.n_entries} entries, as the header says", "a file too short for them", REMEDY)


def _collect(blocks: Iterator[bytes], size: Size) -> _Entries:
    rows, columns = (np.empty(size.n_entries, dtype=np.int32) for _ in range(2))
    values: NDArray[Any] = np.empty(size.n_entries, dtype=np.int32)
    end, line = 0, size.line + 1
    for lines in blocks:
        block = _parse(lines, line)
        begin, end, line = end, end + len(block.rows), line + lines.count(NEWLINE)
        if end > size.n_entries:
            raise DataError(f"{size.n_entries} entries, as the header says", f"more, at least {end}", REMEDY)
        _check_range(block, size)
        if values.dtype == np.int32 and not _fits(block.values):
            values = values.astype(np.float64)
        np.subtract(block.rows, 1, out=rows[begin:end])
        np.subtract(block.columns, 1, out=columns[begin:end])
        values[begin:end] = block.values
    if end < size.n_entries:
        raise DataError(f"{size.n_entries} entries, as the header says", f"{end}", REMEDY)
    return _Entries(rows, columns, values)


def _parse(lines: bytes, first_line: int) -> _Entries:
    lines = lines.rstrip()
    if b"  " in lines or b"\t" in lines or b"\n " in lines or b" \n" in lines or lines[:1].isspace():
        lines = NEWLINE.join(b" ".join(line.split()) for line in lines.split(NEWLINE) if line.strip())
    try:
        return _numbers(lines, pl.Int32())
    except pl.exceptions.PolarsError:
        pass
    try:
        return _numbers(lines, pl.Float64())
    except pl.exceptions.PolarsError as error:
        check_utf8(lines, first_line)
        where = f"lines {first_line} to {first_line + lines.count(NEWLINE)}"
        reason = str(error).partition("\n")[0]
        raise DataError(f"a row, a column and a value in {where}", reason, REMEDY) from error


def _numbers(lines: bytes, kind: pl.DataType) -> _Entries:
    """Read three columns of numbers; missing ones are an error."""
    types = {"row": pl.Int32(), "column": pl.Int32(), "value": kind}
    frame = pl.read_csv(io.BytesIO(lines), has_header=False, separator=" ", schema=types)
    if any(frame.null_count().row(0)):
        raise pl.exceptions.ComputeError("a line with fewer than three numbers")
    return _Entries(*(column.to_numpy() for column in frame.get_columns()))


def _check_range(block: _Entries, size: Size) -> None:
    for name, places, n in (("row", block.rows, size.n_rows), ("column", block.columns, size.n_columns)):
        if places.size and (places.min() < 1 or places.max() > n):
            got = int(places.min() if places.min() < 1 else places.max())
            raise DataError(f"{name}s from 1 to {n}, as the header says", f"a {name} {got}", REMEDY)


def _fits(values: NDArray[Any]) -> bool:
    """Whether values can be kept as int32 without loss; NaN cannot."""
    if values.dtype == np.int32:
        return True
    return bool(((values == np.rint(values)) & (np.abs(values) <= INT32.max)).all())


def _turned_over(entries: _Entries, size: Size) -> sparse.csr_matrix:
    """Rows of the result are the file's columns; where these rise, as 10x writes them, nothing is sorted."""
    rows, columns, values = entries
    shape = (size.n_columns, size.n_rows)
    if (columns[1:] < columns[:-1]).any():
        return sparse.coo_matrix((values, (columns, rows)), shape=shape).tocsr()
    starts = np.concatenate([[0], np.bincount(columns, minlength=size.n_columns).cumsum()])
    return compressed_rows(values, rows, starts, shape)
