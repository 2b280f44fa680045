"""Counts in AnnData's files, .h5ad and .zarr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sclandmarks.errors import DataError
from sclandmarks.io.raw.anndata_group import AUTO, csr, fault, matrices, no_counts, pick, remedy, sample, table
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import Labels, Origin, naming, reading
from sclandmarks.io.raw.labels import Own, cell_labels
from sclandmarks.io.raw.names import named_genes
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.matrix import ExpressionMatrix

if TYPE_CHECKING:
    import pandas as pd

INDEX = "index"


class _AnnDataSettings(ReaderSettings):
    """Base of the settings of AnnData's files."""

    matrix: str = Field(default=AUTO, pattern=r"^(auto|X|raw\.X|layers/.+)$")
    symbol: str = INDEX
    ensembl: str | None = None


class H5adSettings(_AnnDataSettings):
    """Where an .h5ad file has the raw counts and the names; cells are labelled by columns of `obs`.

    Parameters
    ----------
    matrix : str
        `X`, `raw.X` or `layers/NAME`; `auto` takes the first of them that holds whole numbers.
    symbol, ensembl : str, optional
        Columns of `var` (of `raw.var` for `raw.X`); `index`, or the index's own name, is the index. Without
        `ensembl`, the index is looked at for Ensembl ids.
    """

    format: Literal["h5ad"]


class ZarrSettings(_AnnDataSettings):
    """Where a .zarr folder of AnnData has the raw counts and the names; parameters as `H5adSettings`."""

    format: Literal["zarr"]


def read_h5ad(files: Mapping[str, Path], settings: H5adSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from an .h5ad file; of its matrices only the one asked for is loaded.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the file. `labels`, optional, see `labels.cell_labels`.
    settings : H5adSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If the file is no .h5ad, has no such matrix or column, no matrix is of whole numbers, names repeat, or the
        values are not counts; a note names the file.
    """
    import h5py

    path = files["counts"]
    with naming(path, origin), reading("a readable .h5ad file"), h5py.File(path, "r") as file:
        return _read(file, files, settings, origin)


def read_zarr(files: Mapping[str, Path], settings: ZarrSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from AnnData in zarr, as `read_h5ad` does.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the folder, or a zip file of it. `labels`, optional.
    settings : ZarrSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        As `read_h5ad`.
    """
    path = files["counts"]
    with naming(path, origin), reading("a readable .zarr folder, or zip of one"), zarr_group(path) as group:
        return _read(group, files, settings, origin)


@contextmanager
def zarr_group(path: Path) -> Iterator[Any]:
    """Open a zarr folder, or a zip file of one, for reading."""
    import zarr

    if path.is_dir():
        yield zarr.open_group(path, mode="r")
        return
    with zarr.storage.ZipStore(path, mode="r") as store:
        yield zarr.open_group(store, mode="r")


def _read(group: Any, files: Mapping[str, Path], settings: _AnnDataSettings, origin: Origin) -> ExpressionMatrix:
    recover = settings.normalised == "recover"
    name = pick(group, settings.matrix, recover)
    place = matrices(group)[name]
    obs, var = table(group, "obs"), table(group, place.replace("X", "var") if name == "raw.X" else "var")
    barcodes = [str(name) for name in obs.index]
    own = Own(_columns(obs), lambda name: _column(obs, "obs", "cell_type", name))
    labels = cell_labels(files, settings, barcodes, origin, own)
    genes = named_genes(
        [str(name) for name in var.index],
        _column(var, "var", "symbol", settings.symbol),
        _column(var, "var", "ensembl", settings.ensembl),
    )
    X_CG = csr(group[place])
    if settings.matrix == AUTO and not recover and (why := fault(sample(X_CG.data))):
        raise no_counts({name: why})
    if X_CG.shape != (len(obs), len(var)):
        raise DataError(f"{len(obs)} cells x {len(var)} genes in {name}, as the tables have", f"{X_CG.shape}",
                        "Get the file again.")  # fmt: skip
    return to_matrix(X_CG, barcodes, labels, genes, settings, origin)


def _columns(frame: pd.DataFrame) -> list[str]:
    return [INDEX, *([str(frame.index.name)] if frame.index.name else []), *map(str, frame.columns)]


def _column(frame: pd.DataFrame, table: str, key: str, name: str | None) -> Labels | None:
    if name is None:
        return None
    if name in frame.columns:
        column = frame[name].astype(object)
        return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    if name in (INDEX, frame.index.name):
        return [str(value) for value in frame.index]
    raise DataError(f"a column {name} in {table}", f"a file with {', '.join(_columns(frame))}", remedy(key))
