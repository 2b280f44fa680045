"""Counts as text: CSV or TSV, plain, gzip or zstd, one row a gene or one row a cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import Origin, naming
from sclandmarks.io.raw.labels import cell_labels
from sclandmarks.io.raw.names import named_genes
from sclandmarks.io.raw.orientation import detect
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.io.raw.text import BROKEN, NEWLINE, check_utf8, line_blocks, open_text
from sclandmarks.matrix import ExpressionMatrix

BLOCK_BYTES = 1 << 24
NUMBERS_REMEDY = "Give a table of counts whose first column and first row are names, all other fields numbers."
CSV_LIMIT = 1 << 27


class TableSettings(ReaderSettings):
    """How a table of counts is laid out.

    Parameters
    ----------
    orientation : {"auto", "genes_by_cells", "cells_by_genes"}
        What a row is: a gene, or a cell; `auto` looks which side has names of genes.
    separator : str
        Between the fields of the counts.
    """

    format: Literal["table"]
    orientation: Literal["auto", "genes_by_cells", "cells_by_genes"] = "auto"
    separator: Literal[",", "\t", ";"] = ","


class _Block(NamedTuple):
    """Some rows: their names, and their numbers one row behind the other."""

    names: list[str]
    values: NDArray[Any]


class _Names(NamedTuple):
    columns: list[str]
    rows: list[str]


def read_text_table(files: Mapping[str, Path], settings: TableSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from text, in blocks of rows, so that memory holds the non-zeros and one block.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: a header with the columns' names (with or without a field above the row names), then a name and
        numbers in each row; UTF-8, plain, gzip or zstd; fields may be quoted. `labels`, optional, see
        `labels.cell_labels`.
    settings : TableSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If a field is missing or no number, rows differ in length, it is not clear which side is the genes, names
        repeat, the labels do not fit the cells, or the values are not counts; a note names the file.
    """
    with naming(files["counts"], origin):
        X, names = _read_counts(files["counts"], settings.separator)
        orientation = detect(*names) if settings.orientation == "auto" else settings.orientation
        by_genes = orientation == "genes_by_cells"
        barcodes, genes = (names.columns, names.rows) if by_genes else (names.rows, names.columns)
        labels = cell_labels(files, settings, barcodes, origin)
        return to_matrix(X.T if by_genes else X, barcodes, labels, named_genes(genes), settings, origin)


def _read_counts(path: Path, separator: str) -> tuple[sparse.csr_matrix, _Names]:
    blocks: list[sparse.csr_matrix] = []
    rows: list[str] = []
    try:
        with open_text(path) as file:
            header = _fields(file.readline(), separator, 1)
            first = file.readline()
            columns = _columns(header, _fields(first, separator, 2))
            for lines in line_blocks(file, first, BLOCK_BYTES):
                names, values = _plain(lines, len(columns), separator) or _parse(
                    lines, columns, separator, len(rows) + 2
                )
                rows += names
                blocks.append(_sparse(values, len(columns)))
    except BROKEN as error:
        raise DataError("a readable text, gzip or zstd file", str(error), "Get the file again.") from error
    return sparse.vstack(blocks, format="csr"), _Names(columns, rows)


def _fields(line: bytes, separator: str, number: int) -> list[str]:
    check_utf8(line, number)
    csv.field_size_limit(CSV_LIMIT)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        return next(csv.reader([text], delimiter=separator), [])
    except csv.Error as error:
        raise DataError("fields of text", str(error), "Give a CSV or TSV file, plain, gzip or zstd.") from error


def _columns(header: list[str], first: list[str]) -> list[str]:
    """Names of the columns of numbers; R leaves out the field above the row names."""
    if len(first) < 2 or len(first) - len(header) not in (0, 1):
        raise DataError(
            "a header and rows of a name and numbers, all of one length",
            f"{len(header)} fields in the header and {len(first)} in the first row",
            "Check the file and the `separator` of its entry in datasets.yaml.",
        )
    return header[len(header) - len(first) + 1 :]


def _plain(lines: bytes, n_columns: int, separator: str) -> _Block | None:
    """Read a block without quotes as one long column of numbers, which is faster; None if anything is odd."""
    mark = separator.encode()
    rows = lines.rstrip().split(NEWLINE)
    if b'"' in lines or any(row.count(mark) != n_columns for row in rows):
        return None
    parts = [row.partition(mark) for row in rows]
    numbers = mark.join([part[2].rstrip(b"\r") for part in parts]).replace(mark, NEWLINE)
    names = [part[0] for part in parts]
    for kind in (pl.Int32(), pl.Float64()):
        try:
            frame = pl.read_csv(io.BytesIO(numbers), has_header=False, schema={"value": kind})
            if frame.height != len(rows) * n_columns or frame["value"].null_count() or b"" in names:
                return None
            return _Block([name.decode("utf-8") for name in names], frame["value"].to_numpy())
        except (pl.exceptions.PolarsError, UnicodeDecodeError):
            continue
    return None


def _sparse(values: NDArray[Any], n_columns: int) -> sparse.csr_matrix:
    """Non-zeros of a block of whole rows, given one behind the other."""
    places = np.flatnonzero(values)
    n_rows = len(values) // n_columns
    starts = np.searchsorted(places, np.arange(n_rows + 1) * n_columns)
    indices = (places % n_columns).astype(np.int32)
    return sparse.csr_matrix((values[places], indices, starts), shape=(n_rows, n_columns))


def _parse(lines: bytes, columns: list[str], separator: str, first_line: int) -> _Block:
    """Names and numbers of a block of lines of any form; what is wrong is named."""
    types: dict[str, pl.DataType] = {"": pl.String()} | {str(i): pl.Float64() for i in range(len(columns))}
    lines = lines.rstrip(b"\r\n")
    where = f"lines {first_line} to {first_line + lines.count(NEWLINE)}"
    try:
        frame = pl.read_csv(io.BytesIO(lines), has_header=False, separator=separator, schema=types)
    except pl.exceptions.PolarsError as error:
        check_utf8(lines, first_line)
        reason = str(error).partition("\n")[0]
        raise DataError(f"a name and {len(columns)} numbers in {where}", reason, NUMBERS_REMEDY) from error
    missing = [(i, column) for i, column in enumerate(frame.get_columns()) if column.null_count()]
    if missing:
        place, column = missing[0]
        line = first_line + int(column.is_null().arg_true()[0])
        what = f"column {columns[place - 1]}" if place else "the row's name"
        raise DataError("a value in every field", f"none in line {line}, {what}", NUMBERS_REMEDY)
    return _Block(frame.to_series(0).to_list(), frame[:, 1:].to_numpy().ravel())
