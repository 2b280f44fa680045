"""What a table is, and how one is checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from sclandmarks.errors import SchemaError


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
    dtype : type[pl.DataType]
    meaning : str
        One line, unit included.
    nullable : bool
        Whether missing values are allowed.
    """

    name: str
    dtype: type[pl.DataType]
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, and the columns that together name a row.

    Parameters
    ----------
    name : str
    columns : tuple of Column
    key : tuple of str
        No two rows agree in all of these; empty for tables without a key.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def dtypes(self) -> dict[str, type[pl.DataType]]:
        """Column name -> polars type, in order."""
        return {column.name: column.dtype for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """Return the table without rows."""
        return pl.DataFrame(schema=self.dtypes)


def check(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return `frame` unchanged when it follows `table`.

    Raises
    ------
    SchemaError
        If columns, types, missing values or the key are not as `table` says.
    """
    _check_columns(frame, table)
    for column in table.columns:
        if not column.nullable and frame[column.name].null_count():
            raise SchemaError(
                f"no missing value in {table.name}.{column.name} ({column.meaning})",
                f"{frame[column.name].null_count()} missing",
                "Write the table again with the stage that makes it.",
            )
    _check_key(frame, table)
    return frame


def ordered(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Columns of `table` in its order and of its types; others are left out."""
    return frame.select([pl.col(name).cast(dtype) for name, dtype in table.dtypes.items()])


def frame(table: Table, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a table of its types; a number that is not finite is missing."""
    made = pl.DataFrame(list(rows), infer_schema_length=None)
    if made.is_empty():
        return table.empty()
    floats = pl.col(pl.Float64)
    return ordered(made, table).with_columns(pl.when(floats.is_finite()).then(floats))


def _check_columns(frame: pl.DataFrame, table: Table) -> None:
    got = {name: dtype.base_type() for name, dtype in frame.schema.items()}
    if list(got.items()) != list(table.dtypes.items()):
        raise SchemaError(
            f"table {table.name} with columns {_show(table.dtypes)}",
            _show(got),
            "Run `dvc repro`; if the table was made by another version, delete it first.",
        )


def _check_key(frame: pl.DataFrame, table: Table) -> None:
    if table.key and frame.select(table.key).is_duplicated().any():
        twice = frame.filter(frame.select(table.key).is_duplicated()).select(table.key).row(0)
        raise SchemaError(
            f"one row for each {' + '.join(table.key)} in table {table.name}",
            f"{twice} more than once",
            "Remove the duplicates from the input.",
        )


def _show(dtypes: dict[str, type[pl.DataType]]) -> str:
    return ", ".join(f"{name}: {dtype.__name__}" for name, dtype in dtypes.items())
