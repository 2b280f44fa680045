"""Loom files: attributes by name, blocks, and files that are not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sclandmarks.errors import DataError
from sclandmarks.io.raw import loom
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.loom import LoomSettings, read_loom
from sclandmarks.matrix import ExpressionMatrix

X_CG = np.array([[1, 0, 2], [0, 3, 0]])


def write(path: Path, **changes: Any) -> Path:
    """A file of two cells and three genes; a change of None leaves a part out."""
    parts: dict[str, Any] = {
        "matrix": X_CG.T.astype(np.float32),
        "layers/spliced": 2 * X_CG.T,
        "col_attrs/CellID": np.array(["AA", "CC"], dtype=object),
        "col_attrs/kind": np.array([b"T", b""]),
        "col_attrs/Age": np.array([[1], [2]]),
        "row_attrs/Gene": np.array(["TSPAN6", "TNMD", "DPM1"], dtype=object),
        "row_attrs/Accession": np.array([b"ENSG00000000003", b"ENSG00000000005.2", b""]),
    }
    with h5py.File(path, "w") as file:
        for name, values in (parts | {key.replace("__", "/"): value for key, value in changes.items()}).items():
            if values is not None:
                file[name] = values
    return path


def read(path: Path, **settings: Any) -> ExpressionMatrix:
    return read_loom({"counts": path}, LoomSettings(format="loom", **settings), Origin("mine", "gut"))


def test_names_counts_and_labels(tmp_path: Path) -> None:
    matrix = read(write(tmp_path / "x.loom"), cell_type="kind", donor="Age")
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)
    assert matrix.cells["cell_id"].to_list() == ["mine/AA", "mine/CC"]
    assert matrix.cells["cell_type"].to_list() == ["T", "Unknown"]
    assert matrix.cells["donor"].to_list() == ["1", "2"]
    assert matrix.genes["ensembl_id"].to_list()[:2] == ["ENSG00000000003", "ENSG00000000005"]
    assert matrix.genes["symbol"].to_list() == ["TSPAN6", "TNMD", "DPM1"]


def test_layers_and_other_names(tmp_path: Path) -> None:
    names = {"col_attrs__CellID": None, "col_attrs__obs_names": np.array([b"x", b"y"]), "row_attrs__Accession": None}
    matrix = read(write(tmp_path / "x.loom", **names), matrix="layers/spliced", symbol="Gene", tissue="kind")
    np.testing.assert_array_equal(matrix.X_CG.toarray(), 2 * X_CG)
    assert matrix.cells["cell_id"].to_list() == ["mine/x", "mine/y"]
    assert matrix.cells["tissue"].to_list() == ["T", "gut"]


@pytest.mark.parametrize("chunks", [None, (4, 3), (1, 100)])
def test_blocks_of_cells_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, int] | None
) -> None:
    monkeypatch.setattr(loom, "BLOCK_VALUES", 30)
    X = np.random.default_rng(0).poisson(1.0, (100, 7))
    path = write(
        tmp_path / "x.loom",
        matrix=None,
        layers__spliced=None,
        col_attrs__CellID=np.arange(100),
        col_attrs__kind=None,
        row_attrs__Gene=np.array([f"g{i}" for i in range(7)], dtype=object),
        row_attrs__Accession=None,
    )
    with h5py.File(path, "a") as file:
        file.create_dataset("matrix", data=X.T, chunks=chunks)
    np.testing.assert_array_equal(read(path).X_CG.toarray(), X)


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({"matrix": None}, {}, "a matrix matrix of genes x cells; got a file with layers/spliced"),
        ({}, {"matrix": "layers/x"}, "a matrix layers/x.*got a file with matrix, layers/spliced"),
        ({"matrix": np.zeros(3)}, {}, "a matrix matrix of genes x cells"),
        (
            {},
            {"cell_type": "x"},
            "column x of annotations of the cells; got a file with Age, CellID, kind.*`reader.cell_type`",
        ),
        ({}, {"ensembl": "x"}, "attribute x in row_attrs; got a file with Accession, Gene.*`reader.ensembl`"),
        ({"col_attrs__CellID": None}, {}, "attribute CellID in col_attrs"),
        ({"col_attrs__CellID": np.array([b"AA"])}, {}, "2 values in col_attrs/CellID; got 1"),
        ({"col_attrs__CellID": np.array([b"AA", b"AA"])}, {}, "each barcode once"),
        ({"row_attrs__Gene": np.array([b"A", b"B"])}, {}, "3 values in row_attrs/Gene; got 2"),
        ({"row_attrs__Gene": None, "row_attrs__Accession": None}, {}, "a group row_attrs"),
        ({"matrix": np.full((3, 2), 0.5)}, {}, "fractions"),
        ({"matrix": np.full((3, 2), -1)}, {}, "negative"),
        ({"matrix": np.full((3, 2), b"x")}, {}, "."),
        ({"matrix": np.zeros((3, 0)), "col_attrs__CellID": np.zeros(0, "S1")}, {}, "a matrix with cells and genes"),
        (
            {"matrix": np.zeros((0, 2)), "row_attrs__Gene": np.zeros(0, "S1"), "row_attrs__Accession": None},
            {},
            "a matrix with cells and genes",
        ),
    ],
)
def test_files_that_are_not_whole_are_refused(
    tmp_path: Path, changes: dict[str, Any], settings: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*x\.loom"):
        read(write(tmp_path / "x.loom", **changes), **settings)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "x.loom")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"readable .loom file(.|\n)*x\.loom"):
        read(path)
