"""A look at HDF5 files: AnnData, 10x and loom; names, columns and some values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sclandmarks.errors import DataError
from sclandmarks.io.inspect.annotated import look_at_anndata
from sclandmarks.io.inspect.columns import column, is_annotation, with_roles
from sclandmarks.io.inspect.features import Kept, choose_human, kept_features
from sclandmarks.io.inspect.look import Column, Look, Problem, count_problems, matrix_of, repeated_barcodes
from sclandmarks.io.inspect.magic import TAKEN
from sclandmarks.io.raw.anndata_group import sample
from sclandmarks.io.raw.common import reading, texts
from sclandmarks.io.raw.features import Features
from sclandmarks.io.raw.loom import BARCODES, ENSEMBL, SYMBOLS
from sclandmarks.io.raw.names import seen_genes

N_BLOCKS = 5
BLOCK_VALUES = 1 << 20
FOREIGN = {
    "assays": ("a SeuratDisk file (.h5seurat)", "Convert it to .h5ad with SeuratDisk::Convert."),
    "count": ("a 10x file of molecules", "Give filtered_feature_bc_matrix.h5 of the same run."),
}


def look_at_hdf5(path: Path, roles: dict[str, Sequence[str]]) -> Look:
    """Look at an HDF5 file.

    Parameters
    ----------
    path : Path
    roles : dict of str to sequence of str
        Format -> columns of cells that its reader has a setting for.

    Raises
    ------
    DataError
        If it is broken, or of none of the forms that are read.
    """
    import h5py

    with reading("a readable HDF5 file", "Get the file again: it is cut or damaged."), h5py.File(path, "r") as file:
        if "obs" in file:
            return look_at_anndata(file, "h5ad", roles["h5ad"])
        if "row_attrs" in file and "col_attrs" in file:
            return _look_at_loom(file, roles["loom"])
        if genomes := _genomes(file):
            return _look_at_tenx(file, genomes)
        what, remedy = next((FOREIGN[name] for name in FOREIGN if name in file), ("", TAKEN))
        there = f"HDF5 with {', '.join(list(file)[:8]) or 'nothing'}"
        raise DataError("AnnData, loom or a 10x matrix in HDF5", what or there, remedy)


def _genomes(file: Any) -> list[str]:
    """Groups of a 10x file: `matrix`, or one for each genome."""
    return [name for name in file if hasattr(file[name], "keys") and {"barcodes", "indptr"} <= set(file[name])]


def _look_at_tenx(file: Any, genomes: list[str]) -> Look:
    group, version = file[genomes[0]], "3 or later"
    kept = kept_features(_features(group))
    if "features" not in group:
        chosen, version = choose_human(genomes), "1 or 2"
        group = file[chosen.genome or genomes[0]]
        kept = Kept(kept_features(_features(group)).genes, chosen.genome, chosen.problems)
    barcodes = texts(group["barcodes"][:])
    found = matrix_of("counts", sample(group))
    problems = [*kept.problems, *count_problems([found]), *repeated_barcodes(barcodes)]
    reader = {"format": "tenx_h5"} | ({"genome": kept.genome} if kept.genome else {})
    about = f"10x HDF5 of CellRanger {version}"
    return Look(about, len(barcodes), kept.genes.height, kept.genes, [found], reader, problems=problems)


def _features(group: Any) -> Features:
    if "features" not in group:
        return Features(texts(group["genes"][:]), texts(group["gene_names"][:]))
    table = group["features"]
    kinds, genomes = (texts(table[key][:]) if key in table else None for key in ("feature_type", "genome"))
    return Features(texts(table["id"][:]), texts(table["name"][:]), kinds, genomes)


def _look_at_loom(file: Any, roles: Sequence[str]) -> Look:
    there = [name for name in ("matrix",) if name in file]
    there += [f"layers/{name}" for name in file.get("layers", ())]
    found = [matrix_of(name, _sample(file[name])) for name in there]
    taken = next((one.name for one in found if one.fault is None), None)
    n_genes, n_cells = file[there[0]].shape if there else (0, 0)
    rows, columns = file["row_attrs"], file["col_attrs"]
    barcodes, symbols, ensembl = (_attribute(*one) for one in ((columns, BARCODES), (rows, SYMBOLS), (rows, ENSEMBL)))
    genes = seen_genes(symbols or [], symbols, ensembl if symbols else None)
    cells = with_roles(_columns(columns), n_cells, roles)
    reader = {"format": "loom"} | ({"matrix": taken} if taken and taken != "matrix" else {})
    reader |= {one.role: one.name for one in cells if one.role}
    problems = [*count_problems(found), *repeated_barcodes(barcodes or [])]
    problems += _lacking("barcode", barcodes, columns) + _lacking("symbol", symbols, rows)
    return Look("loom", n_cells, n_genes, genes, found, reader, True, "genes x cells", cells, problems=problems)


def _attribute(group: Any, names: tuple[str, ...]) -> list[str] | None:
    """The first there of the attributes of these names."""
    name = next((name for name in names if name in group), None)
    return texts(np.ravel(group[name][()])) if name else None


def _lacking(key: str, there: list[str] | None, group: Any) -> list[Problem]:
    if there is not None:
        return []
    remedy = f"Set `reader.{key}` to one of {', '.join(group) or 'none'}."
    return [Problem(f"no attribute of the usual names has the {key}s", remedy)]


def _columns(attributes: Any) -> list[Column]:
    fit = [name for name in attributes if name not in BARCODES and is_annotation(np.dtype(attributes[name].dtype))]
    return [column(name, texts(set(np.ravel(attributes[name][()]).tolist()))) for name in fit]


def _sample(matrix: Any) -> NDArray[Any]:
    """Some values of a dense matrix of genes x cells, whole chunks of it."""
    n_genes, n_cells = matrix.shape
    step = max(BLOCK_VALUES // N_BLOCKS // max(n_genes, 1), 1)
    starts = np.unique(np.linspace(0, max(n_cells - step, 0), N_BLOCKS).astype(int))
    return np.concatenate([np.ravel(matrix[:, start : start + step]) for start in starts])
