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
from sclandmarks.io.raw.h5ad import H5adSettings, read_h5ad
from sclandmarks.io.raw.table import TableSettings, read_text_table
from sclandmarks.matrix import ExpressionMatrix

READERS: dict[str, Callable[[Mapping[str, Path], Any, Origin], ExpressionMatrix]] = {
    "table": read_text_table,
    "h5ad": read_h5ad,
}

Reader = Annotated[TableSettings | H5adSettings, Field(discriminator="format")]
