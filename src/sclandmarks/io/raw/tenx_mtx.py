"""Counts as 10x's three files: matrix.mtx, barcodes.tsv, and genes.tsv or features.tsv, each plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from sclandmarks.errors import DataError
from sclandmarks.io.raw.assemble import to_matrix
from sclandmarks.io.raw.common import Origin, naming, reading
from sclandmarks.io.raw.features import Features, expressed
from sclandmarks.io.raw.labels import cell_labels
from sclandmarks.io.raw.market import read_market
from sclandmarks.io.raw.settings import ReaderSettings
from sclandmarks.io.raw.text import read_lines
from sclandmarks.matrix import ExpressionMatrix

MATRIX, BARCODES, FEATURES = ("matrix.mtx",), ("barcodes.tsv",), ("features.tsv", "genes.tsv")
OTHERS = {"barcodes": BARCODES, "features": FEATURES}
ENDINGS = ("", ".gz", ".zst")


class TenxMtxSettings(ReaderSettings):
    """What all readers have; the files say the rest."""

    optional_roles: ClassVar[tuple[str, ...]] = ("barcodes", "features", "labels")

    format: Literal["tenx_mtx"]


def read_tenx_mtx(files: Mapping[str, Path], settings: TenxMtxSettings, origin: Origin) -> ExpressionMatrix:
    """Read gene expression counts from a 10x folder, or from its files; other feature types are set aside.

    Parameters
    ----------
    files : mapping of str to Path
        `counts`: the folder, or its matrix.mtx (features x barcodes). `barcodes` and `features`, optional: the
        other files; without them they lie beside the matrix, under their own names behind the same prefix.
        Features have an id, a symbol (else the id stands in) and, from CellRanger 3 on, a type. `labels`, optional,
        see `labels.cell_labels`.
    settings : TenxMtxSettings
    origin : Origin

    Returns
    -------
    ExpressionMatrix
        int32 counts, n_cells x n_genes.

    Raises
    ------
    DataError
        If a file is missing, the matrix is not one of these features and barcodes, names repeat, or the values are
        not counts; a note names the file.
    """
    with naming(files["counts"], origin), reading("files of 10x that can be found", "Mend the path or permissions."):
        matrix, places = _places(files)
    with naming(places["barcodes"], origin):
        barcodes = [row[0] for row in _rows(places["barcodes"])]
    with naming(places["features"], origin):
        features = read_features(places["features"])
    with naming(matrix, origin):
        X_CF = read_market(matrix)
        _check_shape(X_CF.shape, len(barcodes), len(features.ids))
        X_CG, names = expressed(X_CF, features)
        del X_CF
        labels = cell_labels(files, settings, barcodes, origin)
        return to_matrix(X_CG, barcodes, labels, names, settings, origin)


def beside(files: Mapping[str, Path]) -> dict[str, Path]:
    """Role (`counts`, `barcodes`, `features`) -> file, of those that are there, where `read_tenx_mtx` finds them."""
    given = files["counts"]
    matrix = next(_there(given, "", MATRIX), None) if given.is_dir() else given
    if matrix is None:
        return {}
    found = {role: files.get(role) or next(_there(matrix.parent, _prefix(matrix), names), None)
             for role, names in OTHERS.items()}  # fmt: skip
    return {"counts": matrix} | {role: path for role, path in found.items() if path}


def _places(files: Mapping[str, Path]) -> tuple[Path, dict[str, Path]]:
    """Matrix, and role -> path of the other two."""
    given = files["counts"]
    matrix = _find(given, "", MATRIX) if given.is_dir() else given
    return matrix, {
        role: files.get(role) or _find(matrix.parent, _prefix(matrix), names) for role, names in OTHERS.items()
    }


def _prefix(matrix: Path) -> str:
    return matrix.name.partition(MATRIX[0])[0] if MATRIX[0] in matrix.name else ""


def _wanted(folder: Path, prefix: str, names: tuple[str, ...]) -> list[Path]:
    return [folder / f"{prefix}{name}{ending}" for name in names for ending in ENDINGS]


def _there(folder: Path, prefix: str, names: tuple[str, ...]) -> Iterator[Path]:
    return (path for path in _wanted(folder, prefix, names) if path.is_file())


def _find(folder: Path, prefix: str, names: tuple[str, ...]) -> Path:
    for path in _there(folder, prefix, names):
        return path
    wanted = _wanted(folder, prefix, names)
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise DataError(f"{' or '.join(path.name for path in wanted)} in {folder}", there, "Put the file there.")


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in read_lines(path)]


def read_features(path: Path) -> Features:
    """Read features.tsv or genes.tsv: an id, a symbol and a type in each line, the last two optional.

    Raises
    ------
    DataError
        If lines differ in length, or the file is broken.
    """
    rows = _rows(path)
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise DataError("as many fields in each line", f"{min(lengths)} to {max(lengths)}", "Get the file again.")
    n_fields = next(iter(lengths), 0)
    ids = [row[0] for row in rows]
    symbols = [row[1] for row in rows] if n_fields > 1 else ids
    return Features(ids, symbols, [row[2] for row in rows] if n_fields > 2 else None)


def _check_shape(shape: tuple[int, int], n_barcodes: int, n_features: int) -> None:
    if shape != (n_barcodes, n_features):
        raise DataError(
            f"a matrix of {n_features} features x {n_barcodes} barcodes, as the files beside it have them",
            f"one of {shape[1]} x {shape[0]}",
            "Take the three files from the same folder.",
        )
