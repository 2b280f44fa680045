"""10x .h5 files: versions, genomes, feature types, and files that are not whole."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scanpy
from scipy import sparse

from sclandmarks.errors import DataError
from sclandmarks.io.raw import tenx_h5
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.tenx_h5 import TenxH5Settings, read_tenx_h5
from sclandmarks.matrix import ExpressionMatrix

X_CF = np.array([[1, 0, 2, 0], [0, 3, 0, 4]])


def read(path: Path, **settings: Any) -> ExpressionMatrix:
    return read_tenx_h5({"counts": path}, TenxH5Settings(format="tenx_h5", **settings), Origin("mine", "gut"))


def write(path: Path, **changes: Any) -> Path:
    """A file of version 3 with four features and two cells; a change of None leaves a part out."""
    csr = sparse.csr_matrix(X_CF, dtype=np.int32)
    parts: dict[str, Any] = {
        "data": csr.data,
        "indices": csr.indices.astype(np.int64),
        "indptr": csr.indptr.astype(np.int64),
        "shape": np.array([4, 2], dtype=np.int32),
        "barcodes": np.array([b"AA-1", b"CC-1"]),
        "features/id": np.array([b"ENSG00000000003", b"ENSG00000000005", b"ADT1", b"ENSG00000000419"]),
        "features/name": np.array([b"TSPAN6", b"TNMD", b"CD3", b"DPM1"]),
        "features/feature_type": np.array(
            [b"Gene Expression", b"Gene Expression", b"Antibody Capture", b"Gene Expression"]
        ),
        "features/genome": np.array([b"GRCh38", b"GRCh38", b"", b"GRCh38"]),
    }
    with h5py.File(path, "w") as file:
        for name, values in (parts | {key.replace("__", "/"): value for key, value in changes.items()}).items():
            if values is not None:
                file[f"matrix/{name}"] = values
    return path


@pytest.mark.parametrize(
    ("name", "genome"),
    [
        ("filtered_feature_bc_matrix_v3_chr21.h5", None),
        ("filtered_feature_bc_matrix_v3_chr21.h5", "GRCh38_chr21"),
        ("filtered_gene_bc_matrices_v1_hg19_chr21.h5", None),
        ("multiple_genomes_v1.h5", "hg19_chr21"),
        ("multiple_genomes_v1.h5", "another_genome"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_files_give_what_scanpy_reads(shared: Callable[[str], Path], name: str, genome: str | None) -> None:
    path = shared(f"tenx/{name}")
    ours, theirs = read(path, genome=genome), scanpy.read_10x_h5(path, genome=genome)
    assert (theirs.X.astype(np.int32) != ours.X_CG).nnz == 0
    assert ours.cells["cell_id"].to_list() == [f"mine/{name}" for name in theirs.obs_names]
    assert ours.genes["original"].to_list() == theirs.var["gene_ids"].to_list()


def test_several_genomes_ask_for_a_choice(shared: Callable[[str], Path]) -> None:
    path = shared("tenx/multiple_genomes_v1.h5")
    with pytest.raises(DataError, match=r"one genome.*another_genome, hg19_chr21(.|\n)*multiple_genomes_v1\.h5"):
        read(path)
    with pytest.raises(DataError, match="genome mm10; got a file with another_genome, hg19_chr21"):
        read(path, genome="mm10")


def test_other_feature_types_are_set_aside_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        matrix = read(write(tmp_path / "x.h5"))
    assert matrix.genes["symbol"].to_list() == ["TSPAN6", "TNMD", "DPM1"]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CF[:, [0, 1, 3]])
    assert matrix.cells["library_size"].to_list() == [1, 7]
    assert "set aside: 1 Antibody Capture" in caplog.text


def test_genomes_of_version_3(tmp_path: Path) -> None:
    ids = np.array([b"GRCh38_ENSG00000000003", b"mm10_ENSMUSG00000000005", b"ADT1", b"GRCh38_ENSG00000000419"])
    names = np.array([b"GRCh38_TSPAN6", b"mm10_Tnmd", b"CD3", b"GRCh38_DPM1"])
    genomes = np.array([b"GRCh38", b"mm10", b"", b"GRCh38"])
    path = write(tmp_path / "x.h5", features__id=ids, features__name=names, features__genome=genomes)
    with pytest.raises(DataError, match=r"one genome.*GRCh38, mm10"):
        read(path)
    matrix = read(path, genome="GRCh38")
    assert matrix.genes["gene_id"].to_list() == ["ENSG00000000003", "ENSG00000000419"]
    assert matrix.genes["symbol"].to_list() == ["TSPAN6", "DPM1"]
    assert read(path, genome="mm10").genes["symbol"].to_list() == ["Tnmd"]


def test_indices_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenx_h5, "BLOCK", 3)
    assert read(write(tmp_path / "x.h5")).X_CG.nnz == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "without data"),
        ({"barcodes": None, "indptr": None}, "without barcodes, indptr"),
        ({"features__id": None}, "readable 10x .h5 file; got KeyError"),
        ({"features__name": np.array([b"A"])}, r"as many features; got \[4, 1, 4, 4\]"),
        ({"barcodes": np.array([b"AA-1"])}, "4 features x 1 barcodes.*one of 4 x 2"),
        ({"barcodes": np.array([b"AA-1", b"AA-1"])}, "each barcode once"),
        ({"barcodes": np.array([b"AA-1", b"\xe9"])}, "names in UTF-8"),
        ({"shape": np.array([4, 3])}, "one of 4 x 3"),
        ({"indices": np.array([0, 2, 1])}, "3 indices and 4 values"),
        ({"indices": np.array([0, 2, 1, 4])}, "indices below 4|sound indices"),
        ({"indices": np.array([0, 2, 1, -1])}, "indices from 0 to 2147483647"),
        ({"indices": np.array([0, 2, 1, 2**40])}, "indices from 0 to 2147483647"),
        ({"indptr": np.array([0, 5, 4])}, "sound"),
        ({"indptr": np.array([0, 2, 3])}, "starts that end with 3"),
        ({"indptr": np.array([0, 4])}, "2 starts"),
        ({"data": np.array([1, 2, -3, 4])}, "negative"),
        ({"data": np.array([1, 2, 3.5, 4])}, "fractions"),
        ({"data": np.array([b"a", b"b", b"c", b"d"])}, "matrix of numbers"),
        ({"features__feature_type": np.full(4, b"Peaks")}, "type Gene Expression; got only Peaks"),
    ],
)
def test_files_that_are_not_whole_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "x.h5", **changes)
    with pytest.raises(DataError, match=rf"({message})(.|\n)*data set mine, file .*x\.h5"):
        read(path)


@pytest.mark.parametrize("n", ["cells", "genes"])
def test_nothing_in_the_file_is_refused(tmp_path: Path, n: str) -> None:
    none: dict[str, Any] = {"data": np.zeros(0, np.int32), "indices": np.zeros(0, np.int64)}
    if n == "cells":
        none |= {"barcodes": np.zeros(0, "S1"), "indptr": np.zeros(1, np.int64), "shape": np.array([4, 0])}
    else:
        none |= {f"features__{key}": np.zeros(0, "S1") for key in ("id", "name", "feature_type", "genome")}
        none |= {"indptr": np.zeros(3, np.int64), "shape": np.array([0, 2])}
    with pytest.raises(DataError, match=r"a matrix with cells and genes(.|\n)*x\.h5"):
        read(write(tmp_path / "x.h5", **none))


def test_a_file_without_the_groups(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["other"] = np.zeros(3)
    with pytest.raises(DataError, match=r"group `matrix`.*got a file with other.*CellRanger(.|\n)*x\.h5"):
        read(tmp_path / "x.h5")


def test_matrix_that_is_no_group(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["matrix"] = np.zeros(3)
    with pytest.raises(DataError, match="barcodes, data, indices, indptr, shape, features in /matrix"):
        read(tmp_path / "x.h5")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_cut_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "x.h5")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"readable 10x .h5 file(.|\n)*x\.h5"):
        read(path)


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(DataError, match=r"readable 10x \.h5 file"):
            read(path)
