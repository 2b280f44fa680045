"""Tables on disk, checked against their schema when written and when read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from sclandmarks import schema
from sclandmarks.errors import SchemaError
from sclandmarks.io.atomic import write_aside, write_text


def write_table(path: Path, frame: pl.DataFrame, table: schema.Table) -> None:
    """Write a table as Parquet (or CSV, by the ending of `path`), whole or not at all.

    Raises
    ------
    SchemaError
        If `frame` does not follow `table`; nothing is written.
    OSError
        As `write_aside`.
    """
    with _named(path):
        schema.check(frame, table)
    buffer = BytesIO()
    if path.suffix == ".csv":
        frame.write_csv(buffer)
    else:
        pq.write_table(frame.to_arrow(), buffer, compression="zstd", write_statistics=False, write_page_checksum=True)
    with write_aside(path) as aside:
        aside.write_bytes(buffer.getbuffer())


def read_table(path: Path, table: schema.Table) -> pl.DataFrame:
    """Read a Parquet table and check it.

    Raises
    ------
    SchemaError
        If the file is missing, is not Parquet or does not follow `table`.
    """
    with _named(path):
        if not path.is_file():
            raise SchemaError(f"a table {table.name} at {path}", "no such file", "Run `dvc repro`, or `dvc pull`.")
        try:
            columns = pq.ParquetFile(path, page_checksum_verification=True).read()
            columns.validate(full=True)
            frame = pl.DataFrame(
                dict(zip(columns.column_names, columns.columns, strict=True))
            )  # of a whole table polars panics
        except (pa.ArrowException, pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise SchemaError(
                f"a Parquet table {table.name} at {path}",
                f"a file that cannot be read ({error})",
                "Delete it and run `dvc repro`, or `dvc pull`.",
            ) from error
        return schema.check(frame, table)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_tables(folder: Path, tables: Mapping[schema.Table, pl.DataFrame]) -> None:
    """Write every table to `folder`/NAME.parquet, see `write_table`."""
    for table, frame in tables.items():
        write_table(folder / f"{table.name}.parquet", frame, table)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    SchemaError
        If the file is missing or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"JSON at {path}", str(error), "Run `dvc repro`, or `dvc pull`.") from error
    if not isinstance(value, dict):
        raise SchemaError(f"a JSON object at {path}", type(value).__name__, "Run `dvc repro`, or `dvc pull`.")
    return value


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Add the file's path to a schema error raised inside the block."""
    try:
        yield
    except SchemaError as error:
        error.add_note(f"file: {path}")
        raise
