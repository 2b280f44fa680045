"""A look at zarr: AnnData in a folder, or in a zip of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sclandmarks.io.inspect.annotated import look_at_anndata
from sclandmarks.io.inspect.look import Look
from sclandmarks.io.raw.common import reading
from sclandmarks.io.raw.h5ad import zarr_group


def look_at_zarr(path: Path, roles: dict[str, Sequence[str]]) -> Look:
    """Look at a zarr store, as `look_at_anndata`.

    Raises
    ------
    DataError
        If it is broken, or no AnnData.
    """
    with reading("a readable .zarr folder, or zip of one"), zarr_group(path) as group:
        return look_at_anndata(group, "zarr", roles["zarr"])
