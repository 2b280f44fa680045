"""Labels of the cells: from the table in the role `labels`, and from what the file of counts says itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import CellLabels, Labels, Origin, naming
from sclandmarks.io.raw.records import Records, read_records
from sclandmarks.io.raw.settings import ReaderSettings

ROLE = "labels"
KEYS = CellLabels._fields
logger = logging.getLogger(__name__)


class Own(NamedTuple):
    """What the file of counts says of its cells.

    Parameters
    ----------
    names : sequence of str
        Of its columns of annotations.
    column : callable
        Values of the column of this name, one a cell.
    known : CellLabels
        What holds where no column is named.
    """

    names: Sequence[str] = ()
    column: Callable[[str], Labels | None] = lambda _: None
    known: CellLabels = CellLabels()


def cell_labels(
    files: Mapping[str, Path], settings: ReaderSettings, barcodes: Sequence[str], origin: Origin, own: Own | None = None
) -> CellLabels:
    """Labels of the cells in the order of the counts.

    Parameters
    ----------
    files : mapping of str to Path
        `labels`, optional: a CSV or TSV file with a header, plain, gzip or zstd. Its rows are joined to the cells by
        the column `settings.barcode`, else by the first column where that holds exactly the cells' barcodes, else
        row by row in the order of the cells. Where no column is named, the second is the cell type.
    settings : ReaderSettings
        Which columns are which label: of `labels`, or where that has none of the name, of the counts' file.
    barcodes : sequence of str, length n_cells
    origin : Origin
    own : Own, optional
        What the file of counts has.

    Returns
    -------
    CellLabels
        None for a cell of which the table says nothing; how many these are is logged.

    Raises
    ------
    DataError
        If a column is nowhere, the table is broken, has a cell twice, or has rows for none of the cells.
    """
    own = own or Own()
    named = {key: getattr(settings, key) for key in KEYS if getattr(settings, key) is not None}
    found: dict[str, Labels] = {}
    header: list[str] = []
    if ROLE in files:
        with naming(files[ROLE], origin):
            records = read_records(files[ROLE])
            header = records.header
            found = _joined(records, _columns(records, named, settings), _barcodes(records, settings, own), barcodes)
    rest = {key: name for key, name in named.items() if key not in found}
    _check_there(rest | ({"barcode": settings.barcode} if settings.barcode else {}), [*own.names, *header])
    taken = {key: own.column(name) for key, name in rest.items()}
    return own.known._replace(**taken, **found)


def _columns(records: Records, named: Mapping[str, str], settings: ReaderSettings) -> dict[str, int]:
    """Key -> column of the table."""
    there = {key: records.place(name) for key, name in named.items() if name in records.header}
    if there:
        return there
    if named:
        got = ", ".join(records.header)
        raise DataError(f"a column {' or '.join(named.values())}", got, "Name columns of this table in `reader`.")
    if len(records.header) < 2 or settings.barcode == records.header[1]:
        got = ", ".join(records.header)
        raise DataError("a label in the second column", got, "Set `reader.cell_type` to the name of its column.")
    return {"cell_type": 1}


def _barcodes(records: Records, settings: ReaderSettings, own: Own) -> list[str] | None:
    """Barcodes that the table is to be joined by, where a setting names their column."""
    if settings.barcode is None or (settings.barcode in own.names and settings.barcode not in records.header):
        return None
    return records.column(records.place(settings.barcode))


def _joined(
    records: Records, columns: Mapping[str, int], keys: list[str] | None, barcodes: Sequence[str]
) -> dict[str, Labels]:
    if keys is None and set(records.column(0)) == set(barcodes):
        keys = records.column(0)
    if keys is None:
        _check_order(records, barcodes)
        return {key: records.column(place) for key, place in columns.items()}
    rows = _rows_of_cells(keys, barcodes)
    values = {key: records.column(place) for key, place in columns.items()}
    return {key: [None if row is None else column[row] for row in rows] for key, column in values.items()}


def _rows_of_cells(keys: Sequence[str], barcodes: Sequence[str]) -> list[int | None]:
    """Row of the table for each cell; what does not fit is said."""
    row_of = {key: row for row, key in enumerate(keys)}
    if len(row_of) < len(keys):
        twice = next(key for row, key in enumerate(keys) if row_of[key] != row)
        raise DataError("each cell once", f"{twice} more than once", "Keep one row of each cell.")
    rows = [row_of.get(barcode) for barcode in barcodes]
    n_without, n_strange = rows.count(None), len(row_of.keys() - set(barcodes))
    if n_without == len(rows):
        wanted = f"rows for these cells, the first of them {barcodes[0] if barcodes else 'none'}"
        raise DataError(wanted, f"none, the first is for {keys[0]}", "Write the barcodes as the counts have them.")
    if n_without:
        logger.warning("%d of %d cells have no row in the labels and are Unknown", n_without, len(rows))
    if n_strange:
        logger.warning("%d of %d rows of the labels are for no cell of the counts", n_strange, len(keys))
    return rows


def _check_order(records: Records, barcodes: Sequence[str]) -> None:
    """Refuse rows that cannot be in the order of the cells."""
    first = records.column(0)
    if not set(barcodes).isdisjoint(first):
        n = len(set(barcodes) - set(first))
        raise DataError(
            "one label for each cell, by barcodes in the first column or in the order of the cells",
            f"{n} of {len(barcodes)} barcodes that are not in the first column, and others there",
            f"Set `reader.barcode: {records.header[0] or '(a name for the first column)'}` to join what fits.",
        )
    if len(records.rows) != len(barcodes):
        raise DataError(
            f"one label for each cell, a header and {len(barcodes)} rows",
            f"{len(records.rows)} rows",
            "Give one label for each cell of the counts, in their order, or name the column of barcodes by "
            "`reader.barcode`.",
        )


def _check_there(named: Mapping[str, str], there: Sequence[str]) -> None:
    for key, name in named.items():
        if name not in there:
            raise DataError(
                f"a column {name} of annotations of the cells",
                f"a file with {', '.join(there) or 'none'}",
                f"Set `reader.{key}` of the entry in datasets.yaml to one of these, or add the role `labels`, a table "
                "with such a column, to `source`.",
            )
