"""Counts as text: CSV or TSV, plain or gzip, one row a gene or one row a cell."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, ClassVar, Literal, NamedTuple

import polars as pl
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import CellLabels, Origin, named_genes, naming, to_matrix
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import Section

BLOCK_BYTES = 1 << 24
NUMBERS_REMEDY = "Give a table of counts whose first column and first row are names, all other fields numbers."
CSV_LIMIT = 1 << 27
NEWLINE = b"\n"


class TableSettings(Section):
    """How a table of counts is laid out.

    Parameters
    ----------
    orientation : {"genes_by_cells", "cells_by_genes"}
        What a row is: a gene, or a cell.
    separator : str
        Between the fields of counts and labels.
    """

    optional_roles: ClassVar[tuple[str, ...]] = ("labels",)

    format: Literal["table"]
    orientation: Literal["genes_by_cells", "cells_by_genes"]
    separator: Literal[",", "\t", ";"] = ","


class _Names(NamedTuple):
    columns: list[str]
    rows: list[str]


def read_text_table(files: Mapping[str, Path], settings: TableSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from text, in blocks of rows, so that memory holds the non-zeros and one block.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: a header with the columns' names (with or without a field above the row names), then a name and
        numbers in each row; fields may be quoted. `labels`, optional: a header, then a row for each cell in the
        order of the counts, with the cell type in the second column.
    settings : TableSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If a field is missing or no number, rows differ in length, names repeat, the labels do not fit the cells, or
        the values are not counts; a note names the file.
    """
    with naming(files["counts"], origin):
        X, names = _read_counts(files["counts"], settings.separator)
        by_genes = settings.orientation == "genes_by_cells"
        barcodes, genes = (names.columns, names.rows) if by_genes else (names.rows, names.columns)
    labels = CellLabels()
    if "labels" in files:
        with naming(files["labels"], origin):
            labels = CellLabels(cell_type=_read_labels(files["labels"], settings.separator, barcodes))
    with naming(files["counts"], origin):
        return to_matrix(X.T if by_genes else X, barcodes, labels, named_genes(genes), origin)


def _open(path: Path) -> gzip.GzipFile | IO[bytes]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if is_gzip else path.open("rb")


def _read_counts(path: Path, separator: str) -> tuple[sparse.csr_matrix, _Names]:
    blocks: list[sparse.csr_matrix] = []
    rows: list[str] = []
    try:
        with _open(path) as file:
            header = _fields(file.readline(), separator)
            first = file.readline()
            columns = _columns(header, _fields(first, separator))
            for lines in _blocks(file, first):
                frame = _parse(lines, columns, separator, first_line=len(rows) + 2)
                rows += frame.to_series(0).to_list()
                blocks.append(sparse.csr_matrix(frame[:, 1:].to_numpy()))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("a readable text or gzip file", str(error), "Get the file again.") from error
    return sparse.vstack(blocks, format="csr"), _Names(columns, rows)


def _fields(line: bytes, separator: str) -> list[str]:
    csv.field_size_limit(CSV_LIMIT)
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        return next(csv.reader([text], delimiter=separator), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("text in UTF-8", str(error), "Give a CSV or TSV file, plain or gzip.") from error


def _columns(header: list[str], first: list[str]) -> list[str]:
    """Names of the columns of numbers; R leaves out the field above the row names."""
    if len(first) < 2 or len(first) - len(header) not in (0, 1):
        raise DataError(
            "a header and rows of a name and numbers, all of one length",
            f"{len(header)} fields in the header and {len(first)} in the first row",
            "Check the file and the `separator` of its entry in datasets.yaml.",
        )
    return header[len(header) - len(first) + 1 :]


def _blocks(file: gzip.GzipFile | IO[bytes], first: bytes) -> Iterator[bytes]:
    """Yield whole lines, about BLOCK_BYTES at a time, without blank lines at the end of the file."""
    rest = first
    while chunk := file.read(BLOCK_BYTES):
        lines, newline, rest = (rest + chunk).rpartition(NEWLINE)
        if lines.strip():
            yield lines + newline
    if rest.strip():
        yield rest


def _parse(lines: bytes, columns: list[str], separator: str, first_line: int) -> pl.DataFrame:
    """Names and numbers of a block of lines, n_rows x (1 + n_columns)."""
    types: dict[str, pl.DataType] = {"": pl.String()} | {str(i): pl.Float64() for i in range(len(columns))}
    lines = lines.rstrip(b"\r\n")
    where = f"lines {first_line} to {first_line + lines.count(NEWLINE)}"
    try:
        frame = pl.read_csv(io.BytesIO(lines), has_header=False, separator=separator, schema=types)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"a name and {len(columns)} numbers in {where}", reason, NUMBERS_REMEDY) from error
    missing = [(i, column) for i, column in enumerate(frame.get_columns()) if column.null_count()]
    if missing:
        place, column = missing[0]
        line = first_line + int(column.is_null().arg_true()[0])
        what = f"column {columns[place - 1]}" if place else "the row's name"
        raise DataError("a value in every field", f"none in line {line}, {what}", NUMBERS_REMEDY)
    return frame


def _read_labels(path: Path, separator: str, barcodes: list[str]) -> list[str]:
    try:
        with _open(path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
        rows = [row for row in csv.reader(lines, delimiter=separator) if row][1:]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError("a readable table of labels", str(error), "Get the file again.") from error
    if len(rows) != len(barcodes) or any(len(row) < 2 for row in rows):
        raise DataError(
            f"a header and {len(barcodes)} rows with a label in the second column, one for each cell",
            f"{sum(len(row) >= 2 for row in rows)} such rows of {len(rows)}",
            "Give one label for each cell of the counts, in their order.",
        )
    _check_order([row[0] for row in rows], barcodes)
    return [row[1] for row in rows]


def _check_order(first_column: list[str], barcodes: list[str]) -> None:
    """Labels go by place; where their first column holds barcodes it must say the same."""
    if first_column != barcodes and not set(barcodes).isdisjoint(first_column):
        at = next(i for i, pair in enumerate(zip(first_column, barcodes, strict=True)) if pair[0] != pair[1])
        raise DataError(
            "labels in the order of the cells",
            f"label {at + 1} for {first_column[at]} where the counts have {barcodes[at]}",
            "Sort the labels as the counts are.",
        )
