"""A look at Parquet: our own folder, wide tables and long ones; names, and some of the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sclandmarks.errors import DataError
from sclandmarks.io.inspect.columns import NAMES, column, is_named_as, with_roles
from sclandmarks.io.inspect.look import Column, Look, Problem, count_problems, matrix_of, repeated_barcodes
from sclandmarks.io.matrices import MatrixFile
from sclandmarks.io.raw.long_table import LongColumns
from sclandmarks.io.raw.names import seen_genes
from sclandmarks.io.raw.orientation import detect, gene_share
from sclandmarks.io.raw.parquet import ParquetSettings, layout_of, long_columns, parts_of
from sclandmarks.io.raw.wide_table import is_number, is_text

N_SAMPLES = 5
N_COLUMNS = 200
N_ROWS = 1 << 10
BUDGET = 1 << 24
"""Rows of a long table whose names are looked at; one row group at least."""
ANY = ParquetSettings(format="parquet")
EMPTY = "Write 0 where nothing was counted, and a name in every row."


def look_at_parquet(path: Path, roles: Sequence[str]) -> Look:
    """Look at a file of Parquet, or a folder of files of one table.

    Parameters
    ----------
    path : Path
    roles : sequence of str
        Of the cells' columns, those the reader has a setting for.

    Raises
    ------
    DataError
        If it is broken, or there are no columns of numbers.
    SchemaError
        If a folder of ours is not whole.
    """
    import pyarrow.parquet as pq

    parts = parts_of(path)
    names = pq.read_schema(parts[0]).names
    layout = layout_of(parts[0], names, ANY)
    if layout == "ours":
        return _ours(parts[0].parent)
    table = _open(parts)
    columns = long_columns(names, ANY) or _guessed(table)
    return _wide(table, roles) if columns is None else _long(table, columns, roles)


def _ours(folder: Path) -> Look:
    file = MatrixFile(folder)
    groups = np.unique(np.linspace(0, max(file.n_groups - 1, 0), N_SAMPLES).astype(int)).tolist()
    found = matrix_of("count", file.read(groups, "count").data if file.n_groups else np.empty(0))
    named = [column(name, file.cells[name].unique().to_list())._replace(role=name) for name in NAMES]
    genes = seen_genes(*(file.genes[name].to_list() for name in ("original", "symbol", "ensembl_id")))
    return Look("Parquet, a folder of sclandmarks", file.cells.height, genes.height, genes, [found],
                {"format": "parquet", "layout": "ours"}, columns=named, problems=count_problems([found]))  # fmt: skip


class _Table(NamedTuple):
    """Open files of one table."""

    files: list[Any]

    @property
    def fields(self) -> list[Any]:
        return list(self.files[0].schema_arrow)

    @property
    def n_rows(self) -> int:
        return sum(file.metadata.num_rows for file in self.files)

    def groups(self, names: Sequence[str]) -> Iterator[Any]:
        """Columns of these names, row group by row group."""
        for file in self.files:
            for at in range(file.num_row_groups):
                yield file.read_row_group(at, columns=list(names))

    def texts(self, name: str) -> list[str | None]:
        """All values of a column, as text."""
        return [value for part in self.groups([name]) for value in _texts(part.column(name))]


def _open(parts: Sequence[Path]) -> _Table:
    import pyarrow.parquet as pq

    table = _Table([pq.ParquetFile(part) for part in parts])
    other = next((part for part, file in zip(parts, table.files, strict=True)
                  if file.schema_arrow.names != table.files[0].schema_arrow.names), None)  # fmt: skip
    if other:
        raise DataError(f"the columns of {parts[0].name} in {other.name}", "others", "Give files of one table.")
    return table


def _texts(values: Any) -> list[str | None]:
    return list(values.cast("string").to_pylist())


def _guessed(table: _Table) -> LongColumns | None:
    """Columns of a long table under other names: two of text that name the same several times, and one of numbers."""
    texts = [field.name for field in table.fields if is_text(field.type)]
    numbers = [field.name for field in table.fields if is_number(field.type)]
    if len(texts) != 2 or len(numbers) != 1:
        return None
    seen = _Seen(table, texts, numbers[0])
    if any(len(seen.names(name)) == seen.n_rows for name in texts):
        return None
    cells, genes = sorted(texts, key=lambda name: gene_share(seen.names(name)))
    return LongColumns(cells, genes, numbers[0])


def _wide(table: _Table, roles: Sequence[str]) -> Look:
    texts = [field.name for field in table.fields if is_text(field.type)]
    numbers = [field.name for field in table.fields if is_number(field.type)]
    if not texts or not numbers:
        shown = ", ".join(f"{field.name} ({field.type})" for field in table.fields[:5])
        raise DataError("a column of names, of text, and columns of numbers", f"columns {shown}",
                        "Give a column of the rows' names, as text.")  # fmt: skip
    values_of = {name: table.texts(name) for name in texts}
    key = next((name for name in texts if len(set(values_of[name])) == table.n_rows), texts[0])
    rows, sampled = values_of.pop(key), _sample(table, numbers)
    found, problems = matrix_of("values", sampled.values), _empty({key: rows.count(None)} | sampled.empty)
    by_genes, unclear = _orientation(numbers, [name or "" for name in rows])
    labels: list[Column] = []
    if not by_genes:
        values_of |= {name: table.texts(name) for name in numbers if any(is_named_as(name, role) for role in roles)}
        labels = with_roles([column(name, values) for name, values in values_of.items()], table.n_rows, roles)
    apart = {one.name for one in labels if one.role}
    sides = ([name for name in numbers if name not in apart], [name or "" for name in rows])
    barcodes, genes = sides if by_genes else sides[::-1]
    about: dict[str, Any] = {"format": "parquet", "layout": "wide"}
    orientation = "genes_by_cells" if by_genes else "cells_by_genes"
    about |= {} if unclear else {"orientation": orientation}
    about |= {"gene" if by_genes else "cell": key} if key != texts[0] else {}
    about |= {one.role: one.name for one in labels if one.role}
    problems += [*unclear, *count_problems([found]), *repeated_barcodes(barcodes)]
    return Look("Parquet, a wide table", len(barcodes), len(genes), seen_genes(genes), [found], about,
                layout=orientation.replace("_by_", " x "), columns=labels, problems=problems)  # fmt: skip


class _Sampled(NamedTuple):
    values: NDArray[Any]
    empty: dict[str, int]


def _sample(table: _Table, numbers: Sequence[str]) -> _Sampled:
    """Some rows of some columns of a wide table, and how many fields of these are empty."""
    places = np.unique(np.linspace(0, len(numbers) - 1, N_COLUMNS).astype(int))
    names = [numbers[place] for place in places]
    batch = next((one for file in table.files for one in file.iter_batches(N_ROWS, columns=names)), None)
    if batch is None:
        return _Sampled(np.empty(0), {})
    columns = {name: batch.column(batch.schema.get_field_index(name)) for name in names}
    values = [one.drop_null().to_numpy(zero_copy_only=False) for one in columns.values()]
    return _Sampled(np.concatenate(values), {name: one.null_count for name, one in columns.items()})


def _orientation(columns: Sequence[str], rows: Sequence[str]) -> tuple[bool, list[Problem]]:
    try:
        return detect(columns, rows) == "genes_by_cells", []
    except DataError as error:
        return False, [Problem(f"not clear whether genes are rows or columns: {error.got}", error.remedy)]


def _empty(n_of: Mapping[str, int]) -> list[Problem]:
    empty = [f"{n} in {name or 'the column of names'}" for name, n in n_of.items() if n]
    return [Problem(f"empty fields: {', '.join(empty[:3])}", EMPTY)] if empty else []


class _Seen:
    """Distinct values of some columns of a long table, in the order in which they come."""

    def __init__(self, table: _Table, names: Sequence[str], counts: str) -> None:
        self.levels: dict[str, dict[str | None, None]] = {name: {} for name in names}
        self.values: list[NDArray[Any]] = []
        self.empty, self.n_rows = dict.fromkeys([*names, counts], 0), 0
        for part in table.groups([*names, counts]):
            self._add(part, counts)
            if self.n_rows >= BUDGET:
                break

    def _add(self, part: Any, counts: str) -> None:
        for name, levels in self.levels.items():
            levels |= dict.fromkeys(_texts(part.column(name).unique()))
        for name in self.empty:
            self.empty[name] += part.column(name).null_count
        if len(self.values) < N_SAMPLES:
            self.values.append(part.column(counts).drop_null().to_numpy())
        self.n_rows += part.num_rows

    def names(self, name: str) -> list[str]:
        """Distinct names."""
        return [one for one in self.levels[name] if one is not None]


def _long(table: _Table, columns: LongColumns, roles: Sequence[str]) -> Look:
    labels = [field.name for field in table.fields if field.name not in columns
              and (is_text(field.type) or any(is_named_as(field.name, role) for role in roles))]  # fmt: skip
    seen = _Seen(table, [columns.cells, columns.genes, *labels], columns.counts)
    found = matrix_of(columns.counts, np.concatenate(seen.values) if seen.values else np.empty(0))
    cells, genes = seen.names(columns.cells), seen.names(columns.genes)
    n_cells = round(len(cells) * table.n_rows / max(seen.n_rows, 1))
    named = with_roles([column(name, seen.names(name)) for name in labels], n_cells, roles)
    about: dict[str, Any] = {"format": "parquet", "layout": "long"}
    about |= {"cell": columns.cells, "gene": columns.genes, "count": columns.counts}
    about |= {one.role: one.name for one in named if one.role}
    empty = {name: seen.empty[name] for name in columns}
    return Look("Parquet, a long table", n_cells, len(genes), seen_genes(genes), [found], about,
                seen.n_rows == table.n_rows, "a row a count", named,
                problems=[*_empty(empty), *count_problems([found])])  # fmt: skip
