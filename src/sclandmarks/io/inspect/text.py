"""A look at tables of counts as text: separator, sides, names, and some of the numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sclandmarks.errors import DataError
from sclandmarks.io.inspect.look import Look, Problem, count_problems, matrix_of, repeated_barcodes
from sclandmarks.io.inspect.magic import EXPORT, TAKEN
from sclandmarks.io.inspect.packed import Packed, cut_problems
from sclandmarks.io.raw.names import seen_genes
from sclandmarks.io.raw.orientation import detect
from sclandmarks.io.raw.text import NEWLINE

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon"}
BUDGET = 1 << 28
LONGEST = 1 << 27
MOST_VALUES = 1 << 21
SAMPLE = re.compile(r'^"?[SED]RA\d+"?,"?([SED]RS\d+|notused)"?,')
BLANKS = "Save it with commas or tabs between the fields."


@dataclass
class _Rows:
    """What is seen of the rows: their names, some numbers, and what is wrong with them."""

    names: list[str] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    n_values: int = 0
    ragged: str = ""
    words: str = ""


def look_at_table(path: Path, packing: str) -> Look:
    """Look at a table of counts.

    Parameters
    ----------
    path : Path
    packing : {"", "gzip", "zstd"}

    Raises
    ------
    DataError
        If it is text of another kind: prose, names alone, a table of labels, or not UTF-8.
    """
    with Packed(path, packing, BUDGET) as packed:
        header, first = packed.first_line(), packed.first_line()
        separator = _separator(header, first, packed.fault)
        head, one = _fields(header, separator), _fields(first, separator)
        columns = head[len(head) - len(one) + 1 :]
        rows = _Rows()
        _take(rows, first, separator, len(columns))
        for block in packed.blocks():
            _take(rows, block, separator, len(columns))
        n_rows = len(rows.names) if packed.exact else round(len(rows.names) * packed.times())
        exact, problems = packed.exact, cut_problems(packed)
    problems += _row_problems(rows)
    return _look(columns, rows, separator, n_rows, exact, problems)


def _look(columns: list[str], rows: _Rows, separator: str, n_rows: int, exact: bool, problems: list[Problem]) -> Look:
    found = matrix_of("values", np.concatenate(rows.values) if rows.values else np.empty(0))
    problems = [*problems, *count_problems([found])]
    by_genes = True
    try:
        by_genes = detect(columns, rows.names) == "genes_by_cells"
    except DataError as error:
        problems.append(Problem(f"not clear whether genes are rows or columns: {error.got}", error.remedy))
    names, barcodes = (rows.names, columns) if by_genes else (columns, rows.names)
    n_genes, n_cells = (n_rows, len(columns)) if by_genes else (len(columns), n_rows)
    orientation = "genes_by_cells" if by_genes else "cells_by_genes"
    reader = {"format": "table", "orientation": orientation} | ({"separator": separator} if separator != "," else {})
    layout = f"{orientation.replace('_by_', ' x ')}, separated by {SEPARATORS[separator]}s"
    return Look("table of text", n_cells, n_genes, seen_genes(names), [found], reader, exact, layout,
                problems=[*problems, *repeated_barcodes(barcodes)])  # fmt: skip


def _separator(header: bytes, first: bytes, fault: str | None) -> str:
    """What stands between the fields: what splits both lines alike, and most."""
    if fault:
        raise DataError("a whole file", fault, "Get the file again: it is cut or damaged.")
    try:
        lines = [line.decode("utf-8-sig").rstrip("\r\n") for line in (header, first)]
    except UnicodeDecodeError as error:
        raise DataError("text in UTF-8", f"the byte 0x{error.object[error.start]:02x}", "Save it as UTF-8.") from error
    fits = {} if SAMPLE.match(lines[1]) else {mark: n for mark in SEPARATORS if (n := _n_numbers(lines, mark))}
    if fits:
        return max(fits, key=lambda mark: fits[mark])
    raise _no_table(*lines)


def _n_numbers(lines: Sequence[str], separator: str) -> int:
    """Numbers in the first row, if both lines have as many fields; else none."""
    head, one = (_split(line, separator) for line in lines)
    if len(one) < 2 or len(one) - len(head) not in (0, 1):
        return 0
    return sum(_is_number(text) for text in one[1:])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _no_table(header: str, first: str) -> DataError:
    words = first.split()
    if SAMPLE.match(first):
        return DataError("a table of counts", "PanglaoDB's cell types of clusters",
                         "Give the counts, a .RData; this file goes with them (`--annotations`).")  # fmt: skip
    if not first:
        return DataError("a header and rows of numbers", f"a single line, {header[:60]!r}", EXPORT)
    if len(words) > 2 and all(map(_is_number, words[1:])):
        return DataError("fields separated by commas, tabs or semicolons", "fields separated by blanks", BLANKS)
    if len(words) == 2 and len(header.split()) == 2 and "," not in first:
        return DataError("a table of counts", "two words in each line, as PanglaoDB's clusters or a list of names",
                         "Give the counts; this file goes with them (`--clusters`, `--features`).")  # fmt: skip
    if any(first.count(mark) == header.count(mark) > 0 for mark in SEPARATORS):
        return DataError("numbers behind the first field of each row", f"a table without: {first[:60]!r}",
                         "Give the counts; a table of labels goes with them (`--labels`).")  # fmt: skip
    return DataError("a table of counts", f"text without one: {header[:60]!r}", TAKEN)


def _fields(line: bytes, separator: str) -> list[str]:
    return _split(line.decode("utf-8-sig").rstrip("\r\n"), separator)


def _split(line: str, separator: str) -> list[str]:
    csv.field_size_limit(LONGEST)
    return next(csv.reader([line], delimiter=separator), [])


def _take(rows: _Rows, block: bytes, separator: str, n_columns: int) -> None:
    """Note the names of a block's rows; of the numbers, those of some rows from its beginning."""
    mark = separator.encode()
    for line in _lines(block):
        name, _, rest = line.partition(mark)
        rows.names.append(name.decode("utf-8", "replace").strip('"'))
        if rest.count(mark) != n_columns - 1 and b'"' not in rest and not rows.ragged:
            rows.ragged = f"{rest.count(mark) + 2} fields in row {len(rows.names) + 1} instead of {n_columns + 1}"
        if rows.n_values < MOST_VALUES and not rows.ragged:
            _take_values(rows, rest, separator)


def _take_values(rows: _Rows, rest: bytes, separator: str) -> None:
    fields = _fields(rest, separator)
    try:
        values = np.array(fields, dtype=np.float64)
    except ValueError:
        rows.words = rows.words or next(text for text in fields if not _is_number(text)) or "an empty field"
        return
    rows.values.append(values)
    rows.n_values += len(values)


def _lines(block: bytes) -> Iterator[bytes]:
    return (line.rstrip(b"\r") for line in block.split(NEWLINE) if line.strip())


def _row_problems(rows: _Rows) -> list[Problem]:
    found = []
    if rows.ragged:
        found.append(Problem(f"rows differ in length: {rows.ragged}", "Get the file again, or mend the row."))
    if rows.words:
        remedy = "Leave only the names in front of the numbers; missing counts are 0."
        found.append(Problem(f"a field that is no number: {rows.words[:40]}", remedy))
    return found
