"""Counts in AnnData's file, .h5ad."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.common import CellLabels, Labels, Origin, named_genes, naming, to_matrix
from sclandmarks.matrix import ExpressionMatrix
from sclandmarks.params import Section

if TYPE_CHECKING:
    import anndata
    import pandas as pd

INDEX = "index"
DENSE_CELLS = 1024


class H5adSettings(Section):
    """Where an .h5ad file has the raw counts and the names.

    Parameters
    ----------
    matrix : str
        `X`, `raw.X` or `layers/NAME`.
    cell_type, donor, tissue : str, optional
        Columns of `obs`.
    symbol, ensembl : str, optional
        Columns of `var` (of `raw.var` for `raw.X`); `index`, or the index's own name, is the index. Without
        `ensembl`, the index is looked at for Ensembl ids.
    """

    optional_roles: ClassVar[tuple[str, ...]] = ()

    format: Literal["h5ad"]
    matrix: str = Field(default="X", pattern=r"^(X|raw\.X|layers/.+)$")
    cell_type: str | None = None
    donor: str | None = None
    tissue: str | None = None
    symbol: str = INDEX
    ensembl: str | None = None


def read_h5ad(files: Mapping[str, Path], settings: H5adSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from an .h5ad file; of the two big matrices X and raw.X only the one asked for is loaded.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the file.
    settings : H5adSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If the file is no .h5ad, has no such matrix or column, names repeat, or the values are not counts; a note
        names the file.
    """
    with naming(files["counts"], origin):
        adata = _open(files["counts"])
        try:
            X_CG, var = _matrix(adata, settings.matrix)
            labels = CellLabels(
                *(
                    _column(adata.obs, "obs", key, name)
                    for key, name in (
                        ("cell_type", settings.cell_type),
                        ("donor", settings.donor),
                        ("tissue", settings.tissue),
                    )
                )
            )
            genes = named_genes(
                [str(name) for name in var.index],
                _column(var, "var", "symbol", settings.symbol),
                _column(var, "var", "ensembl", settings.ensembl),
            )
            return to_matrix(X_CG, [str(name) for name in adata.obs.index], labels, genes, origin)
        finally:
            adata.file.close()


def _open(path: Path) -> anndata.AnnData:
    import anndata

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # repeated names are refused later, in the user's terms
            return anndata.read_h5ad(path, backed="r")
    except Exception as error:  # h5py and anndata raise OSError, KeyError, IORegistryError, ... for a broken file
        raise DataError("a readable .h5ad file", f"{type(error).__name__}: {error}", "Get the file again.") from error


def _matrix(adata: anndata.AnnData, name: str) -> tuple[sparse.csr_matrix, pd.DataFrame]:
    """Find counts, n_cells x n_genes, and the table of their genes."""
    there = (["X"] if "X" in adata.file else []) + (["raw.X"] if adata.raw is not None else [])
    there += [f"layers/{layer}" for layer in adata.layers]
    if name not in there:
        raise DataError(f"a matrix {name}", f"a file with {', '.join(there) or 'none'}", _remedy("matrix"))
    if name == "raw.X":
        return _to_csr(adata.raw.X), adata.raw.var
    return _to_csr(adata.X if name == "X" else adata.layers[name.removeprefix("layers/")]), adata.var


def _to_csr(X: Any) -> sparse.csr_matrix:
    if hasattr(X, "to_memory"):
        X = X.to_memory()
    if sparse.issparse(X):
        return sparse.csr_matrix(X)
    rows = range(0, max(X.shape[0], 1), DENSE_CELLS)
    return sparse.vstack([sparse.csr_matrix(np.asarray(X[row : row + DENSE_CELLS])) for row in rows], format="csr")


def _column(frame: pd.DataFrame, table: str, key: str, name: str | None) -> Labels | None:
    if name is None:
        return None
    if name in frame.columns:
        column = frame[name].astype(object)
        return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
    if name in (INDEX, frame.index.name):
        return [str(value) for value in frame.index]
    there = ", ".join([INDEX, *map(str, frame.columns)])
    raise DataError(f"a column {name} in {table}", f"a file with {there}", _remedy(key))


def _remedy(key: str) -> str:
    return f"Set `reader.{key}` of the entry in datasets.yaml to one of these."
