"""Readers of count files as others publish them, one module a format.

A reader is a function `(files, settings, origin) -> ExpressionMatrix`: role -> path, the `reader` section of the
entry in datasets.yaml, and what the entry says of every cell. A new format is a module with a settings section and
such a function, a line in READERS and one in Reader.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.h5ad import H5adSettings, ZarrSettings, read_h5ad, read_zarr
from sclandmarks.io.raw.loom import LoomSettings, read_loom
from sclandmarks.io.raw.panglaodb import PanglaodbSettings, read_panglaodb
from sclandmarks.io.raw.parquet import ParquetSettings, read_parquet
from sclandmarks.io.raw.table import TableSettings, read_text_table
from sclandmarks.io.raw.tenx_h5 import TenxH5Settings, read_tenx_h5
from sclandmarks.io.raw.tenx_mtx import TenxMtxSettings, read_tenx_mtx
from sclandmarks.matrix import ExpressionMatrix

READERS: dict[str, Callable[[Mapping[str, Path], Any, Origin], ExpressionMatrix]] = {
    "table": read_text_table,
    "h5ad": read_h5ad,
    "zarr": read_zarr,
    "loom": read_loom,
    "tenx_h5": read_tenx_h5,
    "tenx_mtx": read_tenx_mtx,
    "panglaodb": read_panglaodb,
    "parquet": read_parquet,
}

Reader = Annotated[
    TableSettings
    | H5adSettings
    | ZarrSettings
    | LoomSettings
    | TenxH5Settings
    | TenxMtxSettings
    | PanglaodbSettings
    | ParquetSettings,
    Field(discriminator="format"),
]
