"""Counts in the HDF5 file that 10x Genomics' CellRanger writes, of versions 1 to 8."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import Origin, compressed_rows, naming, reading, texts
from sclandmarks.io.raw.features import Features, choose_genome, expressed
from sclandmarks.io.raw.labels import cell_labels
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.matrix import ExpressionMatrix

PARTS = ("barcodes", "data", "indices", "indptr", "shape")
BLOCK = 1 << 22
REMEDY = "Give the filtered_feature_bc_matrix.h5 or filtered_gene_bc_matrices_h5.h5 of CellRanger."


class TenxH5Settings(ReaderSettings):
    """What all readers have; `genome` is required where the file has several."""

    format: Literal["tenx_h5"]


def read_tenx_h5(files: Mapping[str, Path], settings: TenxH5Settings, origin: Origin) -> ExpressionMatrix:
    """Read gene expression counts from a 10x .h5 file; other feature types are set aside.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the file. `labels`, optional, see `labels.cell_labels`.
    settings : TenxH5Settings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If the file is no such file, has several genomes and none was chosen, its parts disagree in length, names
        repeat, or the values are not counts; a note names the file.
    """
    import h5py

    path = files["counts"]
    with naming(path, origin):
        with reading("a readable 10x .h5 file"), h5py.File(path, "r") as file:
            group, genome = _group(file, settings.genome)
            features = _features(group)
            barcodes = texts(group["barcodes"][:])
            X_CF = _counts(group, len(barcodes), len(features.ids))
        X_CG, names = expressed(X_CF, features, genome)
        del X_CF
        labels = cell_labels(files, settings, barcodes, origin)
        return to_matrix(X_CG, barcodes, labels, names, settings, origin)


def _group(file: Any, genome: str | None) -> tuple[Any, str | None]:
    """The group of the counts: `matrix` since version 3, before that one for each genome."""
    if "matrix" in file:
        return _whole(file["matrix"], (*PARTS, "features")), genome
    there = [name for name in file if hasattr(file[name], "keys") and "barcodes" in file[name]]
    if not there:
        got = ", ".join(file) or "nothing"
        raise DataError("a group `matrix`, or one for each genome", f"a file with {got}", REMEDY)
    chosen = choose_genome(there, genome)
    return _whole(file[chosen], (*PARTS, "genes", "gene_names")), chosen


def _whole(group: Any, parts: tuple[str, ...]) -> Any:
    there = list(group) if hasattr(group, "keys") else []
    if lacking := [part for part in parts if part not in there]:
        got = f"{group.name} without {', '.join(lacking)}"
        raise DataError(f"{', '.join(parts)} in {group.name}", got, REMEDY)
    return group


def _features(group: Any) -> Features:
    if "features" not in group:
        return _of_one_length(Features(texts(group["genes"][:]), texts(group["gene_names"][:])))
    table = group["features"]
    kinds = texts(table["feature_type"][:]) if "feature_type" in table else None
    genomes = texts(table["genome"][:]) if "genome" in table else None
    return _of_one_length(Features(texts(table["id"][:]), texts(table["name"][:]), kinds, genomes))


def _of_one_length(features: Features) -> Features:
    lengths = [len(column) for column in features if column is not None]
    if len(set(lengths)) > 1:
        raise DataError("ids, names, types and genomes of as many features", f"{lengths} of them", REMEDY)
    return features


def _counts(group: Any, n_cells: int, n_features: int) -> sparse.csr_matrix:
    shape = [int(n) for n in group["shape"][:]]
    if shape != [n_features, n_cells]:
        raise DataError(
            f"a matrix of {n_features} features x {n_cells} barcodes, as the file names them",
            f"one of {' x '.join(map(str, shape))}",
            "Get the file again.",
        )
    starts = group["indptr"][:]
    return compressed_rows(group["data"][:], _int32(group["indices"]), starts, (n_cells, n_features))


def _int32(dataset: Any) -> NDArray[np.int32]:
    """Indices in half the memory of the file's int64, block by block."""
    out = np.empty(dataset.shape, dtype=np.int32)
    for start in range(0, len(out), BLOCK):
        block = dataset[start : start + BLOCK]
        if block.max() > np.iinfo(np.int32).max or block.min() < 0:
            raise DataError("indices from 0 to 2147483647", f"{block.min()} to {block.max()}", "Get the file again.")
        out[start : start + BLOCK] = block
    return out
