"""Rows to tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from sclandmarks import schema


def to_frame(rows: Sequence[Mapping[str, Any]], table: schema.Table) -> pl.DataFrame:
    """Rows as a table; a number that is not finite is missing."""
    frame = pl.DataFrame(rows, schema=table.dtypes) if rows else table.empty()
    floats = [name for name, dtype in table.dtypes.items() if dtype == pl.Float64]
    return frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in floats)
