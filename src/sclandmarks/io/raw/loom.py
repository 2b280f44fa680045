"""Counts in loom files: a dense genes x cells matrix in HDF5, read in blocks of cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import Labels, Origin, naming, reading, texts
from sclandmarks.io.raw.labels import Own, cell_labels
from sclandmarks.io.raw.names import named_genes
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.matrix import ExpressionMatrix

BLOCK_VALUES = 1 << 23
BARCODES = ("CellID", "obs_names", "cell_names", "Barcode")
SYMBOLS = ("Gene", "var_names", "gene_names", "GeneName")
ENSEMBL = ("Accession", "gene_ids", "EnsemblID")


class LoomSettings(ReaderSettings):
    """Where a loom file has the counts and the names; cells are labelled by column attributes.

    Parameters
    ----------
    matrix : str
        `matrix` or `layers/NAME`.
    barcode : str, optional
        Column attribute; without it, the first there of CellID, obs_names, cell_names and Barcode.
    symbol, ensembl : str, optional
        Row attributes; without them, the first there of Gene, var_names, gene_names and GeneName, and of
        Accession, gene_ids and EnsemblID, if any.
    """

    format: Literal["loom"]
    matrix: str = Field(default="matrix", pattern=r"^(matrix|layers/.+)$")
    symbol: str | None = None
    ensembl: str | None = None


def read_loom(files: Mapping[str, Path], settings: LoomSettings, origin: Origin) -> ExpressionMatrix:
    """Read counts from a loom file, in blocks, so that memory holds the non-zeros and one block.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the file. `labels`, optional, see `labels.cell_labels`.
    settings : LoomSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If the file is no loom file, has no such matrix or attribute, attributes and matrix disagree in length,
        names repeat, or the values are not counts; a note names the file.
    """
    import h5py

    with naming(files["counts"], origin):
        with reading("a readable .loom file"), h5py.File(files["counts"], "r") as file:
            matrix = _dataset(file, settings.matrix)
            n_genes, n_cells = matrix.shape
            columns, rows = _Attributes(file, "col_attrs", n_cells), _Attributes(file, "row_attrs", n_genes)
            asked = settings.barcode
            if "labels" in files and asked and asked not in columns.group:
                asked = None  # it is a column of the labels
            barcodes = columns.first("barcode", asked, BARCODES)
            own = Own(list(columns.group), lambda name: columns.named("cell_type", name))
            labels = cell_labels(files, settings, barcodes, origin, own)
            symbols = rows.first("symbol", settings.symbol, SYMBOLS)
            ensembl = rows.named("ensembl", settings.ensembl or rows.there(ENSEMBL))
            X_CG = _sparse(matrix)
        return to_matrix(X_CG, barcodes, labels, named_genes(symbols, symbols, ensembl), settings, origin)


class _Attributes:
    """Names and labels of one side of the matrix, n of each."""

    def __init__(self, file: Any, group: str, n: int) -> None:
        if group not in file:
            raise DataError(f"a group {group}", f"a file with {', '.join(file) or 'nothing'}", "Give a loom file.")
        self.group, self.name, self.n = file[group], group, n

    def there(self, names: tuple[str, ...]) -> str | None:
        """The first of these names that is an attribute."""
        return next((name for name in names if name in self.group), None)

    def first(self, key: str, asked: str | None, names: tuple[str, ...]) -> list[str]:
        """The attribute asked for, or the first there of the usual names."""
        return [str(label) for label in self.named(key, asked or self.there(names) or names[0]) or []]

    def named(self, key: str, name: str | None) -> Labels | None:
        """The attribute of this name; None without one."""
        if name is None:
            return None
        remedy = f"Set `reader.{key}` of the entry in datasets.yaml to one of these."
        if name not in self.group:
            got = f"a file with {', '.join(self.group) or 'none'}"
            raise DataError(f"an attribute {name} in {self.name}", got, remedy)
        values = texts(np.ravel(self.group[name][()]))
        if len(values) != self.n:
            raise DataError(f"{self.n} values in {self.name}/{name}", f"{len(values)}", "Get the file again.")
        return values


def _dataset(file: Any, name: str) -> Any:
    there = [one for one in ("matrix",) if one in file]
    there += [f"layers/{layer}" for layer in file["layers"]] if "layers" in file else []
    if name not in there or len(file[name].shape) != 2:
        got = f"a file with {', '.join(there) or 'neither matrix nor layers'}"
        raise DataError(f"a matrix {name} of genes x cells", got, "Set `reader.matrix` to one of these.")
    return file[name]


def _sparse(matrix: Any) -> sparse.csr_matrix:
    """Cells x genes; blocks are whole chunks of cells, so that no chunk is unpacked twice."""
    n_genes, n_cells = matrix.shape
    chunk = matrix.chunks[1] if matrix.chunks else 1
    step = max(BLOCK_VALUES // max(n_genes, 1) // chunk, 1) * chunk
    starts = range(0, max(n_cells, 1), step)
    return sparse.vstack([sparse.csr_matrix(matrix[:, at : at + step].T) for at in starts], format="csr")
