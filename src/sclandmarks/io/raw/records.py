"""Small tables beside the counts, as text: a header and rows, the separator found."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from sclandmarks.errors import DataError
from sclandmarks.io.raw.text import read_lines

SEPARATORS = ("\t", ",", ";")
CSV_LIMIT = 1 << 27


class Records(NamedTuple):
    """A table of text.

    Parameters
    ----------
    header : list of str
        Names of the columns, without blanks around them.
    rows : list of list of str
        As many fields in each as in the header, without blanks around them.
    """

    header: list[str]
    rows: list[list[str]]

    def column(self, place: int) -> list[str]:
        """Return the fields of a column."""
        return [row[place] for row in self.rows]

    def place(self, name: str) -> int:
        """Find the column of this name.

        Raises
        ------
        DataError
            If there is none, or more than one.
        """
        if self.header.count(name) != 1:
            got = f"{self.header.count(name)} of {', '.join(self.header)}"
            raise DataError(f"one column {name}", got, "Name the columns in the header of the table.")
        return self.header.index(name)


def read_records(path: Path) -> Records:
    """Read a table of text, plain, gzip or zstd, separated by tabs, commas or semicolons.

    Parameters
    ----------
    path : Path
        A header, which may leave out the name of the first column as R does, and rows; fields may be quoted.

    Raises
    ------
    DataError
        If it is broken, empty, not UTF-8, or rows differ in length.
    """
    lines = read_lines(path)
    rows = [row for row in _split(lines) if row]
    if len(rows) < 2:
        raise DataError("a header and rows", f"{len(rows)} lines", "Give a CSV or TSV file with a header.")
    header, *rest = [[field.strip() for field in row] for row in rows]
    if len(rest[0]) == len(header) + 1:
        header = ["", *header]
    odd = next((at for at, row in enumerate(rest, 2) if len(row) != len(header)), None)
    if odd:
        wanted, got = f"{len(header)} fields in each row, as in the header", f"{len(rest[odd - 2])} in row {odd}"
        raise DataError(wanted, got, "Quote fields that hold separators.")
    return Records(header, rest)


def _split(lines: list[str]) -> list[list[str]]:
    """Fields of all lines, by the separator that gives the header the most."""
    csv.field_size_limit(CSV_LIMIT)
    try:
        heads = {mark: len(next(csv.reader(lines[:1], delimiter=mark), [])) for mark in SEPARATORS}
        best = max(SEPARATORS, key=lambda mark: heads[mark])
        if heads[best] == 1 and len(lines) > 1:  # R leaves out the name of the column of row names
            best = max(SEPARATORS, key=lambda mark: len(next(csv.reader(lines[1:2], delimiter=mark), [])))
        return list(csv.reader(lines, delimiter=best))
    except csv.Error as error:
        raise DataError("a readable table", str(error), "Give a CSV or TSV file with a header.") from error
