"""One contract for every reader: what comes out of a file of counts, and which files are refused."""

from __future__ import annotations

import gzip
import runpy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from sclandmarks import schema
from sclandmarks.errors import DataError
from sclandmarks.io.raw import READERS
from sclandmarks.io.raw.common import Origin
from sclandmarks.io.raw.h5ad import H5adSettings, ZarrSettings
from sclandmarks.io.raw.loom import LoomSettings
from sclandmarks.io.raw.panglaodb import PanglaodbSettings
from sclandmarks.io.raw.table import TableSettings
from sclandmarks.io.raw.tenx_h5 import TenxH5Settings
from sclandmarks.io.raw.tenx_mtx import TenxMtxSettings
from sclandmarks.matrix import ExpressionMatrix

BARCODES = ["AAC-1", "ACG-1", "CGT-1"]
GENES = ["A1BG", "GAPDH", "zebra", "CDK4"]
X_CG = np.array([[3, 0, 0, 300], [0, 0, 1, 0], [2, 2**24 + 1, 0, 7]], dtype=np.float64)
ORIGIN = Origin("mine", "colon")
R = runpy.run_path(str(Path(__file__).parents[1] / "unit/io/raw/rdata_bytes.py"))


class Written(NamedTuple):
    """Files as a source gives them, and the settings to read them with."""

    files: dict[str, Path]
    settings: Any


Writer = Callable[[Path, np.ndarray, list[str], list[str]], Written]


def compressed(data: bytes, ending: str) -> bytes:
    if ending.endswith(".zst"):
        return pa.Codec("zstd").compress(data, asbytes=True)
    return gzip.compress(data) if ending.endswith(".gz") else data


def write_text(orientation: str, ending: str, separator: str = ",", asked: str = "") -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        by_genes = orientation == "genes_by_cells"
        values, rows, columns = (X.T, genes, barcodes) if by_genes else (X, barcodes, genes)
        lines = [separator.join(["", *columns])]
        lines += [separator.join([name, *(f"{v:.17g}" for v in row)]) for name, row in zip(rows, values, strict=True)]
        data = ("\n".join(lines) + "\n").encode()
        path = folder / f"counts{ending}"
        path.write_bytes(compressed(data, ending))
        settings = {"format": "table", "orientation": asked or orientation, "separator": separator}
        return Written({"counts": path}, TableSettings.model_validate(settings))

    return write


def write_anndata(matrix: str, form: Callable[[np.ndarray], Any], ending: str = "h5ad", asked: str = "") -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        import anndata

        obs, var = pd.DataFrame(index=pd.Index(barcodes)), pd.DataFrame(index=pd.Index(genes))
        path = folder / f"counts.{ending}"
        with warnings.catch_warnings(), anndata.settings.override(allow_write_nullable_strings=True):
            warnings.simplefilter("ignore")
            counts = anndata.AnnData(form(X), obs=obs, var=var)
            other = anndata.AnnData(np.full(X.shape, 0.5, dtype=np.float32), obs=obs, var=var)
            if matrix == "X":
                other = counts
            elif matrix == "raw.X":
                other.raw = counts
            else:
                other.layers[matrix.removeprefix("layers/")] = counts.X
            other.write_h5ad(path) if ending == "h5ad" else other.write_zarr(path)
        kind = H5adSettings if ending == "h5ad" else ZarrSettings
        return Written({"counts": path}, kind(format=ending, matrix=asked or matrix))

    return write


def write_loom(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
    path = folder / "counts.loom"
    with h5py.File(path, "w") as file:
        file["matrix"] = X.T
        file["row_attrs/Gene"] = np.array(genes, dtype=object)
        file["col_attrs/CellID"] = np.array([name.encode() for name in barcodes])
    return Written({"counts": path}, LoomSettings(format="loom"))


def write_tenx_h5(version: int) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        path, csr = folder / "counts.h5", sparse.csr_matrix(X)
        names = np.array(genes, dtype="S20")
        with h5py.File(path, "w") as file:
            group = file.create_group("matrix" if version == 3 else "hg19")
            arrays = {"data": csr.data, "indices": csr.indices.astype(np.int64), "indptr": csr.indptr.astype(np.int64)}
            arrays |= {"shape": np.array(X.T.shape, dtype=np.int32), "barcodes": np.array(barcodes, dtype="S18")}
            kinds = np.full(len(genes), b"Gene Expression")
            of_3 = {"features/id": names, "features/name": names, "features/feature_type": kinds}
            for key, values in (arrays | (of_3 if version == 3 else {"genes": names, "gene_names": names})).items():
                group[key] = values
        return Written({"counts": path}, TenxH5Settings(format="tenx_h5"))

    return write


def write_tenx_mtx(ending: str, features: str) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        coo = sparse.csr_matrix(X).tocoo()
        lines = ["%%MatrixMarket matrix coordinate real general", f"{X.shape[1]} {X.shape[0]} {coo.nnz}"]
        lines += [f"{j + 1} {i + 1} {v:.17g}" for i, j, v in zip(coo.row, coo.col, coo.data, strict=True)]
        rest = "\tGene Expression" if features == "features" else ""
        texts = {
            "counts.mtx": lines,
            "barcodes.tsv": barcodes,
            f"{features}.tsv": [f"{name}\t{name}{rest}" for name in genes],
        }
        for name, content in texts.items():
            data = "".join(f"{line}\n" for line in content).encode()
            (folder / f"{name}{ending}").write_bytes(compressed(data, ending))
        counts, cells, rows = (folder / f"{name}{ending}" for name in texts)
        files = {"counts": counts, "barcodes": cells, "features": rows}
        return Written(files, TenxMtxSettings(format="tenx_mtx"))

    return write


def write_panglaodb(name: str, version: int) -> Writer:
    def write(folder: Path, X: np.ndarray, barcodes: list[str], genes: list[str]) -> Written:
        path = folder / "counts.RData"
        path.write_bytes(gzip.compress(R["workspace"](R["slots"](X.T, genes, barcodes), name, version)))
        return Written({"counts": path}, PanglaodbSettings(format="panglaodb"))

    return write


WRITERS: dict[str, Writer] = {
    "table, genes x cells": write_text("genes_by_cells", ".csv"),
    "table, cells x genes, gzip": write_text("cells_by_genes", ".csv.gz"),
    "table, TSV": write_text("genes_by_cells", ".tsv", "\t"),
    "table, zstd, orientation found": write_text("genes_by_cells", ".csv.zst", asked="auto"),
    "h5ad, X, CSR": write_anndata("X", sparse.csr_matrix),
    "h5ad, X, dense": write_anndata("X", np.asarray),
    "h5ad, X, found": write_anndata("X", sparse.csr_matrix, asked="auto"),
    "h5ad, raw.X, CSC": write_anndata("raw.X", sparse.csc_matrix),
    "h5ad, raw.X, dense": write_anndata("raw.X", np.asarray),
    "h5ad, raw.X, found": write_anndata("raw.X", sparse.csr_matrix, asked="auto"),
    "h5ad, layer": write_anndata("layers/counts", sparse.csr_matrix),
    "h5ad, layer, found": write_anndata("layers/counts", np.asarray, asked="auto"),
    "zarr, X, CSR": write_anndata("X", sparse.csr_matrix, "zarr"),
    "zarr, layer, dense, found": write_anndata("layers/counts", np.asarray, "zarr", asked="auto"),
    "loom": write_loom,
    "tenx_h5, version 1": write_tenx_h5(1),
    "tenx_h5, version 3": write_tenx_h5(3),
    "tenx_mtx, version 1": write_tenx_mtx("", "genes"),
    "tenx_mtx, version 3": write_tenx_mtx(".gz", "features"),
    "panglaodb, RDX2": write_panglaodb("sm", 2),
    "panglaodb, RDX3, sm2": write_panglaodb("sm2", 3),
}


@pytest.fixture(params=WRITERS)
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., ExpressionMatrix]:
    def write_and_read(
        X: np.ndarray = X_CG, barcodes: list[str] = BARCODES, genes: list[str] = GENES, origin: Origin = ORIGIN
    ) -> ExpressionMatrix:
        written = WRITERS[request.param](tmp_path, X, barcodes, genes)
        return READERS[written.settings.format](written.files, written.settings, origin)

    return write_and_read


def test_every_reader_is_under_this_contract() -> None:
    assert {name.partition(",")[0] for name in WRITERS} == set(READERS)


def test_counts_are_exact_int32_csr_with_sorted_indices(read: Callable[..., ExpressionMatrix]) -> None:
    matrix = read()
    assert matrix.X_CG.format == "csr"
    assert matrix.X_CG.dtype == np.int32
    assert matrix.X_CG.has_sorted_indices
    assert matrix.X_CG.nnz == np.count_nonzero(X_CG)
    np.testing.assert_array_equal(matrix.X_CG.toarray(), X_CG)


def test_tables_follow_their_schema(read: Callable[..., ExpressionMatrix]) -> None:
    matrix = read()
    schema.check(matrix.cells, schema.CELLS)
    schema.check(matrix.genes, schema.GENES)
    assert matrix.cells["cell_id"].to_list() == [f"mine/{barcode}" for barcode in BARCODES]
    assert matrix.cells["library_size"].to_list() == X_CG.sum(axis=1).astype(int).tolist()
    assert matrix.genes["original"].to_list() == GENES
    assert matrix.genes["gene_id"].to_list()[3] == "ENSG00000135446"  # CDK4 is a landmark of L1000


def test_what_is_not_given_is_unknown(read: Callable[..., ExpressionMatrix]) -> None:
    cells = read().cells
    assert set(cells["cell_type"]) == {"Unknown"}
    assert set(cells["donor"]) == {"Unknown"}
    assert set(cells["tissue"]) == {"colon"}


def test_the_donor_of_the_entry_is_used(read: Callable[..., ExpressionMatrix]) -> None:
    assert set(read(origin=Origin("mine", "colon", "D1")).cells["donor"]) == {"D1"}


def test_library_sizes_do_not_overflow(read: Callable[..., ExpressionMatrix]) -> None:
    X = np.full((3, 4), 2.0**31 - 1)
    assert read(X).cells["library_size"].to_list() == [4 * (2**31 - 1)] * 3


def test_a_cell_without_reads_stays(read: Callable[..., ExpressionMatrix]) -> None:
    X = X_CG.copy()
    X[1] = 0
    assert read(X).cells["library_size"].to_list()[1] == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1.0, "negative"), (0.5, "fractions"), (np.nan, "NaN"), (np.inf, "infinite"), (2.0**31, "a value of")],
)
def test_values_that_are_no_counts_are_refused(
    read: Callable[..., ExpressionMatrix], value: float, message: str
) -> None:
    X = X_CG.copy()
    X[1, 2] = value
    with pytest.raises(DataError, match=rf"{message}(.|\n)*data set mine, file .*counts\."):
        read(X)


def test_a_value_beyond_int32_is_refused_in_single_precision(tmp_path: Path) -> None:
    written = write_anndata("X", sparse.csr_matrix)(tmp_path, (X_CG + 2.0**31).astype(np.float32), BARCODES, GENES)
    with pytest.raises(DataError, match=r"a value of 2\.1(.|\n)*counts\.h5ad"):
        READERS["h5ad"](written.files, written.settings, ORIGIN)


def test_zeros_only_are_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"zeros only(.|\n)*counts\."):
        read(np.zeros((3, 4)))


def test_a_barcode_twice_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError, match=r"each barcode once; got 1 more than once, first AAC-1\.(.|\n)*counts\."):
        read(barcodes=["AAC-1", "ACG-1", "AAC-1"])


@pytest.mark.parametrize(
    ("genes", "merged"),
    [
        (["A1BG", "GAPDH", "A1BG", "CDK4"], "A1BG|A1BG"),
        (["ENSG00000135446.1", "GAPDH", "ENSG00000135446.2", "B"], "ENSG00000135446.1|ENSG00000135446.2"),
        (["AARS", "GAPDH", "AARS1", "CDK4"], "AARS|AARS1"),
    ],
    ids=["symbol twice", "two versions", "retired and current"],
)
def test_a_gene_twice_is_added_up_and_said(
    read: Callable[..., ExpressionMatrix], caplog: pytest.LogCaptureFixture, genes: list[str], merged: str
) -> None:
    matrix = read(genes=genes)
    assert matrix.genes["original"].to_list() == [merged, genes[1], genes[3]]
    np.testing.assert_array_equal(matrix.X_CG.toarray(), np.stack([X_CG[:, 0] + X_CG[:, 2], X_CG[:, 1], X_CG[:, 3]], 1))
    assert matrix.X_CG.dtype == np.int32
    assert matrix.X_CG.has_sorted_indices
    assert matrix.cells["library_size"].to_list() == X_CG.sum(axis=1).astype(int).tolist()
    assert f"1 genes have several names in the file, and these are added up: {merged}" in caplog.text


def test_an_empty_name_is_refused(read: Callable[..., ExpressionMatrix]) -> None:
    with pytest.raises(DataError):
        read(barcodes=["AAC-1", "", "CGT-1"])


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bcut", b"\x89HDF\r\n\x1a\nbroken", bytes(range(256))])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_broken_file_is_refused(tmp_path: Path, writer: str, content: bytes) -> None:
    written = WRITERS[writer](tmp_path, X_CG, BARCODES, GENES)
    if written.files["counts"].is_dir():
        shutil.rmtree(written.files["counts"])
    written.files["counts"].write_bytes(content)
    with pytest.raises(DataError, match=r"counts\."):
        READERS[written.settings.format](written.files, written.settings, ORIGIN)
